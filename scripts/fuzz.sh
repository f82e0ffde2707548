#!/usr/bin/env bash
# Has every reader of foreign bytes read mutants for a time, and says how many there were and what was found.
#
#   scripts/fuzz.sh MINUTES [TARGET]
#   STEPLAPSE_FUZZ=build/asan/tests/steplapse_fuzz scripts/fuzz.sh 60    under the sanitizers
set -euo pipefail
cd "$(dirname "$0")/.."

minutes=${1:-}
[[ $minutes =~ ^[1-9][0-9]{0,4}$ ]] || {
  echo "usage: scripts/fuzz.sh MINUTES [TARGET]" >&2
  exit 2
}
fuzz=${STEPLAPSE_FUZZ:-$(ls -t build/*/tests/steplapse_fuzz 2>/dev/null | head -n 1 || true)}
[[ -x $fuzz ]] || {
  echo "fuzz: no steplapse_fuzz under build/; build it first: cmake --preset release && cmake --build --preset release" >&2
  exit 2
}

# Seeds go on from the clock, so that each call sees other mutants; a message names the seed of its own.
end=$((SECONDS + 60 * minutes)) seed=$(date +%s)000 rounds=0 failed=0
while ((SECONDS < end)); do
  GOMP_SPINCOUNT=2000 "$fuzz" "${2:-all}" 200 "$seed" || failed=$((failed + 1))
  seed=$((seed + 200)) rounds=$((rounds + 1))
done
echo "fuzz: $rounds rounds of 200 mutants a target in $minutes minutes, $failed of them with findings"
((failed == 0))
