# Shared by the tools: where caches live, how a step is reported, how missing packages are obtained.
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
CACHE="${STREAMGAUGE_CACHE:-$ROOT/.cache}"
mkdir -p "$CACHE"

say() { printf '\n== %s\n' "$*"; }

# The folder that cargo builds into, wherever the user's settings put it.
target_dir() { cargo metadata --no-deps --format-version=1 --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/'; }

# need COMMAND PACKAGE...: true if the command is there, or could be installed from Debian; else says what to install.
# A package that is a sentence (it holds a blank) cannot be installed by us.
need() {
  local command="$1"; shift
  type -P "$command" >/dev/null && return 0
  if [[ "$*" != *" ("* ]]; then
    obtain "$@" && type -P "$command" >/dev/null && return 0
    echo "missing: $command. Install it with: apt-get install --no-install-recommends $*" >&2
  else
    echo "missing: $command. Install $*" >&2
  fi
  return 1
}

# obtain PACKAGE...: installs Debian packages where we may.
obtain() {
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || return 1
  say "installing $*" >&2
  if [ -z "$(find "$CACHE/.apt-updated" -mmin -600 2>/dev/null)" ]; then
    apt-get update -qq >"$CACHE/apt.log" 2>&1 && touch "$CACHE/.apt-updated"
  fi
  # A fresh machine may be busy with upgrades of its own.
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "$@" >>"$CACHE/apt.log" 2>&1 && return 0
  tail -5 "$CACHE/apt.log" >&2
  return 1
}

# patiently COMMAND...: what asks the network is asked up to three times.
patiently() {
  "$@" || { sleep 5; "$@"; } || { sleep 20; "$@"; }
}

# What librdkafka and its TLS are built with. OpenSSL's Configure needs modules that Debian's perl-base lacks.
need_build_tools() {
  need g++ g++ && need make make || return 1
  perl -MFindBin -MIPC::Cmd -MTime::Piece -e1 2>/dev/null && return 0
  obtain perl && perl -MFindBin -MIPC::Cmd -MTime::Piece -e1 2>/dev/null && return 0
  echo "missing: perl with its standard modules. Install it with: apt-get install --no-install-recommends perl" >&2
  return 1
}
