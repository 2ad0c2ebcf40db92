package kube

import (
	"testing"
)

func parsed(t *testing.T, text string) Object {
	t.Helper()
	o, err := ParseObject([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestSame: what the API server notes for itself is no change; what somebody
// means is.
func TestSame(t *testing.T) {
	t.Parallel()
	const base = "apiVersion: v1\nkind: Secret\nmetadata: {name: a, labels: {x: y}, resourceVersion: '1'}\ndata: {a: Yg==}\n"
	for text, want := range map[string]bool{
		base: true,
		"apiVersion: v1\nkind: Secret\nmetadata: {name: a, labels: {x: y}, resourceVersion: '2', managedFields: []}\ndata: {a: Yg==}\nstatus: {}\n": true,
		"apiVersion: v1\nkind: Secret\nmetadata: {name: a, labels: {x: z}, resourceVersion: '2'}\ndata: {a: Yg==}\n":                                false,
		"apiVersion: v1\nkind: Secret\nmetadata: {name: a, labels: {x: y}, resourceVersion: '2'}\ndata: {a: Yw==}\n":                                false,
	} {
		if got := same(parsed(t, base), parsed(t, text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	if same(nil, parsed(t, base)) {
		t.Error("nothing is the same as something")
	}
}

// TestParseObject takes what can be installed, and nothing else.
func TestParseObject(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "x", "{", "apiVersion: v1\nkind: Pod\nmetadata: {name: a}", "apiVersion: v1\nkind: Secret"} {
		if o, err := ParseObject([]byte(text)); err == nil {
			t.Errorf("%q is %v", text, o)
		}
	}
	o := parsed(t, "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: a, namespace: b}")
	if got := o.String(); got != "the Role a in b" {
		t.Errorf("it is %q", got)
	}
	o.SetLabel("k", "v")
	if o.Label("k") != "v" || o.Label("other") != "" {
		t.Errorf("its labels are %v", o["metadata"])
	}
}

// TestReady: a policy is ready when both of its conditions are about its
// present spec, and the credentials come first.
func TestReady(t *testing.T) {
	t.Parallel()
	const head = "apiVersion: fairlead.dev/v1alpha1\nkind: ClusterPullSecret\nmetadata: {name: a, generation: 2}\nstatus:\n  observedGeneration: "
	for text, want := range map[string]struct {
		ready bool
		why   string
	}{
		"2\n  conditions: [{type: Ready, status: 'True'}, {type: CredentialsReady, status: 'True'}]":                                                 {ready: true},
		"1\n  conditions: [{type: Ready, status: 'True'}]":                                                                                           {why: "the controller did not look at it yet"},
		"2\n  conditions: [{type: Ready, status: 'False', reason: NotOurs, message: x}]":                                                             {why: "NotOurs: x"},
		"2\n  conditions: [{type: Ready, status: 'False', reason: NotOurs}, {type: CredentialsReady, status: 'False', reason: Away, message: down}]": {why: "Away: down"},
		"2": {why: "the controller did not look at it yet"},
	} {
		if ready, why := Ready(parsed(t, head+text)); ready != want.ready || !ready && why != want.why {
			t.Errorf("%s: %v, %q", text, ready, why)
		}
	}
}
