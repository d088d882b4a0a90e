#!/bin/sh
# Writes a kubeconfig of the adapter's own account (adapter.yaml), for coldplate on a host beside the cluster: FILE, and
# FILE.token beside it. Run it again before the token is over, e.g. by cron: coldplate reads it anew every minute. The
# API server may give less time than asked for, and says so.
#   packaging/kubernetes/kubeconfig.sh FILE [TIME, 720h by default]
set -eu
[ $# -ge 1 ] || { echo "usage: $0 FILE [TIME]" >&2; exit 2; }
umask 077
said() { kubectl config view --raw --minify --flatten -o "jsonpath={.clusters[0].cluster.$1}"; }
kubectl -n coldplate create token coldplate-adapter --duration="${2:-720h}" >"$1.token.new"
mv "$1.token.new" "$1.token"
cat >"$1.new" <<END
apiVersion: v1
kind: Config
current-context: coldplate
clusters: [{name: cluster, cluster: {server: "$(said server)", certificate-authority-data: "$(said certificate-authority-data)"}}]
contexts: [{name: coldplate, context: {cluster: cluster, user: coldplate}}]
users: [{name: coldplate, user: {tokenFile: "$(realpath "$1.token")"}}]
END
mv "$1.new" "$1"
