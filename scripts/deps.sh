#!/usr/bin/env bash
# Installs what the checks, the tests and the benchmarks need. Quick when
# everything is there already; says what it does, and what it cannot do.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf 'deps: %s\n' "$*"; }

need_go() {
	local want have
	want=$(awk '$1 == "go" { print $2; exit }' go.mod)
	if ! command -v go >/dev/null; then
		say "Go is missing: install Go $want or newer (https://go.dev/dl)"
		exit 1
	fi
	have=$(go env GOVERSION)
	have=${have#go}
	if [ "$(printf '%s\n' "$want" "${have%%[- ]*}" | sort -V | sed -n 1p)" != "$want" ]; then
		say "Go $have is too old: install Go $want or newer (https://go.dev/dl)"
		exit 1
	fi
}

# Packages: as root on Debian they are installed, elsewhere they are named.
packages() {
	local wanted=() missing=() name
	mapfile -t wanted < <(awk '!/^#/ && NF { print $1 }' scripts/packages.txt)
	if ! command -v dpkg-query >/dev/null; then
		say "this is no Debian: see that these are installed, tests that lack one say so: ${wanted[*]}"
		return
	fi
	for name in "${wanted[@]}"; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null || true)" = installed ] || missing+=("$name")
	done
	[ "${#missing[@]}" -gt 0 ] || return 0
	if [ "$(id -u)" -ne 0 ]; then
		say "missing packages; tests that lack one say so. To install them: sudo apt-get install --no-install-recommends ${missing[*]}"
		return
	fi
	say "installing packages: ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -q
	apt-get install -q -y --no-install-recommends "${missing[@]}"
}

# Tools: built once per pinned version; a stamp remembers which one is there.
tools() {
	local name module version stamp bin=$PWD/bin/tools failed=()
	mkdir -p "$bin/.stamps"
	while read -r name module version _; do
		case $name in "" | "#"*) continue ;; esac
		stamp=$bin/.stamps/$name@$version
		if [ -x "$bin/$name" ] && [ -e "$stamp" ]; then continue; fi
		say "building $name $version"
		# Outside of the module, so that its go.mod has no say; logs only on failure.
		if (cd / && GOBIN=$bin GOFLAGS='' go install "$module@$version") >"$bin/.log" 2>&1; then
			rm -f "$bin/.stamps/$name@"*
			: >"$stamp"
		else
			tail -n 5 "$bin/.log" >&2
			failed+=("$name")
		fi
	done <scripts/tools.txt
	rm -f "$bin/.log"
	if [ "${#failed[@]}" -gt 0 ]; then
		say "could not build: ${failed[*]}. Is the Go module proxy reachable? Run make deps again."
		exit 1
	fi
}

# The Kubernetes of the tests: minutes the first time, kept in the user's cache.
kubernetes() {
	(cd test/cluster && go run ./prepare) || {
		say "could not build Kubernetes. Is the Go module proxy reachable? Run make deps again."
		exit 1
	}
}

need_go
packages
tools
kubernetes
say "everything that can be installed is there"
