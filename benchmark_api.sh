#!/bin/sh
# Measures a running server; ./benchmark_api.sh --help says how. What is measured, and what is
# expected, stands at the top of bench/api.ts.
set -eu
root=$(cd "$(dirname "$0")" && pwd -P)
node=$root/build/node
if [ ! -x "$node" ]; then
  echo "benchmark_api.sh: not set up yet; run 'npm run setup' in $root" >&2
  exit 1
fi
exec "$node" "$root/bench/api.ts" "$@"
