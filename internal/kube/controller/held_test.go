package controller

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/pullplan"
	"fairlead.dev/fairlead/internal/pullsecret"
)

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// TestDue: a credential is renewed when the policy says, at 60 % of its life at
// the latest, and at once if the clock was set back.
func TestDue(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for name, c := range map[string]struct{ age, life, after, in time.Duration }{
		"as the policy says":         {0, 7 * day, day, day},
		"shorter life":               {0, 10 * time.Hour, day, 6 * time.Hour},
		"overdue":                    {2 * day, 7 * day, day, -day},
		"minted a little in advance": {-time.Minute, 7 * day, day, day + time.Minute},
		"minted by a wrong clock":    {-30 * day, 7 * day, day, 0},
		"no life":                    {0, 0, day, 0},
		"expired before it was made": {0, -day, day, -day * 6 / 10},
	} {
		h := held{minted: noon.Add(-c.age), expires: noon.Add(c.life - c.age)}
		if got := h.due(c.after, noon).Sub(noon); got != c.in {
			t.Errorf("%s: due in %s, want %s", name, got, c.in)
		}
	}
}

// TestHeldIn: a state that somebody spoilt is none.
func TestHeldIn(t *testing.T) {
	t.Parallel()
	good := map[string]string{mintedAnnotation: "2026-11-01T12:00:00Z", expiresAnnotation: "2026-11-08T12:00:00Z", tokenAnnotation: "id", sourceAnnotation: "s"}
	const document = `{"auths":{"reg.example":{"auth":"dG9rZW46cHc="}}}`
	h, is := heldIn(good, []byte(document), "reg.example")
	if !is || h.username != "token" || h.password != "pw" || h.token != "id" || h.source != "s" || !h.minted.Equal(noon) || !h.expires.Equal(noon.Add(168*time.Hour)) {
		t.Errorf("it is %v", is)
	}
	for name, c := range map[string]struct {
		a        map[string]string
		document string
		host     string
	}{
		"no times":       {map[string]string{tokenAnnotation: "id"}, document, "reg.example"},
		"another host":   {good, document, "other.example"},
		"no JSON":        {good, "x", "reg.example"},
		"empty":          {good, "", "reg.example"},
		"empty password": {good, `{"auths":{"reg.example":{"username":"token"}}}`, "reg.example"},
	} {
		if _, is := heldIn(c.a, []byte(c.document), c.host); is {
			t.Errorf("%s: it is one", name)
		}
	}
}

// TestAsked: a failure's pause doubles up to five minutes, whatever asks; a
// success is for ten minutes, a renewal that is due does not wait for it, and
// another source for nothing.
func TestAsked(t *testing.T) {
	t.Parallel()
	now := noon
	a := newAsked(func() time.Time { return now })
	pause := func(due bool) time.Duration {
		wait, _ := a.pause("state", "source", due)
		return wait
	}
	if pause(false) != 0 {
		t.Error("the first question waits")
	}
	down := errors.New("down")
	for want := time.Second; want < 2*lastPause; want *= 2 {
		if got := a.told("state", "source", down); got != min(want, lastPause) {
			t.Errorf("the pause is %s, want %s", got, want)
		}
		if got := pause(true); got != min(want, lastPause) {
			t.Errorf("it waits %s, want %s", got, want)
		}
		now = now.Add(min(want, lastPause))
		if got := pause(true); got != 0 {
			t.Errorf("after the pause it waits %s", got)
		}
	}
	if wait, err := a.pause("state", "another", true); wait != 0 || err != nil {
		t.Error("another source waits")
	}
	a.told("state", "source", nil)
	if got := pause(false); got != lookAgain {
		t.Errorf("after a success it waits %s", got)
	}
	if got := pause(true); got != firstPause {
		t.Errorf("a renewal that is due waits %s", got)
	}
	now = now.Add(-time.Hour)
	if got := pause(false); got != 0 {
		t.Errorf("after the clock was set back it waits %s", got)
	}
	if got := a.told("state", "source", down); got != firstPause {
		t.Errorf("the first pause after a success is %s", got)
	}
}

// TestAskedForgets: a state that nobody asks about any more, since its policy is
// gone, is forgotten; one that is asked about stays.
func TestAskedForgets(t *testing.T) {
	t.Parallel()
	now := noon
	a := newAsked(func() time.Time { return now })
	ask := func(state string) {
		if wait, err := a.pause(state, "source", true); wait != 0 || err != nil {
			t.Errorf("%s waits %s: %v", state, wait, err)
		}
		a.told(state, "source", nil)
	}
	ask("gone")
	for range 4 {
		ask("kept")
		now = now.Add(lookAgain)
	}
	ask("kept")
	if _, is := a.last["kept"]; !is || len(a.last) != 1 {
		t.Errorf("it remembers %v", a.last)
	}
}

// TestOutage: a registry that cannot be reached is asked by one state at a
// time, and no sooner than its pause is over, whichever state asks; others get
// that answer. Another registry waits for nothing.
func TestOutage(t *testing.T) {
	t.Parallel()
	now := noon
	a := newAsked(func() time.Time { return now })
	down := refused(pullplan.RegistryUnreachable, "down")
	states := 0
	waits := func(source string) (string, time.Duration, error) { // for a state that never asked
		states++
		name := fmt.Sprint("state", states)
		wait, err := a.pause(name, source, true)
		return name, wait, err
	}
	var asking []string
	for range 2 * mostAsks {
		name, wait, err := waits("hangs")
		if wait == 0 {
			asking = append(asking, name)
		} else if wait != firstPause || err != nil {
			t.Errorf("beyond the most it waits %s, %v", wait, err)
		}
	}
	if len(asking) != mostAsks {
		t.Errorf("%d ask at a time", len(asking))
	}
	for _, name := range asking {
		now = now.Add(time.Millisecond)
		a.told(name, "hangs", down)
	}
	for want := firstPause; want < 2*lastPause; want *= 2 {
		if _, wait, err := waits("hangs"); wait != min(want, lastPause) || !errors.Is(err, down) {
			t.Errorf("others wait %s, %v; want %s", wait, err, min(want, lastPause))
		}
		now = now.Add(min(want, lastPause))
		name, wait, _ := waits("hangs")
		if wait != 0 {
			t.Errorf("after the pause it waits %s", wait)
		}
		now = now.Add(askTime)
		if _, wait, err := waits("hangs"); wait != askTime || !errors.Is(err, down) {
			t.Errorf("while one asks others wait %s, %v", wait, err)
		}
		if _, wait, _ := waits(name); wait != 0 {
			t.Errorf("another registry waits %s", wait)
		}
		a.told(name, "hangs", down)
	}
	now = now.Add(-time.Hour)
	name, wait, _ := waits("hangs")
	if wait != 0 {
		t.Errorf("after the clock was set back it waits %s", wait)
	}
	a.told(name, "hangs", nil)
	if _, wait, err := waits("hangs"); wait != 0 || err != nil {
		t.Errorf("once it is reached others wait %s, %v", wait, err)
	}
	a.told("one", "gone", down)
	now = now.Add(time.Hour)
	a.told("two", "hangs", nil)
	if len(a.down) != 0 {
		t.Errorf("what nobody asks is kept: %v", a.down)
	}
}

// TestRequestKey: the same until a token was made, another for each policy,
// registry and token before.
func TestRequestKey(t *testing.T) {
	t.Parallel()
	of := func(uid, host, before string, at time.Time, ended int) string {
		p := clusterPolicy(&v1alpha1.ClusterPullSecret{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: types.UID(uid)}})
		return requestKey(p, v1alpha1.Registry{Host: host, Fairlead: &v1alpha1.FairleadSource{TokenSecret: "t"}}, before, at, ended)
	}
	one := of("a", "h", "", noon, 0)
	if of("a", "h", "", noon.Add(50*time.Hour), 0) != one {
		t.Error("it changes with time")
	}
	seen := map[string]bool{one: true}
	for _, other := range []string{of("b", "h", "", noon, 0), of("a", "i", "", noon, 0), of("a", "h", "x", noon, 0), of("a", "h", "", noon, 1), of("a", "h", "", noon, 2), of("a", "h", "", noon.Add(time.Hour), 1)} {
		if seen[other] {
			t.Error("two requests have one key")
		}
		seen[other] = true
	}
}

// TestConcerned: a state matters to its policy alone, what is none to all, and
// the webhook's certificate to nobody.
func TestConcerned(t *testing.T) {
	t.Parallel()
	k := &keeper{client: policiesOf{names: []string{"a", "b"}}, named: map[string]cache.Cache{"pull": nil}}
	secret := func(name, policy, state string) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
			Name: name, Annotations: map[string]string{pullplan.PolicyAnnotation: policy}, Labels: map[string]string{stateLabel: state},
		}}
	}
	const all = "[ClusterPullSecret/a ClusterPullSecret/b]"
	for name, c := range map[string]struct {
		s    *corev1.Secret
		want string
	}{
		"a state":                   {secret("fairlead-state-x", "PullSecret/ns/p", "credential"), "[PullSecret/ns/p]"},
		"one that somebody spoilt":  {secret("fairlead-state-x", "x", "credential"), all},
		"a source":                  {secret("hub", "", ""), all},
		"somebody's annotation":     {secret("hub", "PullSecret/ns/p", ""), all},
		"a pull secret of ours":     {secret("pull", "ClusterPullSecret/a", ""), "[]"},
		"somebody's of that name":   {secret("pull", "", ""), all},
		"the webhook's certificate": {secret(certificateName, "", ""), "[]"},
	} {
		got := []pullplan.ID{}
		if k.sources().Create(event.TypedCreateEvent[*corev1.Secret]{Object: c.s}) {
			got = k.concerned(t.Context(), c.s)
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
}

// policiesOf is an API with ClusterPullSecrets of these names alone.
type policiesOf struct {
	client.Client
	names []string
}

func (p policiesOf) List(_ context.Context, l client.ObjectList, _ ...client.ListOption) error {
	if all, is := l.(*v1alpha1.ClusterPullSecretList); is {
		for _, name := range p.names {
			all.Items = append(all.Items, v1alpha1.ClusterPullSecret{ObjectMeta: metav1.ObjectMeta{Name: name}})
		}
	}
	return nil
}

// TestAllows reads the annotations: in which of the namespaces a and b a source
// may be used, by a namespace's policy and by the ClusterPullSecrets p and q.
func TestAllows(t *testing.T) {
	t.Parallel()
	for _, one := range []struct{ namespaces, cluster, own, p, q string }{
		{"", "", "", "", ""},
		{"a", "", "a", "a", "a"},
		{"a, b", "", "ab", "ab", "ab"},
		{" * ", "", "ab", "ab", "ab"},
		{"ab", "", "", "", ""},
		{",", ",", "", "", ""},
		{"a*", "", "", "", ""},
		{"a,*", "", "ab", "ab", "ab"},
		{"", "p", "", "ab", ""},
		{"b", "p", "b", "ab", "b"},
		{"", " q ,p", "", "ab", "ab"},
		{"", "pq", "", "", ""},
		{"", "*", "", "", ""}, // each is named
	} {
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{namespacesAnnotation: one.namespaces, clusterAnnotation: one.cluster}}}
		for want, id := range map[*string]pullplan.ID{
			&one.own: {Kind: kindOne, Namespace: "a", Name: "p"}, // its name is a ClusterPullSecret's by chance
			&one.p:   {Kind: kindCluster, Name: "p"},
			&one.q:   {Kind: kindCluster, Name: "q"},
		} {
			got := ""
			for _, ns := range []string{"a", "b", ""} {
				if allows(s, id)(ns) {
					got += ns
				}
			}
			if got != *want {
				t.Errorf("%q and %q allow %s %q, want %q", one.namespaces, one.cluster, id, got, *want)
			}
		}
	}
}

// TestGiven: the entry is found as the kubelet finds it, whatever its key looks
// like, and what cannot be used is said without a password.
func TestGiven(t *testing.T) {
	t.Parallel()
	config := func(text string) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}, Type: corev1.SecretTypeDockerConfigJson, Data: map[string][]byte{pullsecret.KeyConfigJSON: []byte(text)}}
	}
	auths := func(key string) *corev1.Secret {
		return config(`{"auths":{"` + key + `":{"username":"u","password":"hidden","email":"u@example"}}}`)
	}
	for name, c := range map[string]struct {
		s    *corev1.Secret
		r    v1alpha1.Registry
		want pullplan.Reason
	}{
		"host":                {auths("reg.example"), v1alpha1.Registry{Host: "reg.example"}, ""},
		"URL":                 {auths("https://reg.example/v2/"), v1alpha1.Registry{Host: "reg.example"}, ""},
		"glob":                {auths("*.example"), v1alpha1.Registry{Host: "reg.example"}, ""},
		"port":                {auths("reg.example:5000"), v1alpha1.Registry{Host: "reg.example:5000"}, ""},
		"another port":        {auths("reg.example:5000"), v1alpha1.Registry{Host: "reg.example"}, pullplan.SourceMalformed},
		"namespace":           {auths("reg.example/acme/"), v1alpha1.Registry{Host: "reg.example", Namespaces: []string{"acme"}}, ""},
		"part of it only":     {auths("reg.example/acme/"), v1alpha1.Registry{Host: "reg.example"}, pullplan.SourceMalformed},
		"one of two":          {auths("reg.example/acme/"), v1alpha1.Registry{Host: "reg.example", Namespaces: []string{"acme", "other"}}, pullplan.SourceMalformed},
		"hub":                 {auths("https://index.docker.io/v1/"), v1alpha1.Registry{Host: "docker.io"}, ""},
		"hub's namespace":     {auths("https://index.docker.io/v1/"), v1alpha1.Registry{Host: "docker.io", Namespaces: []string{"org"}}, ""},
		"token":               {config(`{"auths":{"reg.example":{"identitytoken":"hidden"}}}`), v1alpha1.Registry{Host: "reg.example"}, pullplan.SourceMalformed},
		"helper":              {config(`{"credsStore":"pass","auths":{"reg.example":{}}}`), v1alpha1.Registry{Host: "reg.example"}, pullplan.SourceMalformed},
		"no JSON":             {config("hidden"), v1alpha1.Registry{Host: "reg.example"}, pullplan.SourceMalformed},
		"empty":               {config(""), v1alpha1.Registry{Host: "reg.example"}, pullplan.SourceMalformed},
		"a bad one beside it": {config(`{"auths":{"reg.example":{"username":"u","password":"hidden"},"b.example":{"auth":"hidden!"}}}`), v1alpha1.Registry{Host: "reg.example"}, pullplan.SourceMalformed},
		"type":                {&corev1.Secret{Type: "Opaque"}, v1alpha1.Registry{Host: "reg.example"}, pullplan.SourceMalformed},
		"basic":               {&corev1.Secret{Type: corev1.SecretTypeBasicAuth, Data: map[string][]byte{"username": []byte("u"), "password": []byte("hidden")}}, v1alpha1.Registry{Host: "reg.example"}, ""},
	} {
		got := given(c.s, pullplan.ID{Kind: kindCluster, Name: "p"}, c.r)
		if got.Reason != c.want {
			t.Errorf("%s: %s %s, want %q", name, got.Reason, got.Problem, c.want)
		}
		if c.want == "" && (got.Username != "u" || got.Password != "hidden") {
			t.Errorf("%s: the user is %q", name, got.Username)
		}
		if c.want != "" && (got.Password != "" || contains(got.Problem, "hidden")) {
			t.Errorf("%s: the password is in what is said: %s", name, got.Problem)
		}
	}
}
