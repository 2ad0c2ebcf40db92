package serve_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	v1 "fairlead.dev/fairlead/api/v1"
)

// secrets are values that must be nowhere but in answers.
type secrets []string

func (s *secrets) add(values ...string) { *s = append(*s, values...) }

// TestTrail: everything that changes who may do what, every change of an
// image and every refusal is in the audit trail, with who, what, from where
// and the request's id; and no secret is in it, in the log or on the disk.
func TestTrail(t *testing.T) {
	t.Parallel()
	r := launch(t, t.TempDir(), settings{"LOG_LEVEL": "debug"})
	var hidden secrets
	acme := r.house(t, "acme", v1.NamespaceSpec{Name: "acme"})
	mallory := r.house(t, "mallory", v1.NamespaceSpec{Name: "mallory"})
	value, id := r.deeds(t, acme, &hidden)
	hidden.add(acme, mallory, value)
	r.refusals(t, mallory, value, &hidden)
	time.Sleep(time.Second) // lines are written every half second

	var who v1.Whoami
	r.must(t, acme, "GET", "/api/v1/whoami", nil, &who)
	lines := r.trail(t, acme, "")
	for _, want := range []v1.AuditLine{
		{Action: "token.add", Target: id, Outcome: "allowed"},
		{Action: "token.show", Target: id, Outcome: "allowed"},
		{Action: "token.rotate", Target: id, Outcome: "allowed"},
		{Action: "token.revoke", Target: id, Outcome: "allowed"},
		{Action: "namespace.add", Namespace: "more", Outcome: "allowed"},
		{Action: "namespace.set", Namespace: "more", Outcome: "allowed"},
		{Action: "namespace.remove", Namespace: "more", Outcome: "allowed"},
		{Action: "manifest.push", Namespace: "acme", Repository: "acme/web", Outcome: "allowed"},
		{Action: "manifest.delete", Namespace: "acme", Repository: "acme/web", Target: "v1", Outcome: "allowed"},
	} {
		l := find(t, lines, want)
		if l.Actor != who.Name || l.TokenID != who.TokenID || l.Account != "acme" {
			t.Errorf("%s: by %q, token %q, account %q", want.Action, l.Actor, l.TokenID, l.Account)
		}
	}
	find(t, lines, v1.AuditLine{Action: "signin", TokenID: id, Outcome: "denied"})
	find(t, r.trail(t, mallory, ""), v1.AuditLine{Action: "manifest.pull", Repository: "acme/web", Outcome: "denied"})
	find(t, r.trail(t, mallory, ""), v1.AuditLine{Action: "token.add", Outcome: "denied"})
	find(t, r.trail(t, r.secret(t), ""), v1.AuditLine{Action: "signin", Outcome: "denied"})
	find(t, r.trail(t, r.secret(t), ""), v1.AuditLine{Action: "account.add", Target: "acme", Outcome: "allowed"})
	hidden.add(r.secret(t))
	export := r.jsonLines(t, r.secret(t))
	if err := r.end(t); err != nil {
		t.Fatal(err)
	}
	r.hides(t, hidden, export)
}

// deeds does one of each, and gives the value and the id of the token that it
// made and ended.
func (r *running) deeds(t *testing.T, acme string, hidden *secrets) (value, id string) {
	t.Helper()
	made := r.mint(t, acme, v1.TokenSpec{Access: "readwrite", Description: "for the trail"})
	tokens := "/api/v1/tokens/" + made.ID
	var shown, rotated v1.TokenValue
	r.must(t, acme, "GET", tokens+"/value", nil, &shown)
	r.must(t, acme, "POST", tokens+"/rotate", v1.RotateOptions{Overlap: "1h"}, &rotated)
	if shown.Value != made.Value || rotated.Value == made.Value {
		t.Errorf("shown %q, rotated %q of %q", shown.Value, rotated.Value, made.Value)
	}
	r.must(t, acme, "DELETE", tokens, nil, nil)
	r.must(t, acme, "POST", "/api/v1/namespaces", v1.NamespaceSpec{Name: "more"}, nil)
	public := "public"
	r.must(t, acme, "PATCH", "/api/v1/namespaces/more", v1.NamespaceChange{Visibility: &public}, nil)
	r.must(t, acme, "DELETE", "/api/v1/namespaces/more", nil, nil)
	bearer := r.bearer(t, acme, all("acme/web"))
	r.mustPush(t, bearer, "acme/web", "v1", "content")
	if res, body := r.do(t, "DELETE", "/v2/acme/web/manifests/v1", bearer, nil); res.StatusCode != 202 {
		t.Fatalf("delete: %s %s", res.Status, body)
	}
	hidden.add(made.Value, rotated.Value, bearer)
	return rotated.Value, made.ID
}

// refusals tries what is refused: 50 equal ones at the end.
func (r *running) refusals(t *testing.T, mallory, ended string, hidden *secrets) {
	t.Helper()
	guess := "flt_" + strings.Repeat("a", 51)
	hidden.add("not-the-password", guess)
	reader := r.mint(t, mallory, v1.TokenSpec{})
	bearer := r.bearer(t, mallory, all("acme/web"))
	hidden.add(reader.Value, bearer)
	for _, c := range []call{
		{method: "GET", target: "/token", basic: "not-the-password"},
		{method: "GET", target: "/api/v1/whoami", bearer: guess},
		{method: "GET", target: "/token", basic: ended},
		{method: "GET", target: "/v2/", bearer: ended},
		{method: "POST", target: "/api/v1/tokens", bearer: reader.Value, body: []byte(`{}`)},
	} {
		if a, err := r.send(t.Context(), c); err != nil || a.status != 401 && a.status != 403 {
			t.Errorf("%s: %d %v", c.target, a.status, err)
		}
	}
	for range 50 {
		if res, _ := r.do(t, "GET", "/v2/acme/web/manifests/v1", bearer, nil); res.StatusCode != 403 {
			t.Errorf("pull: %s", res.Status)
		}
	}
	time.Sleep(time.Second)
	var sum, lines int64
	for _, l := range r.trail(t, mallory, "action=manifest.pull") {
		sum, lines = sum+l.Count, lines+1
	}
	if sum != 50 || lines > 10 {
		t.Errorf("50 equal refusals are %d in %d lines", sum, lines)
	}
}

// trail reads all pages of the trail, three lines each.
func (r *running) trail(t *testing.T, as, query string) []v1.AuditLine {
	t.Helper()
	var out []v1.AuditLine
	for next := ""; ; {
		var page v1.AuditPage
		r.must(t, as, "GET", "/api/v1/audit?limit=3&next="+next+"&"+query, nil, &page)
		out = append(out, page.Items...)
		if next = page.Next; next == "" {
			return out
		}
	}
}

// find gives the line that has what want says; all lines have what every line
// must have.
func find(t *testing.T, lines []v1.AuditLine, want v1.AuditLine) v1.AuditLine {
	t.Helper()
	has := func(got, want string) bool { return want == "" || got == want }
	for _, l := range lines {
		if !has(l.Action, want.Action) || !has(l.Target, want.Target) || !has(l.Outcome, want.Outcome) || !has(l.TokenID, want.TokenID) ||
			!has(l.Namespace, want.Namespace) || !has(l.Repository, want.Repository) {
			continue
		}
		if l.At.IsZero() || l.Address != "127.0.0.1" || !strings.HasPrefix(l.Client, "Go-http-client") || l.Request == "" || l.Count < 1 {
			t.Errorf("not all is known of %+v", l)
		}
		if l.Outcome == "denied" && l.Reason == "" {
			t.Errorf("no reason: %+v", l)
		}
		return l
	}
	t.Errorf("no line has %+v:\n%+v", want, lines)
	return v1.AuditLine{}
}

// jsonLines is the whole trail as an export.
func (r *running) jsonLines(t *testing.T, as string) string {
	t.Helper()
	a, err := r.send(t.Context(), call{method: "GET", target: "/api/v1/audit", bearer: as, header: http.Header{"Accept": {"application/jsonl"}}})
	if err != nil || a.status != 200 {
		t.Fatalf("export: %d %v", a.status, err)
	}
	n := 0
	for line := range strings.Lines(a.body) {
		var l v1.AuditLine
		if err := json.Unmarshal([]byte(line), &l); err != nil || l.Action == "" {
			t.Errorf("no line of the trail: %s", line)
		}
		n++
	}
	if all := len(r.trail(t, as, "")); n != all {
		t.Errorf("the export has %d lines, the pages have %d", n, all)
	}
	return a.body
}

// hides looks for secrets in what the server wrote, keys and the operator's
// token file apart.
func (r *running) hides(t *testing.T, hidden secrets, export string) {
	t.Helper()
	all := map[string][]byte{"the log": []byte(r.log.String()), "the greeting": []byte(r.out.String()), "the export": []byte(export)}
	err := filepath.WalkDir(r.data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || d.Name() == "operator.token" {
			return err
		}
		all[path], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(hidden) < 10 || len(all) < 6 {
		t.Errorf("only %d secrets in %d places were looked for", len(hidden), len(all))
	}
	for place, text := range all {
		for _, s := range hidden {
			if s != "" && bytes.Contains(text, []byte(s)) {
				t.Errorf("%s has a secret: %.12s…", place, s)
			}
		}
	}
}

// TestTrailFilters: each filter selects, and they add up.
func TestTrailFilters(t *testing.T) {
	t.Parallel()
	r := launch(t, t.TempDir(), nil)
	acme := r.house(t, "acme", v1.NamespaceSpec{Name: "acme"}, v1.NamespaceSpec{Name: "other"})
	a, b := r.mint(t, acme, v1.TokenSpec{}), r.mint(t, acme, v1.TokenSpec{})
	r.must(t, acme, "DELETE", "/api/v1/tokens/"+a.ID, nil, nil)
	if err := r.api(t.Context(), b.Value, "DELETE", "/api/v1/namespaces/acme", nil, nil); err == nil {
		t.Fatal("a read-only token removed a namespace")
	}
	time.Sleep(time.Second)
	future := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	for query, want := range map[string]int{
		"action=token.add": 2, "action=token.": 3, "action=namespace.": 3, "namespace=acme": 2, "namespace=other": 1,
		"outcome=denied": 1, "tokenId=" + b.ID: 1, "action=token.add&outcome=denied": 0,
		"since=" + future: 0, "until=" + future: 6, "namespace=acme&action=namespace.add": 1,
	} {
		got := r.trail(t, acme, query)
		if query[:5] == "until" {
			got = got[:min(len(got), want)] // the account's own line is there, too
		}
		if len(got) != want {
			t.Errorf("%s selects %d lines, want %d: %+v", query, len(got), want, got)
		}
	}
}

var commitsSoFar = regexp.MustCompile(`(?m)^fairlead_database_commit_operations_count ([0-9.e+]+)$`)

// commits is how many there were.
func (r *running) commits(t *testing.T) float64 {
	t.Helper()
	_, body := r.do(t, "GET", "/metrics", "", nil)
	sum := 0.0
	for _, m := range commitsSoFar.FindAllStringSubmatch(string(body), -1) {
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	if sum == 0 {
		t.Fatal("the metrics do not count commits")
	}
	return sum
}

// TestPullsAreCounted: per repository, tag, digest and token; a tag that is
// looked up and then pulled by its digest is a pull of the tag. No pull writes
// to the database by itself. The last use of a token is known.
func TestPullsAreCounted(t *testing.T) {
	t.Parallel()
	r := launch(t, t.TempDir(), nil)
	acme := r.house(t, "acme", v1.NamespaceSpec{Name: "acme"})
	robot := r.mint(t, acme, v1.TokenSpec{})
	im := r.mustPush(t, r.bearer(t, acme, all("acme/web")), "acme/web", "v1", "content")
	bearer := r.bearer(t, robot.Value, "repository:acme/web:pull")
	time.Sleep(time.Second)
	before, begun := r.commits(t), time.Now()
	for range 100 {
		r.do(t, "GET", "/v2/acme/web/manifests/v1", bearer, nil)
		r.do(t, "HEAD", "/v2/acme/web/manifests/v1", bearer, nil)
		r.do(t, "GET", "/v2/acme/web/manifests/"+im.digest, bearer, nil)
		r.do(t, "GET", "/v2/acme/web/manifests/"+im.digest, bearer, nil)
	}
	var images v1.ImagePage
	for images.Items == nil || images.Items[0].Pulls < 200 {
		if time.Since(begun) > 30*time.Second {
			t.Fatalf("not counted: %+v", images)
		}
		time.Sleep(200 * time.Millisecond)
		r.must(t, acme, "GET", "/api/v1/images", nil, &images)
	}
	written := r.commits(t) - before
	most := 2*time.Since(begun).Seconds()/5 + 4 // counts and last uses, every five seconds
	t.Logf("400 requests in %s made %v commits", time.Since(begun), written)
	if written > most {
		t.Errorf("400 requests made %v commits", written)
	}
	var repositories v1.RepositoryPage
	r.must(t, acme, "GET", "/api/v1/repositories", nil, &repositories)
	var digests v1.DigestPage
	r.must(t, acme, "GET", "/api/v1/digests?repository=acme/web", nil, &digests)
	var token v1.Token
	r.must(t, acme, "GET", "/api/v1/tokens/"+robot.ID, nil, &token)
	got := fmt.Sprint(images.Items[0].Pulls, repositories.Items[0].Pulls, digests.Items[0].Pulls, token.Pulls)
	if got != "200 300 300 300" {
		t.Errorf("pulls of tag, repository, digest, token: %s", got)
	}
	if u := token.LastUsed; u == nil || u.Address != "127.0.0.1" || !strings.HasPrefix(u.Client, "Go-http-client") || time.Since(u.At) > time.Minute {
		t.Errorf("last used: %+v", u)
	}
	if token.LastPull == nil || images.Items[0].LastPull == nil {
		t.Error("the last pull is not known")
	}
}
