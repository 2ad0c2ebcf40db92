#!/usr/bin/env bash
# Runs govulncheck in the given module folders. A vulnerability fails; a
# database that cannot be reached is said, and passes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tool=$PWD/bin/tools/govulncheck
for dir in "$@"; do
	code=0
	out=$(cd "$dir" && "$tool" ./... 2>&1) || code=$?
	case $code in
	0) printf 'govulncheck: %s: nothing known\n' "$dir" ;;
	3)
		printf '%s\n' "$out"
		printf 'govulncheck: %s: update the modules named above\n' "$dir" >&2
		exit 1
		;;
	*)
		if grep -q 'fetching vulnerabilities' <<<"$out"; then
			printf 'govulncheck: SKIPPED %s: the vulnerability database cannot be reached from here\n' "$dir"
		else
			printf '%s\n' "$out" >&2
			exit 1
		fi
		;;
	esac
done
