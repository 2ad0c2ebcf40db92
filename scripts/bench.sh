#!/usr/bin/env bash
# Measures Fairlead beside CNCF distribution and nginx: a few minutes. With
# -update the long run, which writes its table into docs/performance.md. Other
# arguments: go run . -help in test/bench.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

out=$PWD/bin
mkdir -p "$out"
(cd test/bench && CGO_ENABLED=0 GOFLAGS=-buildvcs=false go build -o "$out/bench" .)
exec "$out/bench" -root "$PWD" "$@"
