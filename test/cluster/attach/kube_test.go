package attach_test

import (
	"errors"
	"slices"
	"testing"

	"fairlead.dev/fairlead/dockerconfig"
	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/pullsecret"
	"fairlead.dev/fairlead/test/cluster/harness"
)

// TestRemove: a secret goes as it was read; what was written to or made anew
// since then stays.
func TestRemove(t *testing.T) {
	t.Parallel()
	ns := harness.Cluster(t).Namespace(t)
	k, err := kube.Open(kube.Options{Kubeconfig: ns.Kubeconfig, Page: 2, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	if uid, err := k.UID(t.Context()); err != nil || uid != ns.Kubectl("get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}") {
		t.Errorf("the cluster's UID is %q, %v", uid, err)
	}
	names := []string{"a", "b", "c", "d", "e"}
	for _, n := range names {
		s, err := pullsecret.Build(pullsecret.Recipe{
			Namespace: ns.Name, Name: n, Labels: map[string]string{"test.example/of": ns.Name},
			Entries: []dockerconfig.Entry{{Key: "registry.example", Username: "u", Password: "p"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.Apply(t.Context(), s, false); err != nil {
			t.Fatal(err)
		}
	}
	ns.Kubectl("create", "secret", "generic", "other", "--from-literal=a=b")
	var found []pullsecret.Secret
	var got []string
	for s, err := range k.Labelled(t.Context(), "test.example/of="+ns.Name) {
		if err != nil {
			t.Fatal(err)
		}
		found, got = append(found, s), append(got, s.Name)
	}
	if !slices.Equal(got, names) {
		t.Fatalf("labelled are %v, want %v", got, names)
	}

	ns.Kubectl("annotate", "secret", "a", "x=y")
	ns.Kubectl("delete", "secret", "b")
	ns.Kubectl("create", "secret", "generic", "b", "--from-literal=a=b")
	ns.Kubectl("delete", "secret", "c")
	for i, want := range []kube.Result{"", "", kube.Unchanged, kube.Removed} {
		r, err := k.Remove(t.Context(), found[i])
		var e *kube.Error
		if r != want || want == "" && (!errors.As(err, &e) || e.Reason != kube.Conflict) || want != "" && err != nil {
			t.Errorf("%s: %q, %v, want %q", names[i], r, err, want)
		}
	}
	if got := ns.Kubectl("get", "secrets", "-o", "jsonpath={.items[*].metadata.name}"); got != "a b e other" {
		t.Errorf("left are %s", got)
	}
}
