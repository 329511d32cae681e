#!/usr/bin/env bash
# Makes the virtual environment named by $1 from the hashed lock. Safe to run again.
set -euo pipefail
venv=$1
python=${PYTHON:-python3}

stop() { echo "setup: $1" >&2; exit 1; }

command -v "$python" >/dev/null || stop "'$python' was not found. Install Python 3.11 or newer (Debian, Ubuntu: apt install python3 python3-venv)."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  stop "Python 3.11 or newer is needed, '$python' is $("$python" -V 2>&1). Point PYTHON=... at a newer one."
"$python" -c 'import venv, ensurepip' 2>/dev/null ||
  stop "Python's venv module is missing. Install it (Debian, Ubuntu: apt install python3-venv) and run make setup again."

if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -c 'import pip' 2>/dev/null; then
  rm -rf "$venv"
  "$python" -m venv "$venv"
fi
echo "Installing the libraries and servers into $venv (about 450 MB of downloads the first time) ..."
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock ||
  stop "the libraries could not be installed (the lines above say why). Check the network and the disk, then run make setup again."
# The project itself, as it lies here: edits take effect at once.
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "$PWD" > "$site/inventory_manager.pth"
cat > "$venv/bin/inventory" <<EOF
#!$PWD/$venv/bin/python
import sys
from inventory.main import main
sys.exit(main())
EOF
chmod +x "$venv/bin/inventory"
