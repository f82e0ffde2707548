#!/usr/bin/env bash
# Installs what is missing, builds steplapse and runs all of its tests; those of its units also with the sanitizers.
#
#   scripts/test.sh
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh test

options=(-DSTEPLAPSE_TESTS=ON ${STEPLAPSE_TORCH:+"-DSTEPLAPSE_TORCH=$STEPLAPSE_TORCH"})
for preset in release asan; do
  start=$SECONDS
  cmake --preset "$preset" "${options[@]}"
  cmake --build --preset "$preset"
  echo "build/$preset took $((SECONDS - start)) s"
done

# All is tried, and the whole list comes last.
status=0
ctest --preset asan || status=1
ctest --preset release || status=1
exit $status
