# shellcheck shell=bash
# What the scripts beside this file share. Sourced by bash after `set -euo pipefail`; leaves the caller in the root of
# the repository. Progress goes to stderr: stdout belongs to the result.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

# Debian 12 and Ubuntu 24.04 have all of these. GoogleTest is not among the tests' packages: a plain `cmake --preset` in
# this repository configures the tests too.
# shellcheck disable=SC2034  # used by the scripts that source this
build_packages=(
  ca-certificates ccache cmake g++ git libbenchmark-dev libcli11-dev libdnnl-dev libfmt-dev libgmock-dev libgtest-dev
  libprotobuf-dev libre2-dev libstb-dev libxxhash-dev ninja-build nlohmann-json3-dev pkg-config protobuf-compiler zlib1g-dev
)
# shellcheck disable=SC2034
test_packages=(libonnx-dev libonnx-testdata python3 python3-dev python3-pip python3-venv)

say() { printf '== %s\n' "$*" >&2; }

die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# help_from_header FILE: prints the comment at the top of a script, which is its manual.
help_from_header() { sed -n '2,/^[^#]/{ s/^# \{0,1\}//p; }' "$1"; }

# quietly WHAT COMMAND...: runs it, and shows what it printed only if it fails.
quietly() {
  local what=$1 log status=0
  shift
  say "$what"
  log=$(mktemp)
  "$@" </dev/null >"$log" 2>&1 || status=$?
  if ((status != 0)); then
    cat "$log" >&2
    rm -f "$log"
    die "failed with status $status: $*"
  fi
  rm -f "$log"
}

# as_root COMMAND...: asks for a password only when there is somebody to ask.
as_root() {
  if ((EUID == 0)); then
    "$@"
  elif [[ -t 0 && -z ${CI:-} ]]; then
    sudo "$@"
  else
    sudo -n "$@"
  fi
}

# install_packages NAME...: those that are not there yet, from apt.
install_packages() {
  local name missing=()
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    die "needs apt (Debian 12, Ubuntu 24.04, or newer); elsewhere, install the counterparts of: $*"
  fi
  for name in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) == installed ]] || missing+=("$name")
  done
  if ((${#missing[@]} == 0)); then
    return
  fi
  if ((EUID != 0)); then
    command -v sudo >/dev/null || die "neither root nor sudo; as root: apt-get install ${missing[*]}"
    # Here, not in quietly: a question for a password must reach the terminal.
    as_root true || die "sudo refused; as root: apt-get install ${missing[*]}"
  fi
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y
    -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o Dpkg::Options::=--force-confold)
  quietly "updating apt's lists" as_root "${apt[@]}" update
  quietly "installing ${missing[*]}" as_root "${apt[@]}" install --no-install-recommends "${missing[@]}"
}

# configure PRESET [CMAKE ARGUMENT...]
configure() {
  local preset=$1
  shift
  quietly "configuring build/$preset" cmake --preset "$preset" "$@"
}

# build PRESET [TARGET...]: the compiler's progress stays visible, for it takes minutes.
build() {
  local preset=$1
  shift
  say "building build/$preset"
  cmake --build --preset "$preset" ${1:+--target "$@"} </dev/null >&2
}
