// Package management is what the management API does, in its shapes: it asks
// account, the registry and the records, and says what they answered.
package management

import (
	"context"
	"errors"
	"time"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/audit"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
	"fairlead.dev/fairlead/internal/registry/guard"
	"fairlead.dev/fairlead/internal/registry/local"
)

// Options of a Desk; all are required.
type Options struct {
	Registrar *account.Registrar
	Directory *account.Directory
	Registry  *local.Registry
	Overview  local.Overview
	Lines     audit.Store
	Policy    access.Policy
	// View is the registry as a viewer may see it.
	View func(guard.Viewer) registry.Registry
	// Audited is told of calls to the registry, Record of what else changes.
	Audited func(context.Context, guard.Event)
	Record  func(context.Context, audit.Line)
	Version string
}

// Desk answers the management API.
type Desk struct {
	o Options
}

// New makes a Desk.
func New(o Options) *Desk { return &Desk{o} }

func invalid(format string, args ...any) error {
	return oci.Errorf(oci.CodeRequestInvalid, format, args...)
}

// optional is nil for the zero time.
func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// page asks for one more than limit, so as to know whether there is more.
func page[T any](limit int, get func(n int) ([]T, error)) (items []T, more bool, err error) {
	items, err = get(limit + 1)
	if len(items) > limit {
		return items[:limit], true, err
	}
	return items, false, err
}

// Whoami is who p is.
func (d *Desk) Whoami(_ context.Context, p access.Principal) (v1.Whoami, error) {
	w := v1.Whoami{
		Kind: string(p.Kind), Name: p.Name, Account: p.Account, Access: string(p.Level), TokenID: p.TokenID,
		Cluster: p.Cluster, Expires: optional(p.Expires), Server: d.o.Version,
	}
	if p.Kind == access.Account {
		r := reachOf(p.Reach)
		w.Reach = &r
	}
	return w, nil
}

func reachOf(r access.Reach) v1.Reach {
	out := v1.Reach{All: r.All}
	for _, part := range r.Parts {
		if part.Namespace() == part.Path {
			out.Namespaces = append(out.Namespaces, part.Path)
		} else {
			out.Repositories = append(out.Repositories, part.Path)
		}
	}
	return out
}

func accountOf(a account.Account) v1.Account {
	return v1.Account{Name: a.Name, Description: a.Description, Created: a.Created.UTC(), CreatedBy: a.CreatedBy}
}

// AddAccount makes an account with its first token.
func (d *Desk) AddAccount(ctx context.Context, p access.Principal, s v1.AccountSpec) (v1.AccountMade, error) {
	a, first, value, added, err := d.o.Registrar.AddAccount(ctx, p, s.Name, s.Description)
	if err != nil {
		return v1.AccountMade{}, err
	}
	return v1.AccountMade{Account: accountOf(a), TokenID: first.ID, Token: value, Added: added}, nil
}

// Account by name.
func (d *Desk) Account(ctx context.Context, p access.Principal, name string) (v1.Account, error) {
	a, err := d.o.Registrar.Account(ctx, p, name)
	return accountOf(a), err
}

// Accounts by name.
func (d *Desk) Accounts(ctx context.Context, p access.Principal, next string, limit int) (v1.AccountPage, error) {
	out := v1.AccountPage{Items: []v1.Account{}}
	items, more, err := page(limit, func(n int) ([]account.Account, error) {
		return d.o.Registrar.AccountPage(ctx, p, next, n)
	})
	for _, a := range items {
		out.Items = append(out.Items, accountOf(a))
	}
	if more {
		out.Next = items[len(items)-1].Name
	}
	return out, err
}

// RemoveAccount ends an account.
func (d *Desk) RemoveAccount(ctx context.Context, p access.Principal, name string) error {
	return d.o.Registrar.RemoveAccount(ctx, p, name)
}

// The visibilities.
const (
	private = "private"
	public  = "public"
)

func namespaceOf(n account.Namespace) v1.Namespace {
	out := v1.Namespace{
		Name: n.Name, Account: n.Account, Visibility: private,
		Created: n.Created.UTC(), CreatedBy: n.CreatedBy, Version: n.Version,
	}
	if n.Public {
		out.Visibility = public
	}
	for _, r := range n.Immutable {
		out.Immutable = append(out.Immutable, v1.ImmutableRule(r))
	}
	return out
}

func isPublic(visibility string) (bool, error) {
	switch visibility {
	case "", private:
		return false, nil
	case public:
		return true, nil
	}
	return false, invalid("visibility is %q: write private or public", oci.Clip(visibility))
}

// AddNamespace makes a namespace, or finds it.
func (d *Desk) AddNamespace(ctx context.Context, p access.Principal, s v1.NamespaceSpec) (v1.NamespaceMade, error) {
	open, err := isPublic(s.Visibility)
	if err != nil {
		return v1.NamespaceMade{}, err
	}
	n, added, err := d.o.Registrar.AddNamespace(ctx, p, account.NamespaceSpec{Name: s.Name, Account: s.Account, Public: open})
	return v1.NamespaceMade{Namespace: namespaceOf(n), Added: added}, err
}

// Namespace by name.
func (d *Desk) Namespace(ctx context.Context, p access.Principal, name string) (v1.Namespace, error) {
	n, err := d.o.Registrar.Namespace(ctx, p, name)
	return namespaceOf(n), err
}

// Namespaces by name.
func (d *Desk) Namespaces(ctx context.Context, p access.Principal, owner, next string, limit int) (v1.NamespacePage, error) {
	out := v1.NamespacePage{Items: []v1.Namespace{}}
	items, more, err := page(limit, func(n int) ([]account.Namespace, error) {
		return d.o.Registrar.NamespacePage(ctx, p, owner, next, n)
	})
	for _, n := range items {
		out.Items = append(out.Items, namespaceOf(n))
	}
	if more {
		out.Next = items[len(items)-1].Name
	}
	return out, err
}

// SetNamespace changes what c names.
func (d *Desk) SetNamespace(ctx context.Context, p access.Principal, name string, c v1.NamespaceChange, version int64) (v1.Namespace, error) {
	var open *bool
	if c.Visibility != nil {
		v, err := isPublic(*c.Visibility)
		if err != nil {
			return v1.Namespace{}, err
		}
		open = &v
	}
	var rules *[]account.ImmutableRule
	if c.Immutable != nil {
		list := []account.ImmutableRule{}
		for _, r := range *c.Immutable {
			list = append(list, account.ImmutableRule(r))
		}
		rules = &list
	}
	n, err := d.o.Registrar.SetNamespace(ctx, p, name, open, rules, version)
	return namespaceOf(n), err
}

// RemoveNamespace moves a namespace to the trash, or says what would go.
func (d *Desk) RemoveNamespace(ctx context.Context, p access.Principal, name string, dryRun bool) (v1.Removed, error) {
	_, owned := d.o.Registrar.Namespace(ctx, p, name)
	if owned != nil && (!unknown(owned) || p.Kind != access.Operator) {
		return v1.Removed{}, owned
	}
	u, err := d.o.Overview.Usage(ctx, name)
	out := v1.Removed{
		Kind: "namespace", Name: name, Repositories: u.Repositories, Manifests: u.Manifests, Tags: u.Tags, Bytes: u.Bytes, DryRun: dryRun,
	}
	if err != nil || dryRun {
		return out, err
	}
	if owned != nil { // what the operator pushed to a name that nobody owns
		e, err := d.o.Registry.DeleteNamespace(registry.WithActor(ctx, p.Name), name)
		out.TrashID, out.Expires = e.ID, optional(d.o.Registry.Expires(e))
		return out, err
	}
	id, err := d.o.Registrar.RemoveNamespace(registry.WithActor(ctx, p.Name), p, name)
	if err != nil {
		return out, err
	}
	d.o.Registry.Forget()
	return d.trashed(ctx, out, local.TrashFilter{}, id)
}

// trashed says where in the trash it is: the entry of the ID, or the newest of
// the filter.
func (d *Desk) trashed(ctx context.Context, r v1.Removed, f local.TrashFilter, id int64) (v1.Removed, error) {
	before := int64(0)
	if id != 0 {
		before = id + 1
	}
	entries, err := d.o.Registry.Trash(ctx, f, before, 1)
	if err != nil || len(entries) == 0 {
		return r, err
	}
	r.TrashID, r.Expires = entries[0].ID, optional(d.o.Registry.Expires(entries[0]))
	return r, nil
}

// unknown tells whether an error says that something is not there.
func unknown(err error) bool {
	var e *oci.Error
	return errors.As(err, &e) && e.Code.Status() == 404
}
