package account

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/audit"
	"fairlead.dev/fairlead/internal/observe"
	"fairlead.dev/fairlead/internal/oci"
)

// RegistrarOptions of a Registrar; all but Now are required.
type RegistrarOptions struct {
	Store     Store
	Directory *Directory
	Keys      *ValueKeys
	// Reserved is how long the name of a removed namespace waits for its
	// owner: as long as the trash holds what it had.
	Reserved time.Duration
	// Record gets a line for what was refused or only shown; changes are
	// recorded with themselves.
	Record func(context.Context, audit.Line)
	Now    func() time.Time
}

// Registrar makes and ends accounts, namespaces and tokens, for whoever may.
// What is another account's is answered as if it were not there.
//
// Errors of its methods are oci.Errors: DENIED, with the reason; NOT_FOUND,
// CONFLICT, STALE, TAG_IMMUTABLE; NAME_INVALID and REQUEST_INVALID, naming
// the field.
type Registrar struct {
	o RegistrarOptions
}

// NewRegistrar makes a Registrar.
func NewRegistrar(o RegistrarOptions) *Registrar {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Registrar{o}
}

// may refuses what the principal may not do, and records that.
func (r *Registrar) may(ctx context.Context, p access.Principal, t access.Task, accountID int64, line audit.Line) error {
	d := access.May(p, t, accountID)
	if d.Allowed {
		return nil
	}
	line.Outcome, line.Reason = audit.Denied, d.Reason
	r.o.Record(ctx, line)
	return oci.Errorf(oci.CodeDenied, "%s", d.Reason)
}

// Line begins an audit line for what p does in the request of ctx.
func Line(ctx context.Context, p access.Principal, action string) audit.Line {
	req := observe.FromContext(ctx)
	l := audit.Line{
		AccountID: p.AccountID, Actor: p.Name, TokenID: p.TokenID, Action: action,
		Outcome: audit.Allowed, Client: req.Agent, Request: req.ID, Count: 1,
	}
	if req.Client.IsValid() {
		l.Address = req.Client.String()
	}
	return l
}

// done makes a change known in this process before it is acknowledged; other
// replicas hear of it within two seconds.
func (r *Registrar) done(ctx context.Context, err error) error {
	if err != nil {
		return err
	}
	return r.o.Directory.Refresh(context.WithoutCancel(ctx))
}

// known translates the stores' errors; what says what was looked for.
func known(err error, what string) error {
	switch {
	case errors.Is(err, ErrNotFound):
		return oci.Errorf(oci.CodeNotFound, "there is no %s here", what)
	case errors.Is(err, ErrStale):
		return oci.Errorf(oci.CodeStale, "the %s was changed meanwhile: read it again, and change it then", what)
	}
	return err
}

// AddAccount makes an account with its first admin token, and returns that
// with its value. One that is there already is returned with added false.
func (r *Registrar) AddAccount(ctx context.Context, p access.Principal, name, description string) (a Account, first Token, value string, added bool, err error) {
	line := Line(ctx, p, "account.add")
	line.Target = oci.Clip(name)
	if err := r.may(ctx, p, access.ManageAccounts, 0, line); err != nil {
		return a, first, "", false, err
	}
	if err := errors.Join(CheckAccountName(name), checkText("description", description)); err != nil {
		return a, first, "", false, err
	}
	first = Token{
		ID: newID(), Level: access.Admin, Reach: access.Reach{All: true}, Description: "first admin token",
		CreatedBy: p.Name, Generation: 1, KeyID: r.o.Keys.Current(),
	}
	a, err = r.o.Store.AddAccount(ctx, Account{Name: name, Description: description, CreatedBy: p.Name}, first, line)
	if errors.Is(err, ErrTaken) {
		a, err = r.o.Store.Account(ctx, name)
		return a, Token{}, "", false, known(err, "account "+name)
	}
	if err := r.done(ctx, err); err != nil {
		return a, first, "", false, err
	}
	first.AccountID, first.Account = a.ID, a.Name
	value, err = r.value(first)
	return a, first, value, true, err
}

// Account by name: the operator's to see, and one's own.
func (r *Registrar) Account(ctx context.Context, p access.Principal, name string) (Account, error) {
	if p.Kind != access.Operator && name != p.Account {
		return Account{}, known(ErrNotFound, "account "+oci.Clip(name))
	}
	a, err := r.o.Store.Account(ctx, name)
	return a, known(err, "account "+oci.Clip(name))
}

// AccountPage lists accounts: the operator sees all, others their own.
func (r *Registrar) AccountPage(ctx context.Context, p access.Principal, after string, n int) ([]Account, error) {
	if p.Kind == access.Operator {
		return r.o.Store.AccountPage(ctx, after, n)
	}
	if p.Kind != access.Account || after >= p.Account {
		return nil, nil
	}
	a, err := r.Account(ctx, p, p.Account)
	return []Account{a}, err
}

// RemoveAccount ends an account with its tokens.
func (r *Registrar) RemoveAccount(ctx context.Context, p access.Principal, name string) error {
	line := Line(ctx, p, "account.remove")
	line.Target = oci.Clip(name)
	if err := r.may(ctx, p, access.ManageAccounts, 0, line); err != nil {
		return err
	}
	err := r.o.Store.RemoveAccount(ctx, name, line)
	if errors.Is(err, ErrNotEmpty) {
		return oci.Errorf(oci.CodeConflict, "the account %s still has namespaces: remove them first (fairlead namespace list --account %s)", name, name)
	}
	return known(r.done(ctx, err), "account "+oci.Clip(name))
}

// owner is the account that a request is about: one's own, or, for the
// operator, the one that is named.
func (r *Registrar) owner(ctx context.Context, p access.Principal, name string) (Account, error) {
	switch {
	case p.Kind == access.Account && (name == "" || name == p.Account):
		return Account{ID: p.AccountID, Name: p.Account}, nil
	case p.Kind == access.Account:
		return Account{}, oci.Errorf(oci.CodeDenied, "a token of the account %s acts for that account only: leave the account out", p.Account)
	case name == "":
		return Account{}, oci.Errorf(oci.CodeRequestInvalid, "account is missing: the operator says for which account (--account NAME)")
	}
	a, err := r.o.Store.Account(ctx, name)
	return a, known(err, "account "+oci.Clip(name))
}

// NamespaceSpec is what is asked for.
type NamespaceSpec struct {
	Name, Account string
	Public        bool
}

// AddNamespace makes a namespace, or finds it.
func (r *Registrar) AddNamespace(ctx context.Context, p access.Principal, s NamespaceSpec) (n Namespace, added bool, err error) {
	a, err := r.owner(ctx, p, s.Account)
	if err != nil {
		return n, false, err
	}
	line := Line(ctx, p, "namespace.add")
	line.AccountID, line.Namespace = a.ID, oci.Clip(s.Name)
	if err := r.may(ctx, p, access.ManageNamespaces, a.ID, line); err != nil {
		return n, false, err
	}
	if err := CheckNamespaceName(s.Name); err != nil {
		return n, false, err
	}
	line.Detail = visibility(s.Public)
	n = Namespace{
		Namespace: access.Namespace{Name: s.Name, AccountID: a.ID, Incarnation: rand.Text(), Public: s.Public},
		Account:   a.Name, CreatedBy: p.Name,
	}
	n, added, err = r.o.Store.AddNamespace(ctx, n, r.o.Now().Add(-r.o.Reserved), p.Kind == access.Operator, line)
	if errors.Is(err, ErrTaken) {
		line.Outcome, line.Reason = audit.Denied, "the name is taken"
		r.o.Record(ctx, line)
		return n, false, oci.Errorf(oci.CodeConflict, "the namespace %s is not to be had: choose another name, or ask the operator", s.Name)
	}
	return n, added, r.done(ctx, err)
}

func visibility(public bool) string {
	if public {
		return "public"
	}
	return "private"
}

// Namespace of one's own; any for the operator.
func (r *Registrar) Namespace(ctx context.Context, p access.Principal, name string) (Namespace, error) {
	id := p.AccountID
	if p.Kind == access.Operator {
		id = 0
	}
	n, err := r.o.Store.Namespace(ctx, id, name)
	if err == nil && !n.In(p) {
		err = ErrNotFound
	}
	return n, known(err, "namespace "+oci.Clip(name))
}

// NamespacePage lists those of an account ("" is one's own, or all for the
// operator) that p reaches.
func (r *Registrar) NamespacePage(ctx context.Context, p access.Principal, account, after string, n int) ([]Namespace, error) {
	var id int64
	if account != "" || p.Kind != access.Operator {
		a, err := r.owner(ctx, p, account)
		if err != nil {
			return nil, err
		}
		id = a.ID
		if err := r.may(ctx, p, access.ReadNamespaces, id, Line(ctx, p, "namespace.list")); err != nil {
			return nil, err
		}
	}
	if p.Kind == access.Operator || p.Reach.All {
		return r.o.Store.NamespacePage(ctx, id, after, n)
	}
	return r.parts(ctx, p, after, n)
}

// parts are the namespaces of a limited reach, which are few.
func (r *Registrar) parts(ctx context.Context, p access.Principal, after string, most int) ([]Namespace, error) {
	var out []Namespace
	for _, name := range p.Reach.Namespaces() {
		if name <= after || len(out) == most {
			continue
		}
		n, err := r.Namespace(ctx, p, name)
		var known *oci.Error
		if errors.As(err, &known) && known.Code == oci.CodeNotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

// SetNamespace changes visibility and rules; nil leaves them.
func (r *Registrar) SetNamespace(ctx context.Context, p access.Principal, name string, public *bool, rules *[]ImmutableRule, version int64) (Namespace, error) {
	n, err := r.Namespace(ctx, p, name)
	if err != nil {
		return n, err
	}
	line := Line(ctx, p, "namespace.set")
	line.AccountID, line.Namespace = n.AccountID, n.Name
	if err := r.may(ctx, p, access.ManageNamespaces, n.AccountID, line); err != nil {
		return n, err
	}
	if version == 0 {
		version = n.Version // two fields are set as they were read
	}
	if public != nil {
		n.Public = *public
	}
	if rules != nil {
		if err := checkRules(*rules); err != nil {
			return n, err
		}
		n.Immutable = *rules
	}
	line.Detail = fmt.Sprintf("%s, %d rules for immutable tags", visibility(n.Public), len(n.Immutable))
	n, err = r.o.Store.SetNamespace(ctx, n, version, line)
	return n, known(r.done(ctx, err), "namespace "+name)
}

// Limits of rules: they are tried for every tag that moves.
const (
	maxRules   = 32
	maxRuleLen = 256
)

func checkRules(rules []ImmutableRule) error {
	if len(rules) > maxRules {
		return oci.Errorf(oci.CodeRequestInvalid, "immutable has %d rules, %d are allowed: join some with '|'", len(rules), maxRules)
	}
	for i, rule := range rules {
		if rule.Tags == "" {
			return oci.Errorf(oci.CodeRequestInvalid, "immutable[%d].tags is empty: write an expression such as v.*", i)
		}
		if len(rule.Tags) > maxRuleLen || len(rule.Repositories) > maxRuleLen {
			return oci.Errorf(oci.CodeRequestInvalid, "immutable[%d] has more than %d bytes: shorten its expressions", i, maxRuleLen)
		}
		if _, err := compile([]ImmutableRule{rule}); err != nil {
			return oci.Errorf(oci.CodeRequestInvalid, "immutable[%d] is not readable as an RE2 expression: %s", i, oci.Clip(err.Error()))
		}
	}
	return nil
}

// RemoveNamespace moves a namespace to the trash, and returns the entry's ID.
func (r *Registrar) RemoveNamespace(ctx context.Context, p access.Principal, name string) (int64, error) {
	n, err := r.Namespace(ctx, p, name)
	if err != nil {
		return 0, err
	}
	line := Line(ctx, p, "namespace.remove")
	line.AccountID, line.Namespace = n.AccountID, n.Name
	if err := r.may(ctx, p, access.ManageNamespaces, n.AccountID, line); err != nil {
		return 0, err
	}
	keep := func(repo, tag string) bool { return r.o.Directory.Immutable(oci.Repo(repo), oci.Tag(tag)) }
	entry, err := r.o.Store.RemoveNamespace(ctx, n.AccountID, name, keep, line)
	if errors.Is(err, ErrProtected) {
		return 0, oci.Errorf(oci.CodeTagImmutable, "the namespace %s has immutable tags: end that first (fairlead namespace set %s --mutable)", name, name)
	}
	return entry, known(r.done(ctx, err), "namespace "+name)
}
