#!/bin/sh
# Runs a command with Slurm 24.11 of Debian 13 in place of this host's: its packages are unpacked into a folder and
# called through chroot, in a mount namespace of this command alone. Nothing is installed. Needs root and apt.
#   tests/with-slurm-24.11.sh FOLDER COMMAND...
set -eu
[ $# -ge 2 ] || { echo "usage: $0 FOLDER COMMAND..." >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "needs root, for chroot and mounts" >&2; exit 2; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)
shift
root=$folder/root
packages="slurmctld slurmd slurmdbd slurm-client munge slurm-wlm-basic-plugins dash coreutils"

if [ ! -e "$folder/unpacked" ]; then
  mkdir -p "$folder/state/lists/partial" "$folder/cache/archives/partial" "$root"
  : >"$folder/state/status"
  keys=/usr/share/keyrings/debian-archive-keyring.gpg
  echo "deb [signed-by=$keys] ${DEBIAN_MIRROR:-http://deb.debian.org/debian} trixie main" >"$folder/sources.list"
  cat >"$folder/apt.conf" <<CONF
Dir::State "$folder/state";
Dir::State::status "$folder/state/status";
Dir::Cache "$folder/cache";
Dir::Etc::sourcelist "$folder/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
CONF
  APT_CONFIG=$folder/apt.conf apt-get update -qq
  # shellcheck disable=SC2086 - a list is meant to split
  APT_CONFIG=$folder/apt.conf apt-get install -qq -y --download-only $packages >/dev/null
  for name in bin sbin lib lib64; do mkdir -p "$root/usr/$name" && ln -sfn "usr/$name" "$root/$name"; done
  for package in "$folder"/cache/archives/*.deb; do dpkg-deb --fsys-tarfile "$package" | tar -x -C "$root" --keep-directory-symlink; done
  mkdir -p "$root/proc" "$root/sys" "$root/dev" "$root/tmp" "$root/etc"
  cp /etc/passwd /etc/group /etc/hosts /etc/nsswitch.conf "$root/etc/"
  # Debian names them -wlm and links them when they are installed; slurmd looks for slurmstepd
  for name in slurmctld slurmd slurmstepd; do ln -sfn "$name-wlm" "$root/usr/sbin/$name"; done
  mkdir -p "$folder/bin"
  for program in "$root"/usr/bin/s* "$root"/usr/sbin/slurm* "$root"/usr/sbin/munged; do
    name=$(basename "$program")
    case $name in sacct* | sattach | sbatch | sbcast | scancel | scontrol | sdiag | sinfo | sprio | squeue | sreport | \
      srun | sshare | sstat | strigger | slurm* | munged)
      printf '#!/bin/sh\nexec chroot %s %s "$@"\n' "$root" "${program#"$root"}" >"$folder/bin/$name"
      chmod 755 "$folder/bin/$name" ;;
    esac
  done
  : >"$folder/unpacked"
fi

export SLURM_24_ROOT="$root" SLURM_24_BIN="$folder/bin"
exec unshare -m sh -c '
  for folder in proc sys dev tmp; do mount --rbind "/$folder" "$SLURM_24_ROOT/$folder"; done
  export PATH="$SLURM_24_BIN:$PATH"
  exec "$@"' sh "$@"
