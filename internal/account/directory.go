package account

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/oci"
)

// DirectoryOptions of a Directory. Store is required.
type DirectoryOptions struct {
	Store Store
	// Horizon is how long revocations must be remembered: as long as anything
	// that was minted from a token may be used.
	Horizon time.Duration
	// Interval of refreshes; 0 is RefreshInterval.
	Interval time.Duration
	Log      *slog.Logger
	Now      func() time.Time
}

// Directory answers from memory what every request asks: which namespaces are
// there and whose, which tokens are no longer good, which tags are immutable.
// It follows the store's change counter; what another replica changed is in
// force within two seconds, or nobody is let in.
type Directory struct {
	o          DirectoryOptions
	mu         sync.Mutex // held by Refresh
	counter    int64
	accounts   sync.Map // id -> name
	namespaces sync.Map // name -> *entry
	tokens     sync.Map // id -> TokenChange
	listing    sync.RWMutex
	owned      map[int64]map[string]struct{} // account -> names
	public     map[string]struct{}
	changed    func(TokenChange)
	closed     atomic.Bool
	refreshed  atomic.Int64 // unix nanoseconds
}

// entry is a namespace with its rules compiled.
type entry struct {
	access.Namespace
	rules []compiledRule
}

type compiledRule struct {
	repositories, tags *regexp.Regexp // repositories nil: all
}

var _ access.Namespaces = (*Directory)(nil)

// NewDirectory makes a Directory, still empty: Refresh fills it.
func NewDirectory(o DirectoryOptions) *Directory {
	if o.Interval <= 0 {
		o.Interval = RefreshInterval
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Directory{o: o, changed: func(TokenChange) {}, owned: map[int64]map[string]struct{}{}, public: map[string]struct{}{}}
}

// Refresh reads what changed. Who changed something calls it before saying
// that it is done.
func (d *Directory) Refresh(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, err := d.o.Store.Changes(ctx, d.counter, d.o.Now().Add(-d.o.Horizon))
	if err != nil {
		return fmt.Errorf("read what changed of accounts, namespaces and tokens: %w", err)
	}
	for _, a := range c.Accounts {
		if a.Removed {
			d.accounts.Delete(a.ID)
		} else {
			d.accounts.Store(a.ID, a.Name)
		}
	}
	for _, n := range c.Namespaces {
		if !n.Removed.IsZero() {
			d.list(n.Name, access.Namespace{})
			d.namespaces.Delete(n.Name)
			continue
		}
		rules, err := compile(n.Immutable)
		if err != nil { // cannot be: it was checked when it was set
			d.o.Log.ErrorContext(ctx, "a rule for immutable tags is not readable: all tags of the namespace are held immutable", "namespace", n.Name, "error", err)
			rules = []compiledRule{{tags: regexp.MustCompile("")}}
		}
		d.list(n.Name, n.Namespace)
		d.namespaces.Store(n.Name, &entry{n.Namespace, rules})
	}
	for _, t := range c.Tokens {
		d.tokens.Store(t.ID, t)
		d.changed(t)
	}
	d.counter = c.Counter
	d.refreshed.Store(d.o.Now().UnixNano())
	if d.closed.Swap(false) {
		d.o.Log.InfoContext(ctx, "accounts, namespaces and tokens are known again")
	}
	return nil
}

// compile makes expressions that must match the whole name.
func compile(rules []ImmutableRule) ([]compiledRule, error) {
	var out []compiledRule
	for _, r := range rules {
		var c compiledRule
		var err error
		if c.tags, err = regexp.Compile("^(?:" + r.Tags + ")$"); err != nil {
			return nil, err
		}
		if r.Repositories != "" {
			if c.repositories, err = regexp.Compile("^(?:" + r.Repositories + ")$"); err != nil {
				return nil, err
			}
		}
		out = append(out, c)
	}
	return out, nil
}

// Namespace implements access.Namespaces.
func (d *Directory) Namespace(name string) (access.Namespace, bool) {
	if v, ok := d.namespaces.Load(name); ok {
		return v.(*entry).Namespace, true
	}
	return access.Namespace{}, false
}

// Immutable tells whether a rule of the repository's namespace protects the
// tag.
func (d *Directory) Immutable(repo oci.Repo, tag oci.Tag) bool {
	v, ok := d.namespaces.Load(repo.Namespace())
	if !ok {
		return false
	}
	for _, r := range v.(*entry).rules {
		if r.tags.MatchString(string(tag)) && (r.repositories == nil || r.repositories.MatchString(string(repo))) {
			return true
		}
	}
	return false
}

// Alive tells whether the token behind a principal of an account is still
// good, but for its expiry. It takes no lock and asks no database.
func (d *Directory) Alive(p access.Principal) bool {
	if d.closed.Load() {
		return false
	}
	if _, ok := d.accounts.Load(p.AccountID); !ok {
		return false
	}
	v, ok := d.tokens.Load(p.TokenID)
	if !ok {
		return true
	}
	c := v.(TokenChange)
	switch {
	case c.Revoked:
		return false
	case p.Generation == c.Generation-1:
		return d.o.Now().Before(c.FormerUntil)
	}
	return p.Generation >= c.Generation
}

// Open tells whether the directory knows what is in force: errors mean that
// nobody can be let in.
func (d *Directory) Open() bool { return !d.closed.Load() }

// Run refreshes until ctx ends, and then returns nil. When refreshes fail for
// two seconds nobody is alive any more until one succeeds.
func (d *Directory) Run(ctx context.Context) error {
	stale := time.AfterFunc(staleAfter, d.shut)
	defer stale.Stop()
	wait := time.NewTimer(d.o.Interval)
	defer wait.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-wait.C:
		}
		rctx, cancel := context.WithTimeout(ctx, staleAfter)
		err := d.Refresh(rctx)
		cancel()
		if err != nil {
			if !failing && !errors.Is(err, context.Canceled) {
				d.o.Log.WarnContext(ctx, "tokens are no longer accepted after two seconds", "error", err)
			}
			failing = true
			wait.Reset(d.o.Interval / 4)
			continue
		}
		failing = false
		stale.Reset(staleAfter)
		wait.Reset(d.o.Interval)
	}
}

// shut ends everybody's life until a refresh succeeds.
func (d *Directory) shut() {
	if !d.closed.Swap(true) {
		d.o.Log.Error("accounts' tokens are not accepted until the database can be read again")
	}
}

// Names implements access.Namespaces.
func (d *Directory) Names(p access.Principal, public bool) []string {
	var out []string
	d.listing.RLock()
	for name := range d.owned[p.AccountID] {
		if n, ok := d.Namespace(name); ok && n.In(p) {
			out = append(out, name)
		}
	}
	if public {
		out = slices.AppendSeq(out, maps.Keys(d.public))
	}
	d.listing.RUnlock()
	// By what the repositories' names begin with: '-' stands before '/'.
	slices.SortFunc(out, func(a, b string) int { return strings.Compare(a+"/", b+"/") })
	return slices.Compact(out)
}

// list keeps the indexes behind Names; n is as it is now, or zero if it is
// gone.
func (d *Directory) list(name string, n access.Namespace) {
	d.listing.Lock()
	defer d.listing.Unlock()
	if was, ok := d.Namespace(name); ok {
		delete(d.owned[was.AccountID], name)
		delete(d.public, name)
	}
	if n.Name == "" {
		return
	}
	if d.owned[n.AccountID] == nil {
		d.owned[n.AccountID] = map[string]struct{}{}
	}
	d.owned[n.AccountID][name] = struct{}{}
	if n.Public {
		d.public[name] = struct{}{}
	}
}

// AccountName by id; "" if there is no such account.
func (d *Directory) AccountName(id int64) string {
	if v, ok := d.accounts.Load(id); ok {
		return v.(string)
	}
	return ""
}
