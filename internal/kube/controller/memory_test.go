package controller

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/pullplan"
	"fairlead.dev/fairlead/internal/pullsecret"
)

func contains(text, part string) bool { return strings.Contains(text, part) }

// TestRecent: our write counts until the cache has it, or was given time enough
// to.
func TestRecent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecent()
		known := func(cached string) bool { _, is := r.newer("secret", "ns", "name", cached); return is }
		if known("") {
			t.Error("it knows what was not written")
		}
		r.put("secret", "ns", "name", "10", "it")
		if _, is := r.newer("account", "ns", "name", ""); is {
			t.Error("another kind is the same")
		}
		if !known("") || !known("9") {
			t.Error("a cache that lags is believed")
		}
		if known("10") || known("9") {
			t.Error("the cache has it, and is not believed")
		}
		r.put("secret", "ns", "name", "12", "it")
		time.Sleep(recentTime + time.Millisecond)
		if known("9") {
			t.Error("it is believed for ever")
		}
		r.put("secret", "ns", "name", "opaque", "it")
		if known("9") {
			t.Error("versions that cannot be compared were")
		}
		r.put("secret", "ns", "name", "13", "it")
		r.drop("secret", "ns", "name")
		r.put("account", "ns", "name", "13", "it")
		r.dropAll("ns")
		if known("9") || len(r.of) != 0 {
			t.Errorf("it keeps %v", r.of)
		}
	})
}

// TestBudgets: twenty refused writes at once, then one in a second, sixty minted
// tokens, then one in a minute; in this namespace alone.
func TestBudgets(t *testing.T) {
	t.Parallel()
	for _, one := range []struct {
		budget func() *budget
		burst  int
		every  time.Duration
	}{
		{newFailures, 20, time.Second},
		{func() *budget { return newMints(time.Now) }, 60, time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := one.budget()
			for i := range one.burst {
				if got := b.pause("ns"); got != 0 {
					t.Fatalf("after %d it waits %s", i, got)
				}
				b.spend("ns")
			}
			if got := b.pause("ns"); got <= 0 || got > one.every {
				t.Errorf("it waits %s", got)
			}
			if got := b.pause("other"); got != 0 {
				t.Errorf("another namespace waits %s", got)
			}
			time.Sleep(one.every)
			if got := b.pause("ns"); got != 0 {
				t.Errorf("after %s it waits %s", one.every, got)
			}
			time.Sleep(time.Duration(one.burst) * one.every)
			b.spend("other")
			if len(b.of) != 1 {
				t.Errorf("it remembers %d namespaces, want 1", len(b.of))
			}
		})
	}
}

// TestLate: a status waits for verdicts for ten seconds, and is then written
// once in ten; another spec waits anew.
func TestLate(t *testing.T) {
	t.Parallel()
	b, id := newBoard(), pullplan.ID{Kind: kindCluster, Name: "p"}
	for _, one := range []struct {
		generation int64
		at         time.Duration
		want       bool
	}{
		{1, 0, false},
		{1, 9 * time.Second, false},
		{1, 10 * time.Second, true},
		{1, 11 * time.Second, false},
		{1, 20 * time.Second, true},
		{2, 31 * time.Second, false},
		{2, 40 * time.Second, false},
		{2, 41 * time.Second, true},
	} {
		if got := b.late(id, one.generation, noon.Add(one.at)); got != one.want {
			t.Errorf("generation %d after %s: %v", one.generation, one.at, got)
		}
	}
	b.whole(id)
	if b.late(id, 2, noon.Add(time.Hour)) {
		t.Error("it was whole in between")
	}
}

// TestRepairs: five at once, then one in ten seconds; what was refused, and
// what has other content, is no repair.
func TestRepairs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRepairs()
		secret := func(text string) pullplan.Decision {
			return pullplan.Decision{Verb: pullplan.ApplySecret, Object: "pull", Reason: pullplan.Differs, Secret: pullsecret.Secret{Data: map[string][]byte{pullsecret.KeyConfigJSON: []byte(text)}}}
		}
		for range 50 {
			if r.pause("ns", secret("a")) != 0 {
				t.Fatal("what is not done counts")
			}
		}
		for i := range repairBurst {
			if got := r.pause("ns", secret("a")); got != 0 {
				t.Fatalf("repair %d waits %s", i, got)
			}
			r.wrote("ns", secret("a"))
		}
		if got := r.pause("ns", secret("a")); got <= 0 || got > repairEvery {
			t.Errorf("the next one waits %s", got)
		}
		if r.pause("other", secret("a")) != 0 || r.pause("ns", pullplan.Decision{Verb: pullplan.SetList, Object: "pull"}) != 0 {
			t.Error("one holds up others")
		}
		time.Sleep(repairEvery)
		if got := r.pause("ns", secret("a")); got != 0 {
			t.Errorf("after ten seconds it waits %s", got)
		}
		r.wrote("ns", secret("a"))
		if r.pause("ns", secret("a")) == 0 || r.pause("ns", secret("b")) != 0 {
			t.Error("other content waits")
		}
		r.drop("ns")
		if len(r.of) != 1 {
			t.Errorf("it keeps %d namespaces", len(r.of))
		}
	})
}

// TestBoard: the verdicts of a generation, and which are news.
func TestBoard(t *testing.T) {
	t.Parallel()
	b := newBoard()
	one, two := pullplan.ID{Kind: kindCluster, Name: "one"}, pullplan.ID{Kind: kindOne, Namespace: "ns", Name: "two"}
	generations := map[pullplan.ID]int64{one: 3, two: 1}
	set := func(verdicts ...pullplan.Verdict) string {
		var news []string
		for _, v := range b.set("ns", generations, verdicts) {
			news = append(news, v.Policy.Name+" "+string(v.Reason))
		}
		return strings.Join(news, ", ")
	}
	for i, c := range []struct {
		verdicts []pullplan.Verdict
		news     string
	}{
		{[]pullplan.Verdict{verdict(one, pullplan.Ready, "a"), verdict(two, pullplan.Conflict, "b")}, "one Ready, two Conflict"},
		{[]pullplan.Verdict{verdict(one, pullplan.Ready, "c"), verdict(two, pullplan.Conflict, "b")}, ""},
		{[]pullplan.Verdict{verdict(one, pullplan.NotOurs, "c")}, "one NotOurs"},
	} {
		if got := set(c.verdicts...); got != c.news {
			t.Errorf("%d: news are %q, want %q", i, got, c.news)
		}
	}
	if n, is := b.of(one, "ns", 3); !is || n.reason != pullplan.NotOurs {
		t.Errorf("it is %v", n)
	}
	for name, is := range map[string]bool{"another generation": second(b.of(one, "ns", 2)), "another namespace": second(b.of(one, "x", 3)), "not chosen any more": second(b.of(two, "ns", 1))} {
		if is {
			t.Errorf("%s is known", name)
		}
	}
	b.drop("ns")
	if second(b.of(one, "ns", 3)) {
		t.Error("a namespace that is gone is known")
	}
	set(verdict(one, pullplan.Ready, ""))
	b.forget(one)
	if second(b.of(one, "ns", 3)) {
		t.Error("a policy that is gone is known")
	}
}

func verdict(id pullplan.ID, r pullplan.Reason, text string) pullplan.Verdict {
	return pullplan.Verdict{Policy: id, Reason: r, Message: text}
}

func second[T any](_ T, is bool) bool { return is }

// TestSlim: of an account stays what a plan needs, and who wrote its list.
func TestSlim(t *testing.T) {
	t.Parallel()
	fields := func(manager, text string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Manager: manager, Operation: "Apply", FieldsV1: metav1.NewFieldsV1(text)}
	}
	a := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{
		Name: "default", Labels: map[string]string{"l": "v"}, Annotations: map[string]string{"x": "large", pullplan.ListAnnotation: "pull"},
		ManagedFields: []metav1.ManagedFieldsEntry{fields("flux", `{"f:imagePullSecrets":{}}`), fields("other", `{"f:metadata":{}}`)},
	}, Secrets: []corev1.ObjectReference{{Name: "s"}}}
	got, err := slim(a)
	if err != nil {
		t.Fatal(err)
	}
	one := got.(*corev1.ServiceAccount)
	if fmt.Sprint(one.Annotations) != fmt.Sprint(map[string]string{pullplan.ListAnnotation: "pull", writerKey: "flux"}) || one.ManagedFields != nil || one.Secrets != nil || one.Labels["l"] != "v" {
		t.Errorf("it is %v", one)
	}
	again, err := slim(one)
	if err != nil || again.(*corev1.ServiceAccount).Annotations[writerKey] != "flux" {
		t.Errorf("the second time it is %v %v", again, err)
	}
	ours := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{fields(kube.Manager, `{"f:imagePullSecrets":{}}`)}}}
	if got, err := slim(ours); err != nil || len(got.(*corev1.ServiceAccount).Annotations) != 0 {
		t.Errorf("it is %v, %v", got, err)
	}
}

// TestOptions: what cannot be used is said by name.
func TestOptions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		o    Options
		says string
	}{
		{Options{SecretNames: []string{"a"}}, "namespace"},
		{Options{Cluster: kube.Options{Namespace: "x"}}, "secret name"},
		{Options{Cluster: kube.Options{Namespace: "x"}, SecretNames: []string{"Upper"}}, `"Upper"`},
		{Options{Cluster: kube.Options{Namespace: "x"}, SecretNames: []string{""}}, `""`},
	} {
		if err := c.o.Check(); err == nil || !contains(err.Error(), c.says) {
			t.Errorf("%v: %v, want %s", c.o.SecretNames, err, c.says)
		}
	}
	o := Options{Cluster: kube.Options{Namespace: "x"}, SecretNames: []string{"b", "a", "b"}}
	if err := o.Check(); err != nil || fmt.Sprint(o.SecretNames) != "[a b]" || o.Now == nil || o.Log == nil {
		t.Errorf("%v %v", err, o.SecretNames)
	}
}
