package cli

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/diagnosis"
	"fairlead.dev/fairlead/internal/inquiry"
	"fairlead.dev/fairlead/internal/oci"
)

// tokenRecords asks the registries that somebody is signed in to about their
// tokens.
type tokenRecords struct{ e env }

// Record implements inquiry.Records.
func (r tokenRecords) Record(ctx context.Context, host, password string, repo oci.Repo) (diagnosis.Record, error) {
	id, err := account.ParseValue(password)
	if err != nil {
		return diagnosis.Record{}, inquiry.ErrNoRecord
	}
	s, err := r.session(ctx, host)
	if err != nil {
		return diagnosis.Record{}, err
	}
	defer s.close() //nolint:errcheck // it only asked
	t, err := s.api.Token(ctx, id)
	out := diagnosis.Record{Server: s.name, ID: id}
	if status, _ := refusal(err); status == http.StatusNotFound {
		return out, nil
	}
	if err != nil {
		return diagnosis.Record{}, err
	}
	out.Known, out.Description, out.Access, out.Reach, out.RevokedBy = true, t.Description, t.Access, reachText(t.Reach), t.RevokedBy
	if t.Expires != nil {
		out.Expires = *t.Expires
	}
	if t.Revoked != nil {
		out.Revoked = *t.Revoked
	}
	if t.Rotated != nil && (t.FormerUntil == nil || time.Now().After(*t.FormerUntil)) {
		out.Rotated = *t.Rotated
	}
	if t.LastUsed != nil {
		out.LastUsed = t.LastUsed.At
	}
	out.Lacks = lacks(ctx, s, t, string(repo))
	return out, nil
}

// session is the login at the registry on this host.
func (r tokenRecords) session(ctx context.Context, host string) (*session, error) {
	l, err := readLogins(r.e)
	if err != nil {
		return nil, err
	}
	for _, c := range l.Contexts {
		u, err := url.Parse(c.Server)
		if err != nil || !strings.EqualFold(u.Host, host) {
			continue
		}
		return dial(c, func() (string, error) { return c.value(ctx) })
	}
	return nil, inquiry.ErrNobody
}

// lacks says what the token would need to pull from the repository; "" if
// nothing.
func lacks(ctx context.Context, s *session, t v1.Token, repo string) string {
	name, _, inNamespace := strings.Cut(repo, "/")
	if !inNamespace {
		return "" // provided images are everybody's
	}
	ns, err := s.api.Namespace(ctx, name)
	switch status, _ := refusal(err); {
	case status == http.StatusNotFound || status == http.StatusForbidden:
		return fmt.Sprintf("the account %s has no namespace %s", t.Account, name)
	case err != nil:
		return ""
	case ns.Account != t.Account && ns.Visibility != "public":
		return fmt.Sprintf("the namespace %s is another account's", name)
	case ns.Account != t.Account || covers(t.Reach, repo):
		return ""
	}
	return "its reach does not hold " + repo
}

// covers says whether a token's reach holds the repository.
func covers(r v1.Reach, repo string) bool {
	under := func(path string) bool {
		rest, ok := strings.CutPrefix(repo, path)
		return ok && (rest == "" || rest[0] == '/')
	}
	if r.All {
		return true
	}
	for _, n := range append(append([]string{}, r.Namespaces...), r.Repositories...) {
		if under(n) {
			return true
		}
	}
	return false
}
