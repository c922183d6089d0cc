# Shared by the tools: where caches live, how a step is reported, how missing packages are obtained.
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
CACHE="$ROOT/.cache"
mkdir -p "$CACHE"

say() { printf '\n== %s\n' "$*"; }

# need COMMAND DEBIAN-PACKAGE...: installs the packages if the command is missing and we may; else says what to install.
need() {
  local command="$1"; shift
  command -v "$command" >/dev/null 2>&1 && return 0
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    say "installing $* (for $command)"
    [ -e "$CACHE/.apt-updated" ] && [ -n "$(find "$CACHE/.apt-updated" -mmin -600)" ] || apt-get update -qq
    touch "$CACHE/.apt-updated"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >"$CACHE/apt.log" 2>&1 && command -v "$command" >/dev/null 2>&1 && return 0
    tail -5 "$CACHE/apt.log" >&2
  fi
  echo "missing: $command. Install it with: apt-get install $*" >&2
  return 1
}
