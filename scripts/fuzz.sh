#!/usr/bin/env bash
# Runs every fuzz target of the modules for FUZZTIME each (default: a minute).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for module in . test/keyring; do
	(
		cd "$module"
		for package in $(go list ./...); do
			for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
				printf 'fuzz: %s %s\n' "$package" "$target"
				go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-1m}" "$package"
			done
		done
	)
done
