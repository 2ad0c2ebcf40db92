package admin

import (
	"context"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/access"
)

// The services that the management API is a surface of. All of them decide by
// themselves what the principal may do: DENIED names the reason to who may
// know it; what is another account's is answered as if it were not there.
// Beside the errors that are named they give REQUEST_INVALID and NAME_INVALID,
// naming the field.

// Accounts are the operator's to make.
type Accounts interface {
	AddAccount(ctx context.Context, p access.Principal, s v1.AccountSpec) (v1.AccountMade, error)
	Account(ctx context.Context, p access.Principal, name string) (v1.Account, error)
	Accounts(ctx context.Context, p access.Principal, next string, limit int) (v1.AccountPage, error)
	// RemoveAccount: CONFLICT while it has namespaces.
	RemoveAccount(ctx context.Context, p access.Principal, name string) error
	Whoami(ctx context.Context, p access.Principal) (v1.Whoami, error)
}

// Namespaces of accounts.
type Namespaces interface {
	// AddNamespace: CONFLICT when the name is not to be had.
	AddNamespace(ctx context.Context, p access.Principal, s v1.NamespaceSpec) (v1.NamespaceMade, error)
	Namespace(ctx context.Context, p access.Principal, name string) (v1.Namespace, error)
	// Namespaces of an account ("" is one's own; for the operator, all).
	Namespaces(ctx context.Context, p access.Principal, account, next string, limit int) (v1.NamespacePage, error)
	// SetNamespace: STALE when version is not 0 and not the present one.
	SetNamespace(ctx context.Context, p access.Principal, name string, c v1.NamespaceChange, version int64) (v1.Namespace, error)
	// RemoveNamespace moves it to the trash, or only counts.
	RemoveNamespace(ctx context.Context, p access.Principal, name string, dryRun bool) (v1.Removed, error)
}

// Tokens of accounts.
type Tokens interface {
	AddToken(ctx context.Context, p access.Principal, s v1.TokenSpec, requestKey string) (v1.TokenValue, error)
	Token(ctx context.Context, p access.Principal, id string) (v1.Token, error)
	TokenValue(ctx context.Context, p access.Principal, id string) (v1.TokenValue, error)
	Tokens(ctx context.Context, p access.Principal, q v1.TokenQuery) (v1.TokenPage, error)
	RotateToken(ctx context.Context, p access.Principal, id string, o v1.RotateOptions) (v1.TokenValue, error)
	RevokeToken(ctx context.Context, p access.Principal, id string) (v1.Token, error)
}

// Images are repositories, tags and digests.
type Images interface {
	Repositories(ctx context.Context, p access.Principal, q v1.PlaceQuery) (v1.RepositoryPage, error)
	Images(ctx context.Context, p access.Principal, q v1.PlaceQuery) (v1.ImagePage, error)
	Digests(ctx context.Context, p access.Principal, q v1.DigestQuery) (v1.DigestPage, error)
	Inspect(ctx context.Context, p access.Principal, r v1.ImageRef) (v1.ImageDetail, error)
	Tag(ctx context.Context, p access.Principal, o v1.TagOptions) (v1.Copied, error)
	Copy(ctx context.Context, p access.Principal, o v1.CopyOptions) (v1.Copied, error)
	// RemoveImage: a tag, or by its digest the manifest with all its tags.
	RemoveImage(ctx context.Context, p access.Principal, r v1.ImageRef, dryRun bool) (v1.Removed, error)
	RemoveRepository(ctx context.Context, p access.Principal, repository string, dryRun bool) (v1.Removed, error)
}

// Records are what is remembered: trash, histories, audit, usage.
type Records interface {
	TrashOf(ctx context.Context, p access.Principal, q v1.TrashQuery) (v1.TrashPage, error)
	RestoreFor(ctx context.Context, p access.Principal, o v1.RestoreOptions) (v1.RestoreReport, error)
	PurgeFor(ctx context.Context, p access.Principal, o v1.PurgeOptions) (v1.PurgeReport, error)
	HistoryOf(ctx context.Context, p access.Principal, q v1.HistoryQuery) (v1.HistoryPage, error)
	Audit(ctx context.Context, p access.Principal, q v1.AuditQuery) (v1.AuditPage, error)
	Usage(ctx context.Context, p access.Principal, q v1.UsageQuery) (v1.UsagePage, error)
}

// Service is all of them.
type Service interface {
	Accounts
	Namespaces
	Tokens
	Images
	Records
}
