#!/usr/bin/env bash
# Formats all C++ and Python files; the test `format` fails where this would change one.
#
#   scripts/format.sh
set -euo pipefail
cd "$(dirname "$0")/.."
git ls-files '*.h' '*.cpp' | xargs .venv/bin/clang-format -i
.venv/bin/ruff format -q
