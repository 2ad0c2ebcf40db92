package v1

import "time"

// List parameters, the same for every list: Limit items at most (100; up to
// 1000), beginning after the page whose next is given.

// Whoami is who the credential stands for: GET /api/v1/whoami.
type Whoami struct {
	// Kind: operator, account.
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Account string `json:"account,omitempty"`
	Access  string `json:"access,omitempty"`
	Reach   *Reach `json:"reach,omitempty"`
	TokenID string `json:"tokenId,omitempty"`
	Cluster string `json:"cluster,omitempty"`
	// Expires is when the token does; absent if never.
	Expires *time.Time `json:"expires,omitempty"`
	// Server is the version of the server.
	Server string `json:"server,omitempty"`
}

// Account owns namespaces and tokens.
type Account struct {
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Created     time.Time `json:"created"`
	CreatedBy   string    `json:"createdBy,omitempty"`
}

// AccountSpec of POST /api/v1/accounts.
type AccountSpec struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
}

// AccountMade is a new account with its first admin token, which is shown
// here. An account that was there already comes without a token.
type AccountMade struct {
	Account
	// TokenID and Token: the first admin token, and its value.
	TokenID string `json:"tokenId,omitempty"`
	Token   string `json:"token,omitempty"`
	// Added is false if the account was there already.
	Added bool `json:"added"`
}

// AccountPage is a page of accounts by name.
type AccountPage struct {
	Items []Account `json:"items"`
	Next  string    `json:"next,omitempty"`
}

// ImmutableRule protects tags of a namespace: they never move and never go.
// Both are RE2 expressions that must match the whole name; Repositories is
// matched against the full name, and is all of the namespace when empty.
type ImmutableRule struct {
	Repositories string `json:"repositories,omitempty"`
	Tags         string `json:"tags"`
}

// Namespace is the first path element of repositories.
type Namespace struct {
	Name    string `json:"name"`
	Account string `json:"account"`
	// Visibility: private, public (every signed-in account may pull).
	Visibility string          `json:"visibility"`
	Immutable  []ImmutableRule `json:"immutable,omitempty"`
	Created    time.Time       `json:"created"`
	CreatedBy  string          `json:"createdBy,omitempty"`
	// Version for If-Match.
	Version int64 `json:"version"`
}

// NamespaceSpec of POST /api/v1/namespaces.
type NamespaceSpec struct {
	Name string `json:"name"`
	// Account to own it: for the operator; otherwise one's own.
	Account string `json:"account,omitempty"`
	// Visibility: private (the default) or public.
	Visibility string `json:"visibility,omitempty"`
}

// NamespaceMade is a namespace; Added is false if it was there already.
type NamespaceMade struct {
	Namespace
	Added bool `json:"added"`
}

// NamespaceChange of PATCH /api/v1/namespaces/{name}; absent fields stay.
type NamespaceChange struct {
	Visibility *string          `json:"visibility,omitempty"`
	Immutable  *[]ImmutableRule `json:"immutable,omitempty"`
}

// NamespacePage is a page of namespaces by name.
type NamespacePage struct {
	Items []Namespace `json:"items"`
	Next  string      `json:"next,omitempty"`
}

// Removed is what went to the trash, or would go (DELETE with dryRun).
type Removed struct {
	// Kind: tag, manifest, repository, namespace.
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Repositories, Manifests, Tags that go, and their Bytes.
	Repositories int   `json:"repositories"`
	Manifests    int   `json:"manifests"`
	Tags         int   `json:"tags"`
	Bytes        int64 `json:"bytes"`
	// TagNames that go (the first 100), for a manifest.
	TagNames []string `json:"tagNames,omitempty"`
	// Remains says what a removed tag leaves: the manifest's digest, and the
	// other tags that name it.
	Remains *Remains `json:"remains,omitempty"`
	// TrashID brings it back, with POST /api/v1/trash/restore.
	TrashID int64      `json:"trashId,omitempty"`
	Expires *time.Time `json:"expires,omitempty"`
	DryRun  bool       `json:"dryRun,omitempty"`
}

// Remains is what is still there after a tag went.
type Remains struct {
	Digest string   `json:"digest"`
	Tags   []string `json:"tags"`
}
