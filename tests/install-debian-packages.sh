#!/bin/sh
# The real programs that the tests use. Does nothing where they are present, and says so where it may not install.
set -u
PATH="$PATH:/usr/sbin:/sbin"
missing=""
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need mosquitto mosquitto
need chromium chromium
need mbpoll mbpoll
need strace strace
need openssl openssl
need pdftoppm poppler-utils
need slurmctld "slurmctld slurmd slurm-client munge slurm-wlm-basic-plugins"
need slurmdbd slurmdbd
need mariadb-install-db "mariadb-server-core mariadb-client-core"
need influxd influxdb
need victoria-metrics victoria-metrics
[ -n "$(ls /usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc 2>/dev/null)" ] || missing="$missing fonts-noto-cjk"
[ -z "$missing" ] && exit 0
command -v apt-get >/dev/null 2>&1 || { echo "tests will skip what needs:$missing (no apt-get here)"; exit 0; }
if [ "$(id -u)" = 0 ]; then as_root=""; elif sudo -n true 2>/dev/null; then as_root="sudo -n"; else
  echo "tests will skip what needs:$missing (not root; install them with: sudo apt-get install$missing)"; exit 0
fi
echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
# The tests start the servers themselves: while packages are installed, nothing may start a service, unless a policy
# is already there.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null && $as_root chmod 755 "$policy"
  # shellcheck disable=SC2064 - expanded now on purpose
  trap "$as_root rm -f $policy" EXIT
fi
# shellcheck disable=SC2086 - lists are meant to split
$as_root apt-get update -qq && $as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null \
  || echo "could not install$missing; tests that need them will skip, or fail where COLDPLATE_REQUIRE_REAL=1"
exit 0
