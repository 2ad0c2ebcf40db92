package secret_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"fairlead.dev/fairlead/test/cluster/harness"
)

// TestManyNamespaces writes to 300 namespaces, to 5,000 in the long run, in
// pages that are much smaller, and then checks all secrets there are.
func TestManyNamespaces(t *testing.T) {
	n, limit := 300, 5*time.Second
	if os.Getenv("FAIRLEAD_LONG") == "1" {
		n = 5000
	}
	ns := harness.Cluster(t).Namespace(t)
	selector := "many=" + ns.Name
	var list strings.Builder
	for i := range n {
		fmt.Fprintf(&list, "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: %s-%d, labels: {many: %[1]s}}\n", ns.Name, i)
	}
	ns.Input(list.String(), "create", "-f", "-")

	create := []string{"secret", "create", "regcred", "--server", "registry.example", "--username", "jo", "--password-stdin", "--selector", selector, "--chunk-size", "37"}
	begun := time.Now()
	r := fairlead(t, ns, 0, "s3cr3t", create...)
	t.Logf("created in %d namespaces in %s", n, time.Since(begun).Round(time.Millisecond))
	if want := fmt.Sprintf("The secret regcred: created in %d namespaces.\n", n); r.Stdout != want {
		t.Errorf("create says %q, want %q", r.Stdout, want)
	}
	if time.Since(begun) > 15*time.Second && !strings.Contains(r.Stderr, "secrets: written ") {
		t.Errorf("no progress in %s: %s", time.Since(begun), r.Stderr)
	}
	if got := strings.Count(ns.Kubectl("get", "secrets", "-A", "--field-selector", "metadata.name=regcred", "-o", "name"), "\n"); got < n {
		t.Errorf("there are %d secrets, want %d", got, n)
	}
	begun = time.Now()
	if r := fairlead(t, ns, 0, "s3cr3t", create...); r.Stdout != fmt.Sprintf("The secret regcred: unchanged in %d namespaces.\n", n) {
		t.Errorf("create again says %q", r.Stdout)
	}
	t.Logf("unchanged in %d namespaces in %s", n, time.Since(begun).Round(time.Millisecond))

	// The controllers may still be making the service accounts.
	for range 300 {
		if strings.Count(ns.Kubectl("get", "serviceaccounts", "-A", "-o", "name"), "\n") >= n {
			break
		}
		time.Sleep(time.Second)
	}
	begun = time.Now()
	if r := fairlead(t, ns, 0, "", "secret", "use", "regcred", "--serviceaccount", "default", "--selector", selector); r.Stdout != fmt.Sprintf("The list of pull secrets: changed in %d service accounts.\n", n) {
		t.Errorf("use says %q", r.Stdout)
	}
	t.Logf("used by %d service accounts in %s", n, time.Since(begun).Round(time.Millisecond))

	begun = time.Now()
	r = ns.Run("", harness.FairleadBinary(), "secret", "check", "--all-namespaces", "-o", "json")
	took := time.Since(begun)
	t.Logf("checked in %s: %.80s", took.Round(time.Millisecond), strings.Join(strings.Fields(r.Stdout), " "))
	if r.Code > 1 || took > 4*limit { // other tests run at the same time
		t.Errorf("check of %d secrets took %s (exit code %d), want %s on a machine of its own\n%s", n, took, r.Code, limit, r.Stderr)
	}
}
