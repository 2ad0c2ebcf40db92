// Package audittest is the contract of audit.Store as a suite of tests, for
// every database that keeps lines.
package audittest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fairlead.dev/fairlead/internal/audit"
)

// Run runs the suite. open gives the store of an empty database, closed by
// the test's cleanup.
func Run(t *testing.T, open func(t *testing.T) audit.Store) {
	for name, run := range map[string]func(t *testing.T, s audit.Store){
		"lines": testLines, "filters": testFilters, "far apart": testFar, "prune": testPrune, "times": testTimes,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, open(t))
		})
	}
}

var begin = time.Date(2026, 2, 3, 4, 5, 6, 7000, time.UTC)

func add(t *testing.T, s audit.Store, lines ...audit.Line) {
	t.Helper()
	if err := s.Add(t.Context(), lines); err != nil {
		t.Fatal(err)
	}
}

// all reads pages of n until the end and counts them.
func all(t *testing.T, s audit.Store, f audit.Filter, n int) (lines []audit.Line, pages int) {
	t.Helper()
	for before := int64(0); ; {
		page, next, err := s.Lines(t.Context(), f, before, n)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) > n {
			t.Fatalf("a page of %d has %d", n, len(page))
		}
		lines, pages = append(lines, page...), pages+1
		if next == 0 {
			return lines, pages
		}
		if before != 0 && next >= before {
			t.Fatalf("after %d comes %d", before, next)
		}
		before = next
	}
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

func testLines(t *testing.T, s audit.Store) {
	l := audit.Line{
		At: begin, AccountID: 7, Actor: "acme/t1", TokenID: "t1", Action: "manifest.push", Namespace: "n", Repository: "n/r",
		Target: "v1", Outcome: audit.Denied, Reason: "read-only", Detail: "d", Address: "192.0.2.1", Client: "curl", Request: "q", Count: 3,
	}
	add(t, s)
	add(t, s, l, audit.Line{At: begin})
	got, _ := all(t, s, audit.Filter{}, 9)
	if len(got) != 2 || got[0].ID <= got[1].ID {
		t.Fatalf("got %v", got)
	}
	l.ID = got[1].ID
	equal(t, "lines", got, []audit.Line{{ID: got[0].ID, At: begin, Count: 1}, l})
	none, next, err := s.Lines(t.Context(), audit.Filter{}, 0, 0)
	if err != nil || next != 0 || len(none) != 0 {
		t.Errorf("none of zero: %v, %d, %v", none, next, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Add(ctx, []audit.Line{l}); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v", err)
	}
}

func testFilters(t *testing.T, s audit.Store) {
	tokens, actions := []string{"", "t1", "t2"}, []string{"token.add", "token.revoke", "signin", "tokens"}
	outcomes := []audit.Outcome{audit.Allowed, audit.Denied, audit.Failed}
	var lines []audit.Line
	for i := range 72 {
		ns := []string{"", "acme", "beta"}[i%3]
		repo := ""
		if ns != "" && i%2 == 0 {
			repo = ns + "/web"
		}
		lines = append(lines, audit.Line{
			At: begin.Add(time.Duration(i) * time.Minute), AccountID: int64(i % 2), TokenID: tokens[i/2%3], Action: actions[i/3%4],
			Namespace: ns, Repository: repo, Outcome: outcomes[i/5%3], Target: fmt.Sprint(i), Count: 1,
		})
	}
	add(t, s, lines...)
	for _, c := range []struct {
		f  audit.Filter
		is func(l audit.Line) bool
	}{
		{audit.Filter{}, func(audit.Line) bool { return true }},
		{audit.Filter{AccountID: 1}, func(audit.Line) bool { return true }},
		{audit.Filter{Scoped: true}, func(l audit.Line) bool { return l.AccountID == 0 }},
		{audit.Filter{Scoped: true, AccountID: 1}, func(l audit.Line) bool { return l.AccountID == 1 }},
		{audit.Filter{TokenID: "t1"}, func(l audit.Line) bool { return l.TokenID == "t1" }},
		{audit.Filter{Action: "token.add"}, func(l audit.Line) bool { return l.Action == "token.add" }},
		{audit.Filter{ActionPrefix: "token."}, func(l audit.Line) bool { return l.Action == "token.add" || l.Action == "token.revoke" }},
		{audit.Filter{Namespace: "acme"}, func(l audit.Line) bool { return l.Namespace == "acme" }},
		{audit.Filter{Repository: "acme/web"}, func(l audit.Line) bool { return l.Repository == "acme/web" }},
		{audit.Filter{Outcome: audit.Denied}, func(l audit.Line) bool { return l.Outcome == audit.Denied }},
		{audit.Filter{Since: begin.Add(9 * time.Minute)}, func(l audit.Line) bool { return !l.At.Before(begin.Add(9 * time.Minute)) }},
		{audit.Filter{Until: begin.Add(9 * time.Minute)}, func(l audit.Line) bool { return l.At.Before(begin.Add(9 * time.Minute)) }},
		{audit.Filter{Since: begin.Add(900 * time.Minute)}, func(audit.Line) bool { return false }},
		{audit.Filter{Until: begin}, func(audit.Line) bool { return false }},
		{
			audit.Filter{Scoped: true, AccountID: 1, TokenID: "t2", ActionPrefix: "token", Since: begin.Add(time.Minute), Until: begin.Add(time.Hour)},
			func(l audit.Line) bool {
				return l.AccountID == 1 && l.TokenID == "t2" && l.Action != "signin" && !l.At.Before(begin.Add(time.Minute)) && l.At.Before(begin.Add(time.Hour))
			},
		},
		{
			audit.Filter{Repository: "beta/web", Namespace: "beta", Outcome: audit.Failed, Scoped: true},
			func(l audit.Line) bool {
				return l.Repository == "beta/web" && l.Outcome == audit.Failed && l.AccountID == 0
			},
		},
		{
			audit.Filter{Namespace: "beta", Action: "signin"},
			func(l audit.Line) bool { return l.Namespace == "beta" && l.Action == "signin" },
		},
		{
			audit.Filter{Action: "signin", Outcome: audit.Allowed},
			func(l audit.Line) bool { return l.Action == "signin" && l.Outcome == audit.Allowed },
		},
		{
			audit.Filter{Action: "signin", Scoped: true},
			func(l audit.Line) bool { return l.Action == "signin" && l.AccountID == 0 },
		},
		{audit.Filter{TokenID: "t3"}, func(audit.Line) bool { return false }},
		{audit.Filter{ActionPrefix: "z"}, func(audit.Line) bool { return false }},
	} {
		var want []string
		for _, l := range lines {
			if c.is(l) {
				want = append([]string{l.Target}, want...)
			}
		}
		for _, n := range []int{1, 5, 24, 100} {
			found, _ := all(t, s, c.f, n)
			var got []string
			for _, l := range found {
				got = append(got, l.Target)
			}
			equal(t, fmt.Sprintf("%+v by %d", c.f, n), got, want)
		}
	}
}

// testFar looks for few lines among many: each call looks at some only.
func testFar(t *testing.T, s audit.Store) {
	var lines []audit.Line
	for i := range 9000 {
		outcome := audit.Allowed
		if i == 3 || i == 8000 {
			outcome = audit.Denied
		}
		lines = append(lines, audit.Line{At: begin, AccountID: 1, TokenID: "t1", Namespace: "acme", Repository: "acme/web", Action: "pull", Outcome: outcome})
	}
	add(t, s, lines...)
	for _, f := range []audit.Filter{
		{}, {Scoped: true, AccountID: 1}, {TokenID: "t1"}, {Namespace: "acme"}, {Repository: "acme/web"}, {Action: "pull"},
	} {
		f.Outcome = audit.Denied
		got, pages := all(t, s, f, 10)
		if len(got) != 2 || pages < 3 || pages > 30 {
			t.Errorf("%+v: %d lines on %d pages", f, len(got), pages)
		}
	}
	if got, pages := all(t, s, audit.Filter{Until: begin, Outcome: audit.Denied}, 10); len(got) != 0 || pages != 1 {
		t.Errorf("before all: %d lines on %d pages", len(got), pages)
	}
}

func testPrune(t *testing.T, s audit.Store) {
	for i := range 6 {
		add(t, s, audit.Line{At: begin.Add(time.Duration(i) * time.Hour), Target: fmt.Sprint(i)})
	}
	before := begin.Add(4 * time.Hour) // the fifth is at it
	prune := func(n, want int) {
		t.Helper()
		if got, err := s.Prune(t.Context(), before, n); err != nil || got != want {
			t.Errorf("pruned %d, %v, want %d", got, err, want)
		}
	}
	prune(0, 0)
	prune(3, 3)
	prune(9, 1)
	prune(9, 0)
	left, _ := all(t, s, audit.Filter{}, 9)
	if len(left) != 2 || left[0].Target != "5" || left[1].Target != "4" {
		t.Errorf("left: %v", left)
	}
	add(t, s, audit.Line{At: begin, Target: "again"})
	if again, _ := all(t, s, audit.Filter{}, 9); again[0].ID <= left[0].ID {
		t.Error("an id was used again")
	}
}

// testTimes has lines whose ids and times do not agree.
func testTimes(t *testing.T, s audit.Store) {
	var lines []audit.Line
	for i := range 3000 {
		at := begin.Add(time.Duration(i^7) * time.Second)
		if i > 2900 {
			at = at.Add(-10 * time.Minute) // the clock was set
		}
		lines = append(lines, audit.Line{At: at, Target: fmt.Sprint(i)})
	}
	add(t, s, lines...)
	for _, c := range []time.Duration{-time.Hour, 0, 3 * time.Second, 2000 * time.Second, 2350 * time.Second, 2899 * time.Second} {
		since, until := 0, 0
		for _, l := range lines {
			if l.At.Before(begin.Add(c)) {
				until++
			} else {
				since++
			}
		}
		if got, _ := all(t, s, audit.Filter{Since: begin.Add(c)}, 500); len(got) != since {
			t.Errorf("since %s: %d lines, want %d", c, len(got), since)
		}
		if got, _ := all(t, s, audit.Filter{Until: begin.Add(c)}, 500); len(got) != until {
			t.Errorf("until %s: %d lines, want %d", c, len(got), until)
		}
	}
}
