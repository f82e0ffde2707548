#!/usr/bin/env bash
# Makes the figures again that the pages show of the program and of models/emoji-64, and puts each where it stands.
#
#   scripts/docs/refresh.sh                 all parts, about an hour on two cores
#   scripts/docs/refresh.sh film race      those parts alone
#   STEPLAPSE=build/dev/steplapse scripts/docs/refresh.sh ...    with another program than build/release/steplapse
#
# It needs what scripts/setup.sh test installs; evaluation and guidance need Debian's fonts-noto-color-emoji too. Speed
# (docs/performance.md) is apart: each table there names its command, which wants an idle machine.
set -euo pipefail
cd "$(dirname "$0")/../.."
STEPLAPSE=$(realpath "${STEPLAPSE:-build/release/steplapse}")
export STEPLAPSE_MODEL=$PWD/models/emoji-64
python=.venv/bin/python
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

place() { "$python" scripts/docs/place.py "$@"; }

film() { # two minutes
  printf '%s\n' "red apple" "hot beverage" snowman octopus rocket >"$work/prompts"
  "$STEPLAPSE" --prompts "$work/prompts" --seed 948574399 --steps 20 --out "$work/five" --progress none
  "$STEPLAPSE" film "$work"/five/0* docs/film.webp --kind both --label recipe --fps 6 --hold-last 2 --overwrite
}

films() { # ten minutes
  "$python" scripts/measure/films.py --program "$STEPLAPSE" --work "$work/films" >"$work/table"
  place docs/films.md "films: sizes" --table 1 <"$work/table"
  place docs/films.md "films: posted" --table 2 <"$work/table"
}

evaluation() { # ten minutes
  "$python" scripts/emoji/evaluate.py "$STEPLAPSE" --steps 5,10,20,30 >"$work/table"
  place models/emoji-64/README.md evaluation <"$work/table"
}

guidance() { # twenty minutes
  "$python" scripts/emoji/guidance_table.py "$STEPLAPSE" >"$work/table"
  place models/emoji-64/README.md guidance <"$work/table"
}

race() { # three minutes; the page explains the columns itself
  "$STEPLAPSE" race "red apple" "hot beverage" "castle" --samplers euler,euler_a,heun,dpmpp_2m,unipc,dpm_adaptive \
    --calls 5,10,20,40 --count 3 --progress none >"$work/race"
  {
    echo '```text'
    sed '/^$/{N;/\nseconds: /Q}' "$work/race"
    echo
    sed -n '/^within /,$p' "$work/race"
    echo '```'
  } >"$work/table"
  place docs/race.md race <"$work/table"
  "$STEPLAPSE" race "red apple" --calls 3,5,10 --strip docs/images/race-strip.png --overwrite --progress none >"$work/race"
  echo "docs/images/race-strip.png"
}

bits() { # five minutes
  "$python" scripts/measure/bits.py --program "$STEPLAPSE" --work "$work/bits" >"$work/table"
  place docs/reproducibility.md bits <"$work/table"
}

replays() { # three minutes
  "$python" scripts/measure/replays.py --program "$STEPLAPSE" --work "$work/replays" >"$work/table"
  place docs/reproducibility.md replays <"$work/table"
}

steps_differ() { # a minute
  "$python" scripts/docs/console.py docs/why-steps-differ.md
}

looking() { # half a minute
  "$python" scripts/docs/console.py docs/looking.md
  local draw=(--seed 948574399 --steps 20 --frames none --progress none --threads 1)
  (
    cd "$work"
    "$STEPLAPSE" "red apple" "${draw[@]}" --out apple
    "$STEPLAPSE" "red apple" "${draw[@]}" --sampler euler_a --out ancestral
    "$STEPLAPSE" "green apple" "${draw[@]}" --out green
  )
  "$STEPLAPSE" sheet "$work/apple" docs/images/sheet.png --rows x0,xt,diff --overwrite
  "$STEPLAPSE" sheet "$work/apple" docs/images/settled.png --map settled --overwrite
  "$STEPLAPSE" spectrum "$work/apple" --decoder full --at 1,3,5,8,20 --out docs/images/spectrum.svg --overwrite >"$work/table"
  (cd "$work" && "$STEPLAPSE" paths apple ancestral green --out paths.svg >table)
  mv "$work/paths.svg" docs/images/paths.svg
  echo "docs/images/spectrum.svg"
  echo "docs/images/paths.svg"
}

theory() { # five minutes; its bundle is made for it
  "$python" scripts/measure/theory.py docs --program "$STEPLAPSE" >"$work/table"
  echo "docs/sampler-orders.svg"
  echo "docs/sampler-distributions.svg"
  place docs/sampling.md "theory: orders" --table 1 <"$work/table"
  place docs/sampling.md "theory: distributions" --table 2 <"$work/table"
}

sweeps() { # a minute
  "$STEPLAPSE" sweep "red apple" --steps 3,5,10,20,50 --sampler ddim,euler,heun,dpmpp_2m --schedule karras \
    --seed 948574399 --out "$work/sweep" --progress none >"$work/table"
  "$STEPLAPSE" sweep grid "$work/sweep" --out docs/images/sweep-grid.png --overwrite
}

report() { # a minute
  "$python" scripts/docs/report_screenshots.py "$STEPLAPSE" docs/images
}

all=(film films evaluation guidance race bits replays steps_differ looking theory sweeps report)
parts=("$@")
if (($# == 0)); then parts=("${all[@]}"); fi
for part in "${parts[@]}"; do
  if [[ " ${all[*]} " != *" $part "* ]]; then
    echo "refresh.sh: unknown part '$part'; known: ${all[*]}" >&2
    exit 2
  fi
done
for part in "${parts[@]}"; do
  SECONDS=0
  echo "$part:"
  "$part"
  echo "$part took $SECONDS s"
done
echo "Read what the pages say around each figure: it was written of the one before (git diff)."
