package controller_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"fairlead.dev/fairlead/test/cluster/harness"
)

// look makes the controller look at its policies now: its timers run by the
// machine's clock, which no test moves.
func (r *running) look(source string) {
	r.t.Helper()
	r.patch(secretOf(r.Name, source), `{"metadata":{"labels":{"look":"`+strconv.Itoa(int(time.Now().UnixNano()%1e9))+`"}}}`)
}

// later moves the clock and looks.
func (r *running) later(d time.Duration) {
	r.t.Helper()
	r.clock.move(d)
	r.look("cluster")
}

// turns waits for another password than the one before, and gives it.
func (r *running) turns(namespace, key, before string) (s *corev1.Secret, now string) {
	r.t.Helper()
	harness.Until(r.t, "another token", func() error {
		if s = r.pull(namespace); s == nil {
			return errors.New("there is no secret")
		}
		if now = password(s, key); now == before || now == "" {
			return errors.New("it is the same, or none")
		}
		return nil
	})
	return s, now
}

// stays makes sure that a secret is not written for a while.
func (r *running) stays(before *corev1.Secret) {
	r.t.Helper()
	time.Sleep(time.Second)
	if s := r.pull(before.Namespace); s == nil || s.ResourceVersion != before.ResourceVersion {
		r.t.Errorf("the secret was written: %v", s)
	}
}

// metric is the value of a line of /metrics that begins with text.
func (r *running) metric(text string) string {
	r.t.Helper()
	answer, err := http.Get("http://" + r.metrics + "/metrics")
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	for line := range strings.Lines(string(body)) {
		if rest, is := strings.CutPrefix(line, text); is {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// TestRotation: a token of seven days is renewed daily in the same secret, the
// one before stays good; a registry that is down withdraws nothing, is asked
// ever more seldom, is said, and the renewal is made once it is back.
func TestRotation(t *testing.T) {
	c := harness.Cluster(t)
	server, faults := harness.StartFairleadFaults(t)
	s := prepared(t, server)
	r := run(t, c, at(&clock{}), func(r *running) { r.metrics = freeAddress(t) })
	s.source(r, "cluster", "*")
	ns := r.chosen(c)
	p := r.policy(s.entry(""))
	first := r.has(ns, s.key(), r.secret)
	r.condition(p, "CredentialsReady", "Ready")
	if left := time.Until(p.Status.Registries[0].Expires.Time); left < 167*time.Hour || left > 169*time.Hour {
		t.Errorf("the token is good for %s, want seven days", left)
	}
	old := password(first, s.key())

	r.later(23*time.Hour + 50*time.Minute)
	r.stays(first)
	r.later(15 * time.Minute)
	second, now := r.turns(ns, s.key(), old)
	if second.UID != first.UID {
		t.Error("the renewal made another secret")
	}
	if !s.good(t, old) || !s.good(t, now) || s.good(t, now+"x") {
		t.Errorf("good: the old one %v, the new one %v", s.good(t, old), s.good(t, now))
	}

	failing := fmt.Sprintf("fairlead_controller_credentials_failing{policy=%q} ", "ClusterPullSecret/"+p.Name)
	undo := faults.Fail(harness.Fault{Path: "/api/v1/tokens", Close: true})
	asked := len(faults.Seen())
	start := time.Now()
	r.later(25 * time.Hour)
	r.condition(p, "CredentialsReady", "RegistryUnreachable")
	r.condition(p, "Ready", "Ready")
	for range 20 {
		r.look("cluster")
		time.Sleep(200 * time.Millisecond)
	}
	// Asked at 0, 1, 3, 7, 15 seconds; the library sends a request that found
	// its connection closed once more.
	most := 2
	for pause, spent := time.Second, time.Since(start); pause <= spent; pause *= 2 {
		most += 2
	}
	if n := len(faults.Seen()) - asked; n > most {
		t.Errorf("a registry that is down was asked %d times in %s, want %d at most", n, time.Since(start), most)
	}
	if got := r.metric(failing); got != "1" {
		t.Errorf("the metric says %q", got)
	}
	r.stays(second)
	r.event("default", p.Name, "RegistryUnreachable", "cannot be asked")
	undo()
	third, _ := r.turns(ns, s.key(), now)
	if third.UID != first.UID {
		t.Error("the recovery made another secret")
	}
	r.condition(p, "CredentialsReady", "Ready")
	harness.Until(t, "the metric", func() error {
		if got := r.metric(failing); got != "0" {
			return errors.New(got)
		}
		return nil
	})
	if n := len(s.tokens(t)); n != 3 {
		t.Errorf("%d tokens were minted, want 3", n)
	}
	if strings.Contains(faultless(faults.Seen()), "DELETE") {
		t.Error("a token was ended")
	}
}

func faultless(seen []string) string { return strings.Join(seen, "\n") }

// TestExpired: an entry that the registry refuses would stop public pulls, and
// is taken out; the secret and the lists stay, so that pods which were made
// meanwhile pull once the registry is back.
func TestExpired(t *testing.T) {
	c := harness.Cluster(t)
	server, faults := harness.StartFairleadFaults(t)
	s := prepared(t, server)
	r := run(t, c, at(&clock{}))
	s.source(r, "cluster", "*")
	ns := r.chosen(c)
	p := r.policy(s.entry(""))
	first := r.has(ns, s.key(), r.secret)
	undo := faults.Fail(harness.Fault{Path: "/api/v1/tokens", Close: true})
	r.later(169 * time.Hour)
	r.condition(p, "Ready", "CredentialExpired")
	late := r.chosen(c)
	for _, one := range []string{ns, late} {
		if got := r.has(one, "auths", r.secret); bytes.Contains(got.Data[".dockerconfigjson"], []byte(s.Host)) {
			t.Error("the expired entry is there")
		} else if tried := tries(t, got, s.Host+"/acme-web/app"); tried != "" {
			t.Errorf("the kubelet tries %s", tried)
		}
	}

	// The clock was wrong, and is set back.
	undo()
	r.later(-169 * time.Hour)
	for _, one := range []string{ns, late} {
		if now, _ := r.turns(one, s.key(), ""); one == ns && now.UID != first.UID {
			t.Error("it is another secret")
		}
	}
	r.condition(p, "Ready", "Ready")
	r.condition(p, "CredentialsReady", "Ready")

	// Minted by a clock that was a month ahead, and is so no more.
	before := password(r.pull(ns), s.key())
	r.patch(secretOf(r.Name, r.state()), `{"metadata":{"annotations":{"fairlead.dev/minted":"`+time.Now().Add(720*time.Hour).UTC().Format(time.RFC3339)+`"}}}`)
	r.later(2 * time.Minute)
	r.turns(ns, s.key(), before)

	// One that is ahead by more than a token's life is said.
	r.later(180 * time.Hour)
	if text := r.condition(p, "CredentialsReady", "RegistryRefused"); !strings.Contains(text, "clocks") {
		t.Errorf("the condition says %q", text)
	}
	r.later(-180 * time.Hour)
	r.condition(p, "CredentialsReady", "Ready")
}

// stateless waits until no credential is remembered.
func (r *running) stateless() {
	r.t.Helper()
	harness.Until(r.t, "the state goes", func() error {
		if names := r.states(); len(names) > 0 {
			return fmt.Errorf("%v", names)
		}
		return nil
	})
}

// state is the name of the Secret with the credential in use; there is one.
func (r *running) state() string {
	r.t.Helper()
	names := r.states()
	if len(names) != 1 {
		r.t.Fatalf("the states are %v", names)
	}
	return names[0]
}

// TestAccountGone: a registry whose account was deleted is said; what is there
// stays, and nothing is asked for again and again.
func TestAccountGone(t *testing.T) {
	c := harness.Cluster(t)
	server, faults := harness.StartFairleadFaults(t)
	s := prepared(t, server)
	r := run(t, c, at(&clock{}))
	s.source(r, "cluster", "*")
	ns := r.chosen(c)
	p := r.policy(s.entry(""))
	first := r.has(ns, s.key(), r.secret)
	s.Manage(t, http.MethodDelete, "namespaces/acme-web", nil, nil)
	s.Manage(t, http.MethodDelete, "accounts/acme", nil, nil)
	asked, start := len(faults.Seen()), time.Now()
	r.later(11 * time.Minute)
	r.condition(p, "CredentialsReady", "RegistryRefused")
	for range 10 {
		r.look("cluster")
		time.Sleep(200 * time.Millisecond)
	}
	// At 0, 1, 3, 7 … seconds, each time about the token and for another.
	most := 2
	for pause, spent := time.Second, time.Since(start); pause <= spent; pause *= 2 {
		most += 2
	}
	if n := len(faults.Seen()) - asked; n == 0 || n > most {
		t.Errorf("the registry was asked %d times in %s, want %d at most", n, time.Since(start), most)
	}
	r.stays(first)
	r.remove(p)
	r.gone(ns, "")
}

// TestShortLife: a token is renewed at 60 % of its life, if the policy would
// let it grow older.
func TestShortLife(t *testing.T) {
	c := harness.Cluster(t)
	s := fairlead(t)
	r := run(t, c, at(&clock{}))
	s.source(r, "cluster", "*")
	ns := r.chosen(c)
	r.policy(s.entry(", lifetime: 1h, renewAfter: 55m"))
	first := r.has(ns, s.key(), r.secret)
	r.later(34 * time.Minute)
	r.stays(first)
	r.later(4 * time.Minute)
	r.turns(ns, s.key(), password(first, s.key()))
}

// TestRevoked: that a token was revoked or rotated at the registry is found out
// within ten minutes, or at the start; and that the cluster's own token was
// ends nothing, and is said.
func TestRevoked(t *testing.T) {
	c := harness.Cluster(t)
	s := fairlead(t)
	r := run(t, c, at(&clock{}))
	s.source(r, "cluster", "*")
	ns := r.chosen(c)
	p := r.policy(s.entry(""))
	now := password(r.has(ns, s.key(), r.secret), s.key())

	s.Manage(t, http.MethodDelete, "tokens/"+s.tokens(t)[0].ID, nil, nil)
	r.later(11 * time.Minute)
	_, now = r.turns(ns, s.key(), now)
	if !s.good(t, now) {
		t.Error("the new one is not good")
	}
	s.Manage(t, http.MethodPost, "tokens/"+s.tokens(t)[0].ID+"/rotate", map[string]string{"overlap": "1h"}, nil)
	r.later(11 * time.Minute)
	_, now = r.turns(ns, s.key(), now)

	r.stop()
	s.Manage(t, http.MethodDelete, "tokens/"+s.tokens(t)[0].ID, nil, nil)
	r.start()
	_, now = r.turns(ns, s.key(), now)

	before := len(s.tokens(t))
	s.Manage(t, http.MethodDelete, "tokens/"+s.token.ID, nil, nil)
	r.later(11 * time.Minute)
	r.condition(p, "CredentialsReady", "RegistryRefused")
	r.condition(p, "Ready", "Ready")
	if got := password(r.pull(ns), s.key()); got != now || !s.good(t, now) {
		t.Error("the end of the cluster's token took the credential away")
	}
	s.renew(t)
	s.source(r, "cluster", "*")
	r.turns(ns, s.key(), now)
	r.condition(p, "CredentialsReady", "Ready")
	if n := len(s.tokens(t)) - before; n != 1 {
		t.Errorf("%d tokens were minted, want 1", n)
	}
}

// TestLostState: the same token comes again if what is remembered of it is
// lost, and the newest one if it was renewed before.
func TestLostState(t *testing.T) {
	c := harness.Cluster(t)
	s := fairlead(t)
	r := run(t, c, at(&clock{}))
	s.source(r, "cluster", "*")
	ns := r.chosen(c)
	p := r.policy(s.entry(""))
	first := r.has(ns, s.key(), r.secret)
	lost := func() {
		t.Helper()
		was := r.state()
		r.remove(secretOf(r.Name, was))
		harness.Until(t, "the state", func() error {
			if !slices.Contains(r.states(), was) {
				return errors.New("it is not there")
			}
			return nil
		})
		r.condition(p, "CredentialsReady", "Ready")
	}
	lost()
	r.stays(first)
	if n := len(s.tokens(t)); n != 1 {
		t.Errorf("%d tokens were minted, want 1", n)
	}
	r.later(25 * time.Hour)
	r.turns(ns, s.key(), password(first, s.key()))
	lost()
	if n := len(s.tokens(t)); n != 2 {
		t.Errorf("%d tokens were minted, want 2", n)
	}
	r.remove(p)
	r.gone(ns, "")
	r.stateless()
}

// TestLostStateAfterMany: after more renewals than one mint tries a state that
// is lost costs one token, which comes again if it is lost once more.
func TestLostStateAfterMany(t *testing.T) {
	c := harness.Cluster(t)
	s := fairlead(t)
	r := run(t, c, at(&clock{}))
	s.source(r, "cluster", "*")
	ns := r.chosen(c)
	p := r.policy(s.entry(", lifetime: 168h, renewAfter: 1h"))
	now := password(r.has(ns, s.key(), r.secret), s.key())
	// All tokens from here on are in the second half of their lives, and no hour
	// ends in the test.
	r.later(85*time.Hour + time.Until(time.Now().Truncate(time.Hour).Add(70*time.Minute)))
	for range 18 {
		_, now = r.turns(ns, s.key(), now)
		r.later(time.Hour + time.Minute)
	}
	r.turns(ns, s.key(), now)
	before := len(s.tokens(t))
	for range 2 {
		was := secretOf(r.Name, r.state())
		r.read(was)
		r.remove(was)
		harness.Until(t, "another state", func() error {
			if s := secretOf(r.Name, was.Name); !r.read(s) || s.UID == was.UID {
				return errors.New("there is none")
			}
			return nil
		})
		r.condition(p, "CredentialsReady", "Ready")
	}
	if n := len(s.tokens(t)) - before; n != 1 {
		t.Errorf("%d tokens were minted, want 1", n)
	}
}

// TestMalformedFairleadSources: what lacks in a source is named; nothing of it
// is sent anywhere.
func TestMalformedFairleadSources(t *testing.T) {
	c := harness.Cluster(t)
	s := fairlead(t)
	r := run(t, c)
	p := r.policy(s.entry(""))
	const form = "apiVersion: v1\nkind: Secret\nmetadata: {name: cluster, annotations: {fairlead.dev/namespaces: '*'}}\nstringData: {%s}\n"
	for data, want := range map[string][2]string{
		"url: " + s.URL:                            {"SourceMalformed", "lacks token"},
		"token: flt_x":                             {"SourceMalformed", "lacks url"},
		"url: 'ftp://a', token: b":                 {"SourceMalformed", "begins with ftp://"},
		"url: 'http://registry.example', token: b": {"SourceMalformed", "insecure-http"},
		"url: 'https://registry.example', token: b, ca.crt: none":                           {"SourceMalformed", "no certificate"},
		"url: 'https://" + s.Host + "', token: b":                                           {"RegistryUnreachable", s.Host},
		"url: '" + s.URL + "', token: flt_nonsense":                                         {"RegistryRefused", s.URL},
		"url: '" + s.URL + "', token: " + s.Mint(t, harness.Minting{Account: "acme"}).Value: {"RegistryRefused", s.URL},
	} {
		r.remove(secretOf(r.Name, "cluster"))
		r.apply(form, data)
		text := ""
		harness.Until(t, want[0], func() error {
			if text = r.condition(p, "CredentialsReady", want[0]); !strings.Contains(text, want[1]) {
				return fmt.Errorf("%q does not say %q", text, want[1])
			}
			return nil
		})
		if strings.Contains(text, "flt_") {
			t.Errorf("the condition has the token: %s", text)
		}
	}
}
