package serve_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	v1 "fairlead.dev/fairlead/api/v1"
)

// wrong signs in with a value that is well formed and nobody's, from an
// address that a proxy tells; even tries at the token endpoint, odd ones at
// the management API.
func (r *running) wrong(t *testing.T, try int, from string) answer {
	t.Helper()
	c := call{method: "GET", target: "/token", basic: fmt.Sprintf("wrong-password-%d", try), header: http.Header{}}
	if try%2 == 1 {
		c.target = "/api/v1/whoami"
	}
	if from != "" {
		c.header.Set("X-Forwarded-For", from)
	}
	a, err := r.send(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if a.status != 401 && (a.status != 429 || a.header.Get("Retry-After") == "") {
		t.Fatalf("try %d: %d %v", try, a.status, a.header)
	}
	return a
}

// TestSignInFailuresAreLimited: of 200 wrong sign-ins from one address the
// first are refused and the rest told to wait; a correct one among them is let
// in at once, and other addresses are not concerned. Addresses of one IPv6
// network count as one.
func TestSignInFailuresAreLimited(t *testing.T) {
	t.Parallel()
	r := launch(t, t.TempDir(), settings{"TRUSTED_PROXIES": "127.0.0.0/8"})
	acme := r.house(t, "acme", v1.NamespaceSpec{Name: "acme"})
	begun, limited := time.Now(), 0
	var slowest time.Duration
	for try := range 200 {
		if r.wrong(t, try, "203.0.113.1").status == 429 {
			limited++
		}
		if try%10 != 9 {
			continue
		}
		since := time.Now()
		for _, target := range []string{"/token", "/api/v1/whoami"} {
			a, err := r.send(t.Context(), call{method: "GET", target: target, basic: acme, header: http.Header{"X-Forwarded-For": {"203.0.113.1"}}})
			if err != nil || a.status != 200 {
				t.Fatalf("a correct sign-in after %d wrong ones: %d %v", try+1, a.status, err)
			}
		}
		slowest = max(slowest, time.Since(since))
	}
	refill := int(time.Since(begun)/(3*time.Second)) + 1
	if limited > 180 || limited < 180-refill {
		t.Errorf("%d of 200 were limited after %s", limited, time.Since(begun))
	}
	t.Logf("%d of 200 limited; two correct sign-ins took %s at most", limited, slowest)
	if slowest > 2*time.Second {
		t.Errorf("two correct sign-ins took %s", slowest)
	}
	if a := r.wrong(t, 0, "203.0.113.2"); a.status != 401 {
		t.Errorf("another address: %d", a.status)
	}
	limited = 0
	for try := range 40 {
		if r.wrong(t, try, fmt.Sprintf("2001:db8:0:1:%x::1", try)).status == 429 {
			limited++
		}
	}
	if limited < 10 {
		t.Errorf("%d of 40 addresses of one network were limited", limited)
	}
	if a := r.wrong(t, 0, "2001:db8:0:2::1"); a.status != 401 {
		t.Errorf("another network: %d", a.status)
	}
}

// TestForgedAddressesDoNotHelp: X-Forwarded-For of who is no trusted proxy
// says nothing.
func TestForgedAddressesDoNotHelp(t *testing.T) {
	t.Parallel()
	r := launch(t, t.TempDir(), nil)
	limited := 0
	for try := range 60 {
		if r.wrong(t, try, fmt.Sprintf("203.0.113.%d", try)).status == 429 {
			limited++
		}
	}
	if limited < 30 {
		t.Errorf("%d of 60 were limited", limited)
	}
	if strings.Contains(r.log.String(), "203.0.113.") {
		t.Error("a forged address is in the log")
	}
}

// TestWarningBeforeTheEnd: a token in the last fifth of its life warns, at the
// token endpoint, pulling and pushing; before, it does not.
func TestWarningBeforeTheEnd(t *testing.T) {
	t.Parallel()
	r := launch(t, t.TempDir(), nil)
	acme := r.house(t, "acme", v1.NamespaceSpec{Name: "acme"})
	made := r.mint(t, acme, v1.TokenSpec{Access: "readwrite", Expires: "25s"})
	bearer := r.bearer(t, made.Value, all("acme/web"))
	r.mustPush(t, bearer, "acme/web", "v1", "content")
	ask := func() (warned []string) {
		for _, c := range []call{
			{method: "GET", target: "/token", basic: made.Value},
			{method: "GET", target: "/v2/acme/web/manifests/v1", bearer: bearer},
			{method: "POST", target: "/v2/acme/web/blobs/uploads/", bearer: bearer},
		} {
			a, err := r.send(t.Context(), c)
			if err != nil || a.status >= 400 {
				t.Fatalf("%s: %d %s %v", c.target, a.status, a.body, err)
			}
			if w := a.header.Get("Warning"); w != "" {
				warned = append(warned, w)
			}
		}
		return warned
	}
	if w := ask(); len(w) != 0 {
		t.Errorf("warned too early: %q", w)
	}
	time.Sleep(time.Until(made.Created.Add(21 * time.Second)))
	w := ask()
	if len(w) != 3 {
		t.Fatalf("warned %d times of 3: %q", len(w), w)
	}
	for _, text := range w {
		if !strings.HasPrefix(text, `299 - "The token acme/`+made.ID+" will expire in ") {
			t.Errorf("warned %q", text)
		}
	}
	// An expired one is refused, and says why to who has its value.
	time.Sleep(time.Until(made.Expires.Add(100 * time.Millisecond)))
	a, err := r.send(t.Context(), call{method: "GET", target: "/token", basic: made.Value})
	if err != nil || a.status != 401 || !strings.Contains(a.body, "expired on") {
		t.Errorf("expired: %d %s %v", a.status, a.body, err)
	}
}
