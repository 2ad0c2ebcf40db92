// Package accounttest is the contract of account.Store as a suite of tests,
// for every database that keeps accounts.
package accounttest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/audit"
	"fairlead.dev/fairlead/internal/blob"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
	"fairlead.dev/fairlead/internal/registry/local"
	"fairlead.dev/fairlead/internal/registry/local/localtest"
)

// Stores are those of one empty database. They date rows by Clock.
type Stores struct {
	Accounts account.Store
	Audit    audit.Store
	Catalog  local.Catalog
	Trash    local.Trash
	Clock    *localtest.Clock
}

// Run runs the suite. open gives the stores of an empty database, closed by
// the test's cleanup.
func Run(t *testing.T, open func(t *testing.T) Stores) {
	for _, g := range []struct {
		name  string
		cases []testCase
	}{
		{"Account", accountCases},
		{"Namespace", namespaceCases},
		{"Remove", removeCases},
		{"Restore", restoreCases},
		{"Token", tokenCases},
		{"TokenList", tokenListCases},
		{"Change", changeCases},
	} {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			for _, c := range g.cases {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.run(&suite{T: t, Stores: open(t)})
				})
			}
		})
	}
}

type testCase struct {
	name string
	run  func(s *suite)
}

// suite is one test with its stores and what tests do over and over.
type suite struct {
	*testing.T
	Stores
	made int
}

func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *suite) is(err, want error) {
	s.Helper()
	if !errors.Is(err, want) {
		s.Fatalf("got error %v, want %v", err, want)
	}
}

// code wants an oci.Error of the code, with a text of its own.
func (s *suite) code(err error, want oci.Code) {
	s.Helper()
	var e *oci.Error
	if !errors.As(err, &e) || e.Code != want || e.Message == "" {
		s.Fatalf("got error %v, want %s", err, want)
	}
}

func (s *suite) equal(what string, got, want any) {
	s.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		s.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

// line is what the tests say of a change.
func line(action string) audit.Line {
	return audit.Line{Actor: "operator", Action: action, Outcome: audit.Allowed}
}

// lines are the actions of all lines, the oldest first.
func (s *suite) lines(want ...string) {
	s.Helper()
	all, _, err := s.Audit.Lines(s.Context(), audit.Filter{}, 0, 1000)
	s.must(err)
	var got []string
	for _, l := range all {
		got = append([]string{l.Action}, got...)
	}
	s.equal("audit", got, want)
}

// token is a new one, not yet added.
func (s *suite) token(accountID int64) account.Token {
	s.made++
	return account.Token{
		ID: fmt.Sprintf("t%011d", s.made), AccountID: accountID, Level: access.ReadOnly, Reach: access.Reach{All: true},
		CreatedBy: "alice", Expires: s.Clock.Now().Add(24 * time.Hour), Generation: 1, KeyID: "k1",
	}
}

// account adds one, its first token being the newest.
func (s *suite) account(name string) account.Account {
	s.Helper()
	a, err := s.Accounts.AddAccount(s.Context(), account.Account{Name: name, CreatedBy: "operator"}, s.token(0), line("account.add"))
	s.must(err)
	return a
}

func (s *suite) add(accountID int64, name, life string) (account.Namespace, bool, error) {
	n := account.Namespace{Namespace: access.Namespace{Name: name, AccountID: accountID, Incarnation: life}, CreatedBy: "alice"}
	return s.Accounts.AddNamespace(s.Context(), n, s.Clock.Now().Add(-time.Hour), false, line("namespace.add"))
}

// adds as the operator does.
func (s *suite) adds(accountID int64, name, life string) (account.Namespace, bool, error) {
	n := account.Namespace{Namespace: access.Namespace{Name: name, AccountID: accountID, Incarnation: life}, CreatedBy: "operator"}
	return s.Accounts.AddNamespace(s.Context(), n, s.Clock.Now().Add(-time.Hour), true, line("namespace.add"))
}

func (s *suite) namespace(accountID int64, name, life string) account.Namespace {
	s.Helper()
	n, added, err := s.add(accountID, name, life)
	s.must(err)
	s.equal("added", added, true)
	return n
}

func (s *suite) remove(accountID int64, name string) int64 {
	s.Helper()
	id, err := s.Accounts.RemoveNamespace(s.Context(), accountID, name, nil, line("namespace.remove"))
	s.must(err)
	return id
}

// image is a manifest of one blob.
func image(content string) (local.BlobRow, local.ManifestRow) {
	b := local.BlobRow{Digest: oci.DigestOf(oci.SHA256, []byte(content)), Size: int64(len(content)), Key: blob.NewKey()}
	var m local.ManifestRow
	m.MediaType, m.Bytes = oci.MediaTypeImageManifest, []byte("manifest of "+b.Digest)
	m.Content.Blobs = []oci.Descriptor{{Digest: b.Digest, Size: b.Size}}
	m.Digest, m.Size = oci.DigestOf(oci.SHA256, m.Bytes), int64(len(m.Bytes))
	return b, m
}

func (s *suite) tryPush(repo oci.Repo, content string, tags ...oci.Tag) error {
	b, m := image(content)
	if _, err := s.Catalog.LinkBlob(s.Context(), repo, b, ""); err != nil {
		return err
	}
	return s.Catalog.PutManifest(s.Context(), repo, m, tags, nil)
}

func (s *suite) push(repo oci.Repo, content string, tags ...oci.Tag) local.ManifestRow {
	s.Helper()
	s.must(s.tryPush(repo, content, tags...))
	_, m := image(content)
	return m
}

func (s *suite) repositories(want ...oci.Repo) {
	s.Helper()
	got, err := s.Catalog.Repositories(s.Context(), registry.Everywhere, "", 100)
	s.must(err)
	s.equal("repositories", got, want)
}

func (s *suite) restore(id int64) error {
	_, err := s.Trash.Restore(s.Context(), id, false, nil)
	return err
}

// entry is the newest in the trash.
func (s *suite) entry() local.TrashEntry {
	s.Helper()
	all, err := s.Trash.TrashEntries(s.Context(), local.TrashFilter{}, 0, 1)
	s.must(err)
	if len(all) == 0 {
		s.Fatal("the trash is empty")
	}
	return all[0]
}

// ended is a context that is over.
func (s *suite) ended() context.Context {
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	return ctx
}
