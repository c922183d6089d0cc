#!/usr/bin/env bash
# Obtains the Apache Kafka that the tests run against and prints the folder of its jars.
# Idempotent: the versions are pinned in pom.xml and the folder is named after that file's content.
# Needs Java 17 and Maven; nothing is written outside of the git-ignored .cache/ (and Maven's own cache).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
pin=$(sha256sum "$here/pom.xml" | cut -c1-12)
libs=${STREAMGAUGE_CACHE:-$root/.cache}/kafka-$pin/libs

if [[ ! -e $libs/.complete ]]; then
  rm -rf "$libs"
  mkdir -p "$libs"
  mvn -B -q -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$libs" >&2
  touch "$libs/.complete"
fi
echo "$libs"
