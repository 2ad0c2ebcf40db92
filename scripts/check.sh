#!/usr/bin/env bash
# Everything that can be said about the code without running its tests, and
# the import rules. Runs all of it and fails at the end, naming what failed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

tools=$PWD/bin/tools
modules=(. test/bench test/clients test/cluster test/crash test/fault test/keyring)
failed=()
out=$(mktemp -d) || exit
trap 'rm -rf "$out"' EXIT

# What a step that fails printed is printed again at the end, where a log that
# was cut still has it.
step() { # NAME COMMAND...
	local name=$1
	shift
	printf 'check: %s\n' "$name"
	if ! "$@" 2>&1 | tee "$out/step"; then
		failed+=("$name")
		{
			printf 'check: %s, which failed:\n' "$name"
			tail -n 60 "$out/step"
		} >>"$out/failed"
	fi
}

each() { # DIR COMMAND...: the command in the folder
	(cd "$1" && shift && "$@")
}

formatted() {
	local bad
	bad=$("$tools/gofumpt" -l api cmd deploy dockerconfig internal keyring test) || return 1
	[ -z "$bad" ] || {
		printf 'not formatted; run bin/tools/gofumpt -w on:\n%s\n' "$bad"
		return 1
	}
}

scripts() {
	if command -v shellcheck >/dev/null; then
		shellcheck scripts/*.sh .ci/run
	else
		printf 'SKIPPED: shellcheck is not installed\n'
	fi
}

# What is made of api/v1alpha1 must be what is committed.
generated() {
	local dir bad=0
	dir=$(mktemp -d) || return 1
	if "$tools/controller-gen" object paths=./api/v1alpha1/... output:object:dir="$dir" &&
		"$tools/controller-gen" crd:crdVersions=v1 paths=./api/v1alpha1/... output:crd:dir="$dir/crds"; then
		diff -r -x Kustomization "$dir/crds" deploy/crds || bad=1
		diff "$dir/zz_generated.deepcopy.go" api/v1alpha1/zz_generated.deepcopy.go || bad=1
	else
		bad=1
	fi
	rm -rf "$dir"
	[ "$bad" = 0 ] || printf 'run make generate\n'
	return "$bad"
}

step format formatted
step 'generated files' generated
step scripts scripts
for m in "${modules[@]}"; do
	step "vet $m" each "$m" go vet ./...
	step "lint $m" each "$m" "$tools/golangci-lint" run --timeout 10m ./...
	step "modules $m" each "$m" go mod verify
done
# The Kubernetes of the tests is two small files in front of 2,700 packages,
# all of which vet would read; the build has compiled them.
step "modules test/cluster/kubernetes" each test/cluster/kubernetes go mod verify
# Their results depend on the whole tree, which the test cache does not see.
step "import rules and requirements" go test -count=1 ./internal/arch
step "documents follow the code" go test -count=1 -run TestDocs ./internal/config
step vulnerabilities scripts/vulnerabilities.sh "${modules[@]}"

if [ "${#failed[@]}" -gt 0 ]; then
	cat "$out/failed" >&2
	printf 'check: FAILED: %s\n' "$(IFS=';'; echo "${failed[*]}")" >&2
	exit 1
fi
printf 'check: all good\n'
