package cli

import (
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"fairlead.dev/fairlead/internal/kube"
)

// TestSourceName: every host has a name that Kubernetes takes, and hosts that
// differ have different ones.
func TestSourceName(t *testing.T) {
	t.Parallel()
	valid := regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	long := strings.Repeat(strings.Repeat("a", 49)+".", 5) // 250 bytes
	seen := map[string]bool{}
	for host, want := range map[string]string{
		"registry.example:5443": "fairlead-token-registry.example-5443", "[::1]:5000": "fairlead-token-1-5000",
		long[:238]: "fairlead-token-" + long[:238],
		long[:239]: "", long + "b": "", long + "c": "", long[:221] + "." + strings.Repeat("d", 30): "",
	} {
		got := sourceName(&clusterRegistry{url: &url.URL{Host: host}})
		if len(got) > 253 || !valid.MatchString(got) || seen[got] || want != "" && got != want {
			t.Errorf("%s: %s of %d bytes", host, got, len(got))
		}
		seen[got] = true
	}
}

// TestUsersOf: a source is for attach's own policies alone, and what the
// operator says of it stays.
func TestUsersOf(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		policies, namespaces string // there
		own                  bool
		want                 map[string]string
	}{
		{"", "", false, map[string]string{policiesMark: "fairlead"}},
		{"", "", true, map[string]string{policiesMark: "fairlead", namespacesMark: "fairlead-system"}},
		{"fairlead", "fairlead-system", true, map[string]string{policiesMark: "fairlead", namespacesMark: "fairlead-system"}},
		{"fairlead", "fairlead-system", false, map[string]string{policiesMark: "fairlead"}},
		{"fairlead,more", "fairlead-system, shop", true, map[string]string{policiesMark: "fairlead,more", namespacesMark: "fairlead-system, shop"}},
		{"", "fairlead-system,shop", true, map[string]string{namespacesMark: "fairlead-system,shop"}}, // narrowed
		{"", "shop, test", true, map[string]string{namespacesMark: "shop,test,fairlead-system"}},
		{"", "shop", false, map[string]string{namespacesMark: "shop"}},
		{"other", "", false, map[string]string{policiesMark: "other"}},
		{"other", "*", true, map[string]string{policiesMark: "other", namespacesMark: "*"}},
	} {
		there := object("v1", "Secret", "fairlead-system", "fairlead-token-x")
		for key, names := range map[string]string{policiesMark: x.policies, namespacesMark: x.namespaces} {
			if names != "" {
				there.In("metadata", "annotations")[key] = names
			}
		}
		if got := usersOf(there, x.own); !maps.Equal(got, x.want) {
			t.Errorf("%+v: %v", x, got)
		}
	}
	if got := usersOf(nil, true); !maps.Equal(got, map[string]string{policiesMark: "fairlead", namespacesMark: "fairlead-system"}) {
		t.Errorf("of a new source: %v", got)
	}
}

// TestEntriesWith: attach's own entries keep how they were set, others' stay,
// and those of a registry that is left out go.
func TestEntriesWith(t *testing.T) {
	t.Parallel()
	const fresh = `[{"host":"a.example","fairlead":{"tokenSecret":"fairlead-token-a.example"}},{"host":"b.example","fairlead":{"tokenSecret":"fairlead-token-b.example"}}]`
	for there, want := range map[string]string{
		`[]`: fresh,
		`[{"host":"docker.io","secret":{"name":"hub"}},{"host":"b.example","namespaces":["n"],"fairlead":{"tokenSecret":"fairlead-token-b.example","lifetime":"48h","renewAfter":"1h"}},{"host":"wrong","namespaces":["m"],"fairlead":{"tokenSecret":"fairlead-token-b.example"}},{"host":"c.example","fairlead":{"tokenSecret":"fairlead-token-c.example"}},{"host":"d.example","fairlead":{"tokenSecret":"theirs"}}]`: `[{"host":"a.example","fairlead":{"tokenSecret":"fairlead-token-a.example"}},{"host":"b.example","namespaces":["n"],"fairlead":{"tokenSecret":"fairlead-token-b.example","lifetime":"48h","renewAfter":"1h"}},{"host":"b.example","namespaces":["m"],"fairlead":{"tokenSecret":"fairlead-token-b.example"}},{"host":"docker.io","secret":{"name":"hub"}},{"host":"d.example","fairlead":{"tokenSecret":"theirs"}}]`,
	} {
		var a, b []kube.Object
		var w []any
		if err := errors.Join(json.Unmarshal([]byte(fresh), &a), json.Unmarshal([]byte(there), &b), json.Unmarshal([]byte(want), &w)); err != nil {
			t.Fatal(err)
		}
		got, _ := json.Marshal(entriesWith(a, b))
		if wanted, _ := json.Marshal(w); string(got) != string(wanted) {
			t.Errorf("of %s\ngot  %s\nwant %s", there, got, wanted)
		}
	}
}

// TestJudgement: an attach waits until the controller has looked at the present
// policy and has its credentials; that some namespace fails it only says.
func TestJudgement(t *testing.T) {
	t.Parallel()
	const status = `{"metadata":{"generation":2,"name":"fairlead"},"kind":"ClusterPullSecret","status":{"observedGeneration":%OBSERVED%,"namespaces":9,"failing":2,"conditions":[%CONDITIONS%]}}`
	one := func(kind, is, of string) string {
		return `{"type":"` + kind + `","status":"` + is + `","observedGeneration":` + of + `,"reason":"Of` + kind + `","message":"why"}`
	}
	for _, x := range []struct {
		observed, conditions string
		settled, ready       bool
		why                  string
	}{
		{"0", "", false, false, "the controller did not look at it yet"},
		{"1", one("CredentialsReady", "True", "1") + "," + one("Ready", "True", "1"), false, false, "the controller did not look at it yet"},
		{"2", one("CredentialsReady", "True", "2") + "," + one("Ready", "True", "1"), false, false, "the controller did not look at it yet"},
		{"2", one("CredentialsReady", "True", "2") + "," + one("Ready", "True", "2"), true, true, ""},
		{"2", one("CredentialsReady", "True", "2") + "," + one("Ready", "False", "2"), true, false, "OfReady: why"},
		{"2", one("CredentialsReady", "False", "2") + "," + one("Ready", "False", "2"), false, false, "OfCredentialsReady: why"},
		{"2", one("Ready", "False", "2") + "," + one("CredentialsReady", "False", "2"), false, false, "OfCredentialsReady: why"},
	} {
		o, err := kube.ParseObject([]byte(strings.NewReplacer("%OBSERVED%", x.observed, "%CONDITIONS%", x.conditions).Replace(status)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := judgementOf(o)
		if err != nil || got.settled != x.settled || got.ready != x.ready || !x.ready && got.why != x.why {
			t.Errorf("%+v: %+v, %v", x, got, err)
		}
	}
	var said strings.Builder
	judgement{policy: "the ClusterPullSecret fairlead", namespaces: 9, bad: 2, why: "NotOurs: shop: why"}.warn(&said)
	if want := "warning: the ClusterPullSecret fairlead fails in 2 of 9 namespaces: NotOurs: shop: why."; !strings.HasPrefix(said.String(), want) {
		t.Errorf("it says %s", &said)
	}
}
