package guard_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
	"fairlead.dev/fairlead/internal/registry/guard"
)

const (
	web   = oci.Repo("acme/web")
	other = oci.Repo("other/secret")
	// nobodys is a name on which the policy gives no rights, not even to the
	// operator.
	nobodys = oci.Repo("*")
	sum     = oci.Digest("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
)

var (
	policy   = access.NewPolicy(access.Options{})
	operator = access.Principal{Kind: access.Operator, TokenID: "0123456789abcdef", Name: "operator"}
	// stranger is signed in and has no rights, as accounts may one day.
	stranger  = access.Principal{Kind: "account", TokenID: "fedcba9876543210", Name: "ann"}
	anonymous = access.Principal{Kind: access.Anonymous}
)

// refusal finds an *access.Error.
func refusal(t *testing.T, err error) access.Error {
	t.Helper()
	var e *access.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no refusal", err)
	}
	if !errors.Is(err, oci.Errorf(e.Code, "")) || e.Reason == "" {
		t.Errorf("%+v is not of its code, or gives no reason", e)
	}
	return *e
}

// TestMatrix: every method, for every kind of principal, with every single
// scope in its token. A call reaches the registry only with the one scope it
// needs, and only for whom the policy allows it.
func TestMatrix(t *testing.T) {
	t.Parallel()
	tokens := map[string][]oci.Scope{
		"no token":     nil,
		"empty token":  {},
		"pull":         {oci.RepoScope(web, "pull")},
		"push":         {oci.RepoScope(web, "push")},
		"delete":       {oci.RepoScope(web, "delete")},
		"catalog":      {oci.CatalogScope()},
		"wildcard":     {oci.RepoScope(web, "*")},
		"foreign":      {oci.RepoScope(other, "pull", "push", "delete")},
		"prefix":       {oci.RepoScope("acme", "pull", "push", "delete"), oci.RepoScope("acme/web/x", "pull", "push", "delete")},
		"other type":   {{Type: "plugin", Name: string(web), Actions: []oci.Action{"pull", "push", "delete"}}},
		"pull push":    {oci.RepoScope(web, "pull", "push")},
		"two scopes":   {oci.RepoScope(web, "pull"), oci.RepoScope(web, "push")},
		"everything":   {oci.RepoScope(web, "pull", "push", "delete"), oci.CatalogScope()},
		"mount, both":  {oci.RepoScope(web, "push"), oci.RepoScope(other, "pull")},
		"mount, other": {oci.RepoScope(web, "pull"), oci.RepoScope(other, "pull")},
	}
	for who, p := range map[string]access.Principal{"operator": operator, "stranger": stranger, "anonymous": anonymous, "zero": {}} {
		for what, granted := range tokens {
			for _, expired := range []bool{false, true} {
				v := guard.Viewer{Principal: p, Granted: granted, SignedIn: p.TokenID != "", Expired: expired, Policy: policy}
				for _, m := range methods {
					checkCall(t, who+", "+what, v, m)
				}
			}
		}
	}
}

func checkCall(t *testing.T, name string, v guard.Viewer, m method) {
	t.Helper()
	r := &recorder{}
	err := m.call(t.Context(), guard.New(r, v))
	scoped := slices.ContainsFunc(v.Granted, func(s oci.Scope) bool { return s.Covers(m.scope()) })
	fresh := !v.Expired || m.name == "Upload continued"
	may := v.Principal.Kind == access.Operator && scoped && fresh
	if may && m.name == "Mount" && !slices.ContainsFunc(v.Granted, func(s oci.Scope) bool { return s.Covers(oci.RepoScope(other, "pull")) }) {
		if !errors.Is(err, oci.ErrBlobUnknown) || len(r.calls) != 0 {
			t.Errorf("%s (expired %v), %s: %v, reached %q", name, v.Expired, m.name, err, r.calls)
		}
		return
	}
	if may {
		if err != nil || !slices.Equal(r.calls, []string{m.reached()}) {
			t.Errorf("%s (expired %v), %s: %v, reached %q", name, v.Expired, m.name, err, r.calls)
		}
		return
	}
	if err == nil || len(r.calls) != 0 {
		t.Errorf("%s (expired %v), %s: not refused, reached %q", name, v.Expired, m.name, r.calls)
		return
	}
	e := refusal(t, err)
	want := oci.CodeUnauthorized
	if fresh && v.SignedIn && v.Principal.Kind != access.Operator {
		want = oci.CodeDenied
	}
	if e.Code != want {
		t.Errorf("%s (expired %v), %s: %s (%s), want %s", name, v.Expired, m.name, e.Code, e.Reason, want)
	}
	if want == oci.CodeDenied {
		if len(e.Need) != 0 {
			t.Errorf("%s, %s: no token would help, but %v is asked for", name, m.name, e.Need)
		}
		return
	}
	if len(e.Need) == 0 || !e.Need[0].Covers(m.scope()) {
		t.Errorf("%s, %s: the challenge is %v, want %s", name, m.name, e.Need, m.scope())
	}
}

// What a client is told to ask for, is granted and then suffices.
func TestChallengeLeadsToAccess(t *testing.T) {
	t.Parallel()
	for _, m := range methods {
		r := &recorder{}
		v := guard.Viewer{Principal: operator, SignedIn: true, Policy: policy}
		e := refusal(t, m.call(t.Context(), guard.New(r, v)))
		v.Granted = policy.Allow(operator, e.Need)
		if err := m.call(t.Context(), guard.New(r, v)); err != nil {
			t.Errorf("%s: asked for %v, then: %v", m.name, e.Need, err)
		}
	}
}

func TestZeroViewerMayDoNothing(t *testing.T) {
	t.Parallel()
	for _, m := range methods {
		r := &recorder{}
		e := refusal(t, m.call(t.Context(), guard.New(r, guard.Viewer{})))
		if e.Code != oci.CodeUnauthorized || len(r.calls) != 0 {
			t.Errorf("%s: %+v, reached %q", m.name, e, r.calls)
		}
	}
	seen := map[string]bool{}
	for _, m := range methods {
		seen[m.reached()] = true
	}
	if len(seen) != 12 {
		t.Errorf("%d methods of the registry are tested, it has 12", len(seen))
	}
}

// A right that was withdrawn ends before its registry token does.
func TestWithdrawnRight(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	g := guard.New(r, guard.Viewer{Principal: stranger, SignedIn: true, Granted: []oci.Scope{oci.RepoScope(web, "pull")}, Policy: policy})
	_, err := g.Resolve(t.Context(), web, tag)
	if e := refusal(t, err); e.Code != oci.CodeDenied || len(r.calls) != 0 {
		t.Errorf("%+v, reached %q", e, r.calls)
	}
}

// mount-from-foreign-repo: without the right to pull from it, a mount looks
// exactly like one of a blob that does not exist, and nothing was looked up.
func TestMountFromForeignRepo(t *testing.T) {
	t.Parallel()
	for name, granted := range map[string][]oci.Scope{
		"the token lacks it":       {oci.RepoScope(web, "pull", "push")},
		"push is not enough":       {oci.RepoScope(web, "pull", "push"), oci.RepoScope(other, "push", "delete")},
		"a wildcard is not enough": {oci.RepoScope(web, "pull", "push"), oci.RepoScope(other, "*")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &recorder{}
			var events []guard.Event
			g := guard.New(r, guard.Viewer{Principal: operator, SignedIn: true, Granted: granted, Policy: policy, Audit: func(_ context.Context, e guard.Event) { events = append(events, e) }})
			d, err := g.Mount(t.Context(), web, other, sum)
			if !errors.Is(err, oci.ErrBlobUnknown) || errors.Is(err, oci.ErrUnauthorized) || len(r.calls) != 0 || !cmp.Equal(d, oci.Descriptor{}) {
				t.Errorf("%v, reached %q", err, r.calls)
			}
			if strings.Contains(err.Error(), string(other)) {
				t.Errorf("the error names the repository: %v", err)
			}
			if len(events) != 1 || events[0].Allowed || events[0].From != other || !strings.Contains(events[0].Reason, string(other)) {
				t.Errorf("audit: %+v", events)
			}
		})
	}
	r := &recorder{}
	g := guard.New(r, guard.Viewer{Principal: operator, SignedIn: true, Policy: policy, Granted: []oci.Scope{oci.RepoScope(web, "push"), oci.RepoScope(other, "pull")}})
	if _, err := g.Mount(t.Context(), web, other, sum); err != nil || r.from != other {
		t.Errorf("with both rights: %v, from %q", err, r.from)
	}
}

func TestMountChallengeNamesBothRepositories(t *testing.T) {
	t.Parallel()
	g := guard.New(&recorder{}, guard.Viewer{Policy: policy})
	_, err := g.Mount(t.Context(), web, other, sum)
	want := []oci.Scope{oci.RepoScope(web, "pull", "push"), oci.RepoScope(other, "pull")}
	if diff := cmp.Diff(want, refusal(t, err).Need); diff != "" {
		t.Error(diff)
	}
}

// The owner of an upload is the principal, whatever the caller says.
func TestUploadOwner(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	g := guard.New(r, guard.Viewer{Principal: operator, SignedIn: true, Granted: []oci.Scope{oci.RepoScope(web, "push")}, Policy: policy})
	in := registry.Session{Owner: "somebody else", ID: "id", Algorithm: oci.SHA512, OneRequest: true}
	if _, err := g.Upload(t.Context(), web, in); err != nil {
		t.Fatal(err)
	}
	in.Owner = operator.TokenID
	if diff := cmp.Diff(in, r.session); diff != "" {
		t.Error(diff)
	}
	r = &recorder{}
	g = guard.New(r, guard.Viewer{Principal: access.Principal{Kind: access.Operator}, SignedIn: true, Granted: []oci.Scope{oci.RepoScope(web, "push")}, Policy: policy})
	if _, err := g.Upload(t.Context(), web, registry.Session{}); refusal(t, err).Code != oci.CodeUnauthorized || len(r.calls) != 0 {
		t.Errorf("an upload without an owner: %v, reached %q", err, r.calls)
	}
}

// sendfile needs the very blob that the store opened.
func TestBlobPassesUntouched(t *testing.T) {
	t.Parallel()
	r := &recorder{blob: registry.Blob{Size: 3, Body: io.NopCloser(strings.NewReader("abc"))}}
	g := guard.New(r, guard.Viewer{Principal: operator, SignedIn: true, Granted: []oci.Scope{oci.RepoScope(web, "pull")}, Policy: policy})
	b, err := g.OpenBlob(t.Context(), web, sum, registry.Whole)
	if err != nil || b != &r.blob {
		t.Errorf("another blob, or %v", err)
	}
}

func TestRepositoriesShowsWhatMayBePulled(t *testing.T) {
	t.Parallel()
	fail := errors.New("the disk is gone")
	g := guard.New(&recorder{fail: fail}, guard.Viewer{Principal: operator, SignedIn: true, Granted: []oci.Scope{oci.CatalogScope()}, Policy: policy})
	var got []oci.Repo
	var last error
	for repo, err := range g.Repositories(t.Context(), registry.Everywhere, "") {
		if err != nil {
			last = err
			continue
		}
		got = append(got, repo)
	}
	if !slices.Equal(got, []oci.Repo{web, other}) || !errors.Is(last, fail) {
		t.Errorf("%q, %v", got, last)
	}
	if err := first(g.Repositories(t.Context(), registry.Everywhere, "")); err != nil { // it may be left at any time
		t.Error(err)
	}
}

// Answers and errors of the registry behind pass unchanged.
func TestErrorsPass(t *testing.T) {
	t.Parallel()
	v := guard.Viewer{Principal: operator, SignedIn: true, Policy: policy, Audit: func(context.Context, guard.Event) {}, Granted: []oci.Scope{
		oci.RepoScope(web, "pull", "push", "delete"), oci.RepoScope(other, "pull"), oci.CatalogScope(),
	}}
	fail := errors.New("the disk is gone")
	for _, m := range methods {
		var last error
		r := &recorder{fail: fail}
		switch m.name { // the recorder fails after the first element
		case "Tags":
			for _, err := range guard.New(r, v).Tags(t.Context(), web, "") {
				last = err
			}
		case "Referrers":
			for _, err := range guard.New(r, v).Referrers(t.Context(), web, sum, registry.Filter{}) {
				last = err
			}
		case "Repositories":
			continue
		default:
			last = m.call(t.Context(), guard.New(r, v))
		}
		if last != fail { //nolint:errorlint // the very same error
			t.Errorf("%s: %v", m.name, last)
		}
	}
}

// One event for each write and delete, done or failed, and for each refusal;
// none for reads that succeed, nor for the steps of an upload.
func TestAudit(t *testing.T) {
	t.Parallel()
	fail := errors.New("the disk is gone")
	byDigest := oci.Ref{Digest: sum}
	full := []oci.Scope{oci.RepoScope(web, "pull", "push", "delete"), oci.RepoScope(other, "pull"), oci.CatalogScope()}
	done := map[string]guard.Event{
		"PutManifest":              {Method: "PutManifest", Repo: web, Ref: byDigest},
		"PutManifest with tags":    {Method: "PutManifest", Repo: web, Ref: byDigest, Tags: []oci.Tag{"v1", "latest"}},
		"Mount":                    {Method: "Mount", Repo: web, From: other, Ref: byDigest},
		"DeleteManifest by tag":    {Method: "DeleteManifest", Repo: web, Ref: tag},
		"DeleteManifest by digest": {Method: "DeleteManifest", Repo: web, Ref: byDigest},
		"DeleteBlob":               {Method: "DeleteBlob", Repo: web, Ref: byDigest},
	}
	for _, m := range methods {
		for _, failing := range []error{nil, fail} {
			var got []guard.Event
			v := guard.Viewer{Principal: operator, SignedIn: true, Granted: full, Policy: policy, Audit: func(_ context.Context, e guard.Event) { got = append(got, e) }}
			_ = m.call(t.Context(), guard.New(&recorder{fail: failing}, v))
			var want []guard.Event
			if e, ok := done[m.name]; ok {
				e.Allowed, e.Principal, e.Err = true, operator, failing
				if failing != nil && m.name == "PutManifest with tags" {
					e.Ref = oci.Ref{}
				}
				want = []guard.Event{e}
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateErrors()); diff != "" {
				t.Errorf("%s, failing with %v: %s", m.name, failing, diff)
			}
			got = nil
			v.Granted = nil
			err := m.call(t.Context(), guard.New(&recorder{}, v))
			if len(got) != 1 || got[0].Allowed || got[0].Reason != err.Error() || !cmp.Equal(got[0].Principal, operator) || got[0].Method != m.reached() || m.need != "*" && got[0].Repo != web {
				t.Errorf("%s refused: %+v", m.name, got)
			}
		}
	}
}

func TestAuditOfAnUpload(t *testing.T) {
	t.Parallel()
	var got []guard.Event
	r := &recorder{}
	v := guard.Viewer{Principal: operator, SignedIn: true, Policy: policy, Granted: []oci.Scope{oci.RepoScope(web, "push")}, Audit: func(_ context.Context, e guard.Event) { got = append(got, e) }}
	u, err := guard.New(r, v).Upload(t.Context(), web, registry.Session{})
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Append(t.Context(), 0, strings.NewReader("x")); err != nil || u.ID() != "id" || u.Offset() != 7 || u.MinChunk() != 5 {
		t.Errorf("the upload is not the one behind: %v", err)
	}
	if len(got) != 0 {
		t.Errorf("events before anything is stored: %+v", got)
	}
	if d, err := u.Commit(t.Context(), sum); err != nil || d.Digest != sum || !slices.Equal(r.committed, []oci.Digest{sum}) {
		t.Errorf("%+v, %v", d, err)
	}
	want := []guard.Event{{Method: "Commit", Principal: operator, Repo: web, Ref: oci.Ref{Digest: sum}, Allowed: true}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAllowedReadAllocatesNothing(t *testing.T) { // not parallel: it counts allocations
	g := guard.New(&silent{}, guard.Viewer{Principal: operator, SignedIn: true, Granted: []oci.Scope{oci.RepoScope(web, "pull", "push")}, Policy: policy, Audit: func(context.Context, guard.Event) {}})
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { _, _ = g.StatBlob(ctx, web, sum) }); n != 0 {
		t.Errorf("%.0f allocations", n)
	}
}

// silent is a registry that costs nothing.
type silent struct{ registry.Registry }

func (silent) StatBlob(context.Context, oci.Repo, oci.Digest) (oci.Descriptor, error) {
	return oci.Descriptor{}, nil
}

func BenchmarkStatBlob(b *testing.B) {
	v := guard.Viewer{Principal: operator, SignedIn: true, Granted: []oci.Scope{oci.RepoScope(web, "pull", "push")}, Policy: policy}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := guard.New(silent{}, v).StatBlob(b.Context(), web, sum); err != nil {
			b.Fatal(err)
		}
	}
}
