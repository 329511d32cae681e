#!/usr/bin/env bash
# All tests but the long forms, a stage at a time. What `make test` and CI run.
set -uo pipefail
cd "$(dirname "$0")/.."
# Nothing of this machine's own platform or settings may reach the tests.
for name in $(compgen -e INVENTORY_); do unset "$name"; done

failed=()
stage() {
  local name=$1 began=$SECONDS
  shift
  printf '\n== %s\n' "$name"
  "$@" || failed+=("$name")
  printf '== %s: %s s\n' "$name" $((SECONDS - began))
}
pytest() { .venv/bin/python -m pytest --quiet --durations=5 "$@"; }

stage lint make --no-print-directory lint
stage "unit and property" pytest tests/unit tests/property
stage contract pytest tests/contract
stage integration pytest tests/integration
stage chaos pytest tests/chaos
stage e2e pytest tests/e2e

printf '\n%s s in all' "$SECONDS"
if ((${#failed[@]})); then
  printf '; failed: %s\n' "${failed[*]}"
  exit 1
fi
printf '; all passed\n'
