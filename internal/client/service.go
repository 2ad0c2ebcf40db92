package client

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"strconv"
	"time"

	v1 "fairlead.dev/fairlead/api/v1"
)

// Whoami says who the token stands for.
func (c *Client) Whoami(ctx context.Context) (v1.Whoami, error) {
	return read[v1.Whoami](ctx, c, "/api/v1/whoami", nil)
}

// AddAccount makes an account with its first admin token.
func (c *Client) AddAccount(ctx context.Context, s v1.AccountSpec) (v1.AccountMade, error) {
	return post[v1.AccountMade](ctx, c, "/api/v1/accounts", s)
}

// Account gives one account.
func (c *Client) Account(ctx context.Context, name string) (v1.Account, error) {
	return read[v1.Account](ctx, c, one("accounts", name), nil)
}

// Accounts lists accounts by name.
func (c *Client) Accounts(ctx context.Context, next string, limit int) (v1.AccountPage, error) {
	return read[v1.AccountPage](ctx, c, "/api/v1/accounts", values("next", next, "limit", number(limit)))
}

// RemoveAccount removes an account without namespaces.
func (c *Client) RemoveAccount(ctx context.Context, name string) error {
	return c.nothing(ctx, http.MethodDelete, one("accounts", name))
}

// AddNamespace makes a namespace, or finds it.
func (c *Client) AddNamespace(ctx context.Context, s v1.NamespaceSpec) (v1.NamespaceMade, error) {
	return post[v1.NamespaceMade](ctx, c, "/api/v1/namespaces", s)
}

// Namespace gives one namespace.
func (c *Client) Namespace(ctx context.Context, name string) (v1.Namespace, error) {
	return read[v1.Namespace](ctx, c, one("namespaces", name), nil)
}

// Namespaces lists the namespaces of an account; of one's own for "".
func (c *Client) Namespaces(ctx context.Context, account, next string, limit int) (v1.NamespacePage, error) {
	return read[v1.NamespacePage](ctx, c, "/api/v1/namespaces", values("account", account, "next", next, "limit", number(limit)))
}

// SetNamespace changes a namespace if its version is still this one; 0 is any.
func (c *Client) SetNamespace(ctx context.Context, name string, change v1.NamespaceChange, version int64) (v1.Namespace, error) {
	q := request{method: http.MethodPatch, path: one("namespaces", name), body: change}
	if version != 0 {
		q.header = http.Header{"If-Match": {strconv.Quote(strconv.FormatInt(version, 10))}}
	}
	return whole[v1.Namespace](ctx, c, q)
}

// RemoveNamespace moves a namespace to the trash, or only counts.
func (c *Client) RemoveNamespace(ctx context.Context, name string, dryRun bool) (v1.Removed, error) {
	return remove[v1.Removed](ctx, c, one("namespaces", name), values("dryRun", flag(dryRun)))
}

// AddToken makes a token. The same requestKey gives the same token again; ""
// chooses one, so that a request that is sent twice makes one token.
func (c *Client) AddToken(ctx context.Context, s v1.TokenSpec, requestKey string) (v1.TokenValue, error) {
	if requestKey == "" {
		requestKey = rand.Text()
	}
	return whole[v1.TokenValue](ctx, c, request{
		method: http.MethodPost, path: "/api/v1/tokens", body: s, header: http.Header{"Idempotency-Key": {requestKey}},
	})
}

// Token gives a token without its value.
func (c *Client) Token(ctx context.Context, id string) (v1.Token, error) {
	return read[v1.Token](ctx, c, one("tokens", id), nil)
}

// TokenValue gives a token with its value. It is audited.
func (c *Client) TokenValue(ctx context.Context, id string) (v1.TokenValue, error) {
	return read[v1.TokenValue](ctx, c, one("tokens", id)+"/value", nil)
}

// Tokens lists tokens, newest first.
func (c *Client) Tokens(ctx context.Context, q v1.TokenQuery) (v1.TokenPage, error) {
	return read[v1.TokenPage](ctx, c, "/api/v1/tokens", values(
		"account", q.Account, "cluster", q.Cluster, "ended", flag(q.Ended), "next", q.Next, "limit", number(q.Limit)))
}

// RotateToken gives a token a new value.
func (c *Client) RotateToken(ctx context.Context, id string, o v1.RotateOptions) (v1.TokenValue, error) {
	return post[v1.TokenValue](ctx, c, one("tokens", id)+"/rotate", o)
}

// RevokeToken ends a token for good.
func (c *Client) RevokeToken(ctx context.Context, id string) (v1.Token, error) {
	return remove[v1.Token](ctx, c, one("tokens", id), nil)
}

// Repositories lists repositories by name.
func (c *Client) Repositories(ctx context.Context, q v1.PlaceQuery) (v1.RepositoryPage, error) {
	return read[v1.RepositoryPage](ctx, c, "/api/v1/repositories", place(q))
}

// Images lists tags by repository and name.
func (c *Client) Images(ctx context.Context, q v1.PlaceQuery) (v1.ImagePage, error) {
	return read[v1.ImagePage](ctx, c, "/api/v1/images", place(q))
}

// Digests lists the manifests of a repository, newest first.
func (c *Client) Digests(ctx context.Context, q v1.DigestQuery) (v1.DigestPage, error) {
	return read[v1.DigestPage](ctx, c, "/api/v1/digests", values("repository", q.Repository, "next", q.Next, "limit", number(q.Limit)))
}

// Inspect gives an image in full.
func (c *Client) Inspect(ctx context.Context, r v1.ImageRef) (v1.ImageDetail, error) {
	return read[v1.ImageDetail](ctx, c, "/api/v1/images/inspect", values("repository", r.Repository, "reference", r.Reference))
}

// Tag gives an image one more tag.
func (c *Client) Tag(ctx context.Context, o v1.TagOptions) (v1.Copied, error) {
	return post[v1.Copied](ctx, c, "/api/v1/images/tag", o)
}

// Copy copies an image within the registry.
func (c *Client) Copy(ctx context.Context, o v1.CopyOptions) (v1.Copied, error) {
	return post[v1.Copied](ctx, c, "/api/v1/images/copy", o)
}

// RemoveImage moves a tag, or by its digest a manifest with all its tags, to
// the trash, or only counts.
func (c *Client) RemoveImage(ctx context.Context, r v1.ImageRef, dryRun bool) (v1.Removed, error) {
	return remove[v1.Removed](ctx, c, "/api/v1/images", values("repository", r.Repository, "reference", r.Reference, "dryRun", flag(dryRun)))
}

// RemoveRepository moves a repository to the trash, or only counts.
func (c *Client) RemoveRepository(ctx context.Context, repository string, dryRun bool) (v1.Removed, error) {
	return remove[v1.Removed](ctx, c, "/api/v1/repositories", values("repository", repository, "dryRun", flag(dryRun)))
}

// Audit gives a page of the audit trail, newest first.
func (c *Client) Audit(ctx context.Context, q v1.AuditQuery) (v1.AuditPage, error) {
	return read[v1.AuditPage](ctx, c, "/api/v1/audit", audit(q))
}

// ExportAudit calls each with every line of the audit trail that q selects, as
// the server sends them. An error of each ends it.
func (c *Client) ExportAudit(ctx context.Context, q v1.AuditQuery, each func(v1.AuditLine) error) error {
	return stream(ctx, c, request{
		method: http.MethodGet, path: "/api/v1/audit", query: audit(q), header: http.Header{"Accept": {"application/jsonl"}},
	}, each)
}

// Usage lists what namespaces use.
func (c *Client) Usage(ctx context.Context, q v1.UsageQuery) (v1.UsagePage, error) {
	return read[v1.UsagePage](ctx, c, "/api/v1/usage", values(
		"account", q.Account, "namespace", q.Namespace, "next", q.Next, "limit", number(q.Limit)))
}

func place(q v1.PlaceQuery) url.Values {
	return values("repository", q.Repository, "namespace", q.Namespace, "includePublic", flag(q.IncludePublic),
		"next", q.Next, "limit", number(q.Limit))
}

func audit(q v1.AuditQuery) url.Values {
	return values("account", q.Account, "tokenId", q.TokenID, "action", q.Action, "namespace", q.Namespace,
		"repository", q.Repository, "outcome", q.Outcome, "since", instant(q.Since), "until", instant(q.Until),
		"next", q.Next, "limit", number(q.Limit))
}

// one is the path of one thing of a kind.
func one(kind, name string) string { return "/api/v1/" + kind + "/" + url.PathEscape(name) }

func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func flag(set bool) string {
	if set {
		return "true"
	}
	return ""
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// values makes a query of names and values, without the empty ones.
func values(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	return v
}
