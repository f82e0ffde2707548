#!/usr/bin/env bash
# Installs what is missing, builds steplapse and draws a picture with it: of the words given, or of a red apple.
#
#   scripts/demo.sh [PROMPT...]
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh

options=(${STEPLAPSE_TORCH:+"-DSTEPLAPSE_TORCH=$STEPLAPSE_TORCH"})
# The tests need more than the demo installs; a build that has them keeps them.
if [[ ! -f build/release/CMakeCache.txt ]]; then options+=(-DSTEPLAPSE_TESTS=OFF); fi
cmake --preset release "${options[@]}"
cmake --build --preset release --target steplapse

if (($# > 0)); then
  build/release/steplapse generate "$*" --steps 30
else
  build/release/steplapse "red apple" --seed 948574399 --steps 30
fi

cat <<END_OF_TEXT

The program is $PWD/build/release/steplapse. To call it by its name in this shell:
  export PATH="$PWD/build/release:\$PATH"
To install it for all (as root or with sudo): cmake --install build/release --prefix /usr/local
END_OF_TEXT
