#!/bin/sh
# Runs a command with a real etcd, kube-apiserver and kube-scheduler for it, kube-controller-manager and kubectl for some:
# those in the folder $KUBE_BIN, or else built once from the Go modules of $KUBE_VERSION into a folder (Go 1.26 or
# newer; 12 minutes of CPU time).
# Nothing is installed.
#   [KUBE_BIN=/opt/kube/bin] tests/with-kubernetes.sh FOLDER COMMAND...
set -eu
[ $# -ge 2 ] || { echo "usage: $0 FOLDER COMMAND..." >&2; exit 2; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)
shift
version=${KUBE_VERSION:-v1.36.3}
etcd_version=${ETCD_VERSION:-v3.6.4}
programs="etcd kube-apiserver kube-scheduler"

if [ -n "${KUBE_BIN:-}" ]; then
  for program in $programs; do
    [ -x "$KUBE_BIN/$program" ] || command -v "$program" >/dev/null 2>&1 \
      || { echo "no $program in KUBE_BIN=$KUBE_BIN: put $programs there, or leave KUBE_BIN unset to build them" >&2; exit 2; }
  done
  exec "$@"
fi

export KUBE_BIN="$folder/$version"
PATH="$PATH:/usr/local/go/bin" # where the archive of go.dev is unpacked

# A module that needs one other, with the parts of Kubernetes that live in its own tree at the versions that go with it.
module() {
  mkdir -p "$1" && cd "$1"
  printf 'module coldplate.invalid/build\n\ngo 1.24.0\n\nrequire %s %s\n' "$2" "$3" >go.mod
  parts=$(sed -n 's|^\t\(k8s.io/[^ ]*\) v0\.0\.0$|\1|p' "$(go mod download -json "$2@$3" | sed -n 's|.*"GoMod": "\(.*\)",*|\1|p')")
  for part in $parts; do printf 'replace %s => %s v0%s\n' "$part" "$part" "${3#v1}" >>go.mod; done
}

build() {
  [ -x "$KUBE_BIN/$1" ] && return
  echo "building $1 ($3 $4)"
  (module "$folder/build/$1" "$3" "$4" && nice go build -mod=mod -trimpath -ldflags "-s -w $5" -o "$KUBE_BIN/$1.new" "$2") >&2
  mv "$KUBE_BIN/$1.new" "$KUBE_BIN/$1"
}

if ! command -v go >/dev/null 2>&1; then
  for program in $programs; do
    [ -x "$KUBE_BIN/$program" ] || command -v "$program" >/dev/null 2>&1 || { echo "no Go here to build $program: install Go 1.26 or newer (https://go.dev/dl), or name a folder with $programs: KUBE_BIN=DIR make kubernetes" >&2; exit 2; }
  done
fi
mkdir -p "$KUBE_BIN"
minor=${version#v1.}
says="-X k8s.io/component-base/version.gitVersion=$version -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=${minor%%.*}"
build kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes "$version" "$says"
build kube-scheduler k8s.io/kubernetes/cmd/kube-scheduler k8s.io/kubernetes "$version" "$says"
build kube-controller-manager k8s.io/kubernetes/cmd/kube-controller-manager k8s.io/kubernetes "$version" "$says"
build kubectl k8s.io/kubernetes/cmd/kubectl k8s.io/kubernetes "$version" "$says"
# Debian's etcd-server (3.4) does as well
command -v etcd >/dev/null 2>&1 || build etcd go.etcd.io/etcd/server/v3 go.etcd.io/etcd/server/v3 "$etcd_version" ""
exec "$@"
