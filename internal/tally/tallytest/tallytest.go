// Package tallytest is the contract of tally.Store as a suite of tests, for
// every database that keeps counts.
package tallytest

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/audit"
	"fairlead.dev/fairlead/internal/blob"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
	"fairlead.dev/fairlead/internal/tally"
)

// Stores are those of one empty database: what counts, what is counted, and
// who shows it.
type Stores struct {
	Tally    tally.Store
	Catalog  local.Catalog
	Trash    local.Trash
	Overview local.Overview
	Accounts account.Store
}

// Run runs the suite. open gives the stores of an empty database, closed by
// the test's cleanup.
func Run(t *testing.T, open func(t *testing.T) Stores) {
	for name, run := range map[string]func(t *testing.T, s Stores){
		"adds up": testAdds, "of what is there": testGone, "tokens": testTokens,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, open(t))
		})
	}
}

var begin = time.Date(2026, 2, 3, 4, 5, 6, 7000, time.UTC)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func push(t *testing.T, s Stores, repo oci.Repo, tags ...oci.Tag) oci.Digest {
	t.Helper()
	b := local.BlobRow{Digest: oci.DigestOf(oci.SHA256, nil), Key: blob.NewKey()}
	_, err := s.Catalog.LinkBlob(t.Context(), repo, b, "")
	must(t, err)
	var m local.ManifestRow
	m.MediaType, m.Bytes = oci.MediaTypeImageManifest, []byte("manifest")
	m.Content.Blobs = []oci.Descriptor{{Digest: b.Digest}}
	m.Digest, m.Size = oci.DigestOf(oci.SHA256, m.Bytes), int64(len(m.Bytes))
	must(t, s.Catalog.PutManifest(t.Context(), repo, m, tags, nil))
	return m.Digest
}

// counts are those of a repository, its tag v1 and its newest manifest.
func counts(t *testing.T, s Stores, repo oci.Repo) [3]tally.Count {
	t.Helper()
	p := local.Place{Prefix: string(repo)}
	repos, err := s.Overview.RepositoryPage(t.Context(), p, "", 1)
	must(t, err)
	tags, err := s.Overview.ImagePage(t.Context(), p, "", "", 1)
	must(t, err)
	digests, _, err := s.Overview.DigestPage(t.Context(), repo, 0, 1)
	must(t, err)
	return [3]tally.Count{
		{Total: repos[0].Pulls, Last: repos[0].LastPull},
		{Total: tags[0].Pulls, Last: tags[0].LastPull},
		{Total: digests[0].Pulls, Last: digests[0].LastPull},
	}
}

func pulled(repo oci.Repo, d oci.Digest, n int64, at time.Time) tally.Batch {
	return tally.Batch{Counts: map[tally.Key]tally.Count{
		{Repo: repo, Kind: tally.OfRepository}:                  {Total: n, Last: at},
		{Repo: repo, Kind: tally.OfTag, Name: "v1"}:             {Total: n + 1, Last: at},
		{Repo: repo, Kind: tally.OfDigest, Name: string(d)}:     {Total: n + 2, Last: at},
		{Repo: repo, Kind: tally.OfTag, Name: "none"}:           {Total: 1, Last: at},
		{Repo: repo, Kind: tally.OfDigest, Name: "sha256:none"}: {Total: 1, Last: at},
		{Repo: "acme/none", Kind: tally.OfRepository}:           {Total: 1, Last: at},
	}}
}

func testAdds(t *testing.T, s Stores) {
	d := push(t, s, "acme/web", "v1")
	must(t, s.Tally.Add(t.Context(), tally.Batch{}))
	if got := counts(t, s, "acme/web"); got != [3]tally.Count{} {
		t.Errorf("at first: %v", got)
	}
	must(t, s.Tally.Add(t.Context(), pulled("acme/web", d, 1, begin.Add(time.Hour))))
	must(t, s.Tally.Add(t.Context(), pulled("acme/web", d, 10, begin)))
	last := begin.Add(time.Hour)
	if diff := cmp.Diff([3]tally.Count{{Total: 11, Last: last}, {Total: 13, Last: last}, {Total: 15, Last: last}}, counts(t, s, "acme/web")); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	u, err := s.Overview.Usage(t.Context(), "acme")
	must(t, err)
	if u.Pulls != 11 || !u.LastPull.Equal(last) {
		t.Errorf("usage: %+v", u)
	}
	hidden, err := s.Overview.RepositoryPage(t.Context(), local.Place{Since: last.Add(1)}, "", 1)
	must(t, err)
	if hidden[0].Pulls != 0 || !hidden[0].LastPull.IsZero() {
		t.Errorf("of an earlier life: %+v", hidden[0])
	}
}

// testGone: counts begin again with what they are of.
func testGone(t *testing.T, s Stores) {
	d := push(t, s, "acme/web", "v1")
	count := func() { must(t, s.Tally.Add(t.Context(), pulled("acme/web", d, 1, begin))) }
	want := func(what string, repository, tag, digest int64) {
		t.Helper()
		push(t, s, "acme/web", "v1")
		got := counts(t, s, "acme/web")
		if got[0].Total != repository || got[1].Total != tag || got[2].Total != digest {
			t.Errorf("after %s: %v", what, got)
		}
	}
	count()
	must(t, s.Catalog.DeleteTag(t.Context(), "acme/web", "v1", nil))
	want("deleting the tag", 1, 0, 3)
	count()
	must(t, s.Catalog.DeleteManifest(t.Context(), "acme/web", d, nil))
	want("deleting the manifest", 2, 0, 0)
	count()
	_, err := s.Trash.DeleteRepository(t.Context(), "acme/web", nil)
	must(t, err)
	count()
	want("deleting the repository", 0, 0, 0)
}

func testTokens(t *testing.T, s Stores) {
	a, err := s.Accounts.AddAccount(t.Context(), account.Account{Name: "acme"}, account.Token{ID: "t1"}, audit.Line{})
	must(t, err)
	later := begin.Add(time.Hour)
	for _, at := range []time.Time{later, begin} {
		must(t, s.Tally.Add(t.Context(), tally.Batch{
			Tokens: map[string]tally.Count{"t1": {Total: 2, Last: at}, "none": {Total: 1, Last: at}},
			Uses: map[string]tally.Use{
				"t1":   {Token: "t1", At: at, Address: netip.MustParseAddr("2001:db8::1"), Client: "curl of " + at.String()},
				"none": {Token: "none", At: at},
			},
		}))
	}
	got, err := s.Accounts.Token(t.Context(), a.ID, "t1")
	must(t, err)
	if got.Pulls != 4 || !got.LastPull.Equal(later) || !got.LastUsed.Equal(later) || got.LastAddress != "2001:db8::1" || got.LastClient != "curl of "+later.String() {
		t.Errorf("token: %+v", got)
	}
}
