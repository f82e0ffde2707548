#!/usr/bin/env bash
# Installs what building and running steplapse need; with `export`, what exporting models needs besides, and with `test`
# what the tests need too. Says what it fetches, and what disk and time that takes, before it does; and leaves alone what
# is there. Where it can't install, it names what is missing.
#
#   scripts/setup.sh [export|test]
#   STEPLAPSE_TORCH=DIR scripts/setup.sh    with an official libtorch, or a torch package's folder, in place of pip's
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*"; }
fail() {
  say "$*" >&2
  exit 1
}

# Each Debian package, and what shows that it is there, however it came.
needed() {
  cat <<'END_OF_TABLE'
g++                    compiler
cmake                  cmake
ninja-build            command ninja
pkg-config             command pkg-config
libcli11-dev           header CLI/CLI.hpp
nlohmann-json3-dev     header nlohmann/json.hpp
libstb-dev             header stb/stb_image_write.h
libsentencepiece-dev   header sentencepiece_processor.h
libsqlite3-dev         library sqlite3
libdeflate-dev         library libdeflate
libseccomp-dev         library libseccomp
libssl-dev             library libcrypto
libicu-dev             library icu-uc
libcairo2-dev          library cairo
libpango1.0-dev        library pangocairo
libpng-dev             library libpng
libwebp-dev            library libwebpmux
END_OF_TABLE
  if $with_python; then
    echo 'python3-venv           python'
  fi
  if $with_tests; then
    cat <<'END_OF_TABLE'
libgtest-dev           library gtest_main
libgmock-dev           library gmock
sqlite3                command sqlite3
libimage-exiftool-perl command exiftool
ffmpeg                 command ffmpeg
chromium               command chromium
slurm-wlm              command sbatch
munge                  command munge
parallel               command parallel
fonts-noto-color-emoji file /usr/share/fonts/truetype/noto/NotoColorEmoji.ttf
unicode-cldr-core      file /usr/share/unicode/cldr/common/annotations/en.xml
wordnet-base           file /usr/share/wordnet/data.noun
END_OF_TABLE
  fi
}

preprocesses() { "${CXX:-c++}" -std=c++20 -E -x c++ - >/dev/null 2>&1; }

has_file() { [[ -e $1 ]]; }
has_command() { command -v "$1" >/dev/null; }
has_library() { pkg-config --exists "$1" 2>/dev/null; }
has_header() { printf '#if !__has_include(<%s>)\n#error\n#endif\n' "$1" | preprocesses; }
has_compiler() {
  printf '#include <coroutine>\n#if __clang__ ? __clang_major__ < 14 : __GNUC__ < 12\n#error\n#endif\n' | preprocesses
}
has_cmake() { has_command cmake && printf '3.25\n%s\n' "$(cmake --version | grep -om1 '[0-9][0-9.]*')" | sort -CV; }
has_python() { python3 -c 'import ensurepip, venv' 2>/dev/null; }

find_missing() {
  local package probe name
  missing=()
  while read -r package probe name; do
    "has_$probe" "$name" || missing+=("$package")
  done <<<"$(needed)"
}

fail_missing() {
  fail "missing: ${missing[*]} (Debian's names; g++ from 12 or clang from 14, cmake from 3.25). Install them, and call this again"
}

install_packages() {
  local sudo=()
  if ((EUID != 0)); then
    has_command sudo || fail_missing
    sudo=(sudo)
  fi
  has_command apt-get || fail_missing
  say "apt-get installs ${missing[*]}"
  "${sudo[@]}" apt-get update -q || say 'apt-get update failed; trying with the package lists that are there'
  # apt-get says how much it will fetch.
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" ||
    fail_missing
}

# A requirements file that is installed has left a copy of itself in .venv.
done_mark() { echo ".venv/installed-${1##*/}"; }
is_installed() { cmp -s "$1" "$(done_mark "$1")"; }

# Installs a requirements file into .venv, unless this was done. What follows the file goes to pip.
install_requirements() {
  local file=$1
  shift
  if is_installed "$file"; then return; fi
  say "pip installs $(grep -o '^[^#].*' "$file" | paste -sd ' ') into .venv"
  .venv/bin/python -m pip --version >/dev/null 2>&1 || python3 -m venv .venv
  .venv/bin/python -m pip install "$@" -r "$file" ||
    fail "pip could not install $file (another libtorch: STEPLAPSE_TORCH=DIR, a folder with include/ and lib/)"
  cp "$file" "$(done_mark "$file")"
}

# Says what will be fetched, and refuses where it would not fit. The figures were measured on Debian 12 with torch 2.13;
# the time is that of 2 cores, the network's comes on top.
announce() {
  local megabytes=0 seconds=0 free
  free=$(df -Pm . | awk 'NR == 2 { print $4 }')
  expect() {
    say "$1"
    megabytes=$((megabytes + $2)) seconds=$((seconds + $3))
  }
  if ((${#missing[@]} > 0)) && $with_tests; then
    expect "${#missing[@]} Debian packages: up to 350 MB to fetch, 1.3 GB on disk" 1300 120
  elif ((${#missing[@]} > 0)); then
    expect "${#missing[@]} Debian packages: up to 100 MB to fetch, 0.3 GB on disk" 300 60
  fi
  if $with_torch && ! is_installed scripts/requirements.txt; then
    expect 'libtorch: 200 MB to fetch and 0.9 GB on disk for the CPU build, 2.7 GB and 4.8 GB for the CUDA build' 900 30
    if ((free < megabytes + 3900)); then say "the CUDA build would not fit: $free MB are free"; fi
  fi
  if $with_export && ! is_installed scripts/requirements-dev.txt; then
    expect 'diffusers and what exporting needs: 100 MB to fetch, 0.7 GB on disk' 700 60
  fi
  if ((megabytes == 0)); then return; fi
  say "all: at least $megabytes MB of disk ($free MB are free), and about $seconds s beside the downloads"
  ((free >= megabytes)) || fail "$PWD has $free MB free, $megabytes MB are needed"
}

with_tests=false with_export=false
case ${1:-} in
  '') ;;
  export) with_export=true ;;
  test) with_tests=true with_export=true ;;
  *) fail "unknown '$1'; wanted: scripts/setup.sh [export|test]" ;;
esac
with_torch=true
if [[ -n ${STEPLAPSE_TORCH:-} ]]; then with_torch=false; fi
with_python=false
if $with_export || $with_torch; then with_python=true; fi

find_missing
announce
if ((${#missing[@]} > 0)); then
  install_packages
  find_missing
  ((${#missing[@]} == 0)) || fail_missing
fi
if $with_torch; then
  install_requirements scripts/requirements.txt
fi
if $with_export; then
  install_requirements scripts/requirements-dev.txt
  install_requirements scripts/requirements-no-deps.txt --no-deps
fi
