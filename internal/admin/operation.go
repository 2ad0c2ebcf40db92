package admin

import (
	"context"
	"net/http"
	"net/url"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/oci"
)

// Queries that have no shape in api/v1.
type (
	pageQuery struct {
		Next  string `json:"next,omitempty"`
		Limit int    `json:"limit,omitempty"`
	}
	namespaceQuery struct {
		Account string `json:"account,omitempty"`
		Next    string `json:"next,omitempty"`
		Limit   int    `json:"limit,omitempty"`
	}
	dryRun struct {
		DryRun bool `json:"dryRun,omitempty"`
	}
	repositoryRemoval struct {
		Repository string `json:"repository"`
		DryRun     bool   `json:"dryRun,omitempty"`
	}
	imageRemoval struct {
		v1.ImageRef
		DryRun bool `json:"dryRun,omitempty"`
	}
)

// Groups of the document, in its order.
const (
	groupAccounts   = "Accounts"
	groupNamespaces = "Namespaces"
	groupTokens     = "Tokens"
	groupImages     = "Images"
	groupTrash      = "Trash and history"
	groupRecords    = "Audit and usage"
	groupUpkeep     = "Upkeep"
	groupDocument   = "This document"
)

const (
	get    = http.MethodGet
	post   = http.MethodPost
	patch  = http.MethodPatch
	remove = http.MethodDelete
)

// operations are all that there are.
func operations() []operation {
	var all []operation
	for _, some := range [][]operation{
		accountOperations(), namespaceOperations(), tokenOperations(), imageOperations(),
		trashOperations(), recordOperations(), upkeepOperations(), documentOperations(),
	} {
		all = append(all, some...)
	}
	return all
}

func accountOperations() []operation {
	return []operation{
		{
			method: get, path: "/api/v1/whoami", id: "whoami", group: groupAccounts, summary: "Say who the credential stands for",
			action: ask(func(x *exchange, _ nothing) (v1.Whoami, error) {
				w, err := x.o.Service.Whoami(x.r.Context(), x.who)
				if w.Server == "" {
					w.Server = x.o.Version
				}
				return w, err
			}),
		},
		{
			method: get, path: "/api/v1/accounts", id: "listAccounts", group: groupAccounts, summary: "List accounts",
			about: "The operator sees all, others their own.",
			action: ask(func(x *exchange, q pageQuery) (v1.AccountPage, error) {
				return x.o.Service.Accounts(x.r.Context(), x.who, q.Next, q.Limit)
			}),
		},
		{
			method: post, path: "/api/v1/accounts", id: "addAccount", group: groupAccounts, summary: "Make an account",
			about: "For the operator. The answer has the value of the account's first admin token. An account that was there already is answered with 200 and without a token.",
			action: create(service(Service.AddAccount), func(a v1.AccountMade) (string, bool) {
				return "/api/v1/accounts/" + url.PathEscape(a.Name), a.Added
			}),
		},
		{
			method: get, path: "/api/v1/accounts/{name}", id: "getAccount", group: groupAccounts, summary: "Show an account",
			codes: []oci.Code{oci.CodeNotFound}, action: ask(item(Service.Account)),
		},
		{
			method: remove, path: "/api/v1/accounts/{name}", id: "removeAccount", group: groupAccounts, summary: "Remove an account",
			about: "For the operator. An account that still has namespaces is not removed.",
			codes: []oci.Code{oci.CodeNotFound, oci.CodeConflict},
			action: ask(func(x *exchange, _ nothing) (nothing, error) {
				return nothing{}, x.o.Service.RemoveAccount(x.r.Context(), x.who, x.item)
			}),
		},
	}
}

func namespaceOperations() []operation {
	return []operation{
		{
			method: get, path: "/api/v1/namespaces", id: "listNamespaces", group: groupNamespaces, summary: "List namespaces",
			action: ask(func(x *exchange, q namespaceQuery) (v1.NamespacePage, error) {
				return x.o.Service.Namespaces(x.r.Context(), x.who, q.Account, q.Next, q.Limit)
			}),
		},
		{
			method: post, path: "/api/v1/namespaces", id: "addNamespace", group: groupNamespaces, summary: "Make a namespace",
			about: "One that the account has already is answered with 200. A name that is not to be had is a conflict, whoever has it.",
			codes: []oci.Code{oci.CodeConflict}, etag: true,
			action: create(func(x *exchange, s v1.NamespaceSpec) (v1.NamespaceMade, error) {
				n, err := x.o.Service.AddNamespace(x.r.Context(), x.who, s)
				x.tag(n.Namespace)
				return n, err
			}, func(n v1.NamespaceMade) (string, bool) {
				return "/api/v1/namespaces/" + url.PathEscape(n.Name), n.Added
			}),
		},
		{
			method: get, path: "/api/v1/namespaces/{name}", id: "getNamespace", group: groupNamespaces, summary: "Show a namespace",
			codes: []oci.Code{oci.CodeNotFound}, etag: true,
			action: ask(func(x *exchange, _ nothing) (v1.Namespace, error) {
				n, err := x.o.Service.Namespace(x.r.Context(), x.who, x.item)
				x.tag(n)
				return n, err
			}),
		},
		{
			method: patch, path: "/api/v1/namespaces/{name}", id: "setNamespace", group: groupNamespaces, summary: "Change a namespace",
			about: "Fields that are absent stay as they are; immutable replaces all rules.",
			codes: []oci.Code{oci.CodeNotFound, oci.CodeStale}, etag: true, headers: []header{ifMatchHeader},
			action: act(func(x *exchange, c v1.NamespaceChange) (v1.Namespace, error) {
				version, err := ifMatch(x.r.Header)
				if err != nil {
					return v1.Namespace{}, err
				}
				n, err := x.o.Service.SetNamespace(x.r.Context(), x.who, x.item, c, version)
				x.tag(n)
				return n, err
			}),
		},
		{
			method: remove, path: "/api/v1/namespaces/{name}", id: "removeNamespace", group: groupNamespaces, summary: "Move a namespace to the trash",
			about: "With all its repositories. dryRun only says what would go.",
			codes: []oci.Code{oci.CodeNotFound, oci.CodeTagImmutable},
			action: ask(func(x *exchange, q dryRun) (v1.Removed, error) {
				return x.o.Service.RemoveNamespace(x.r.Context(), x.who, x.item, q.DryRun)
			}),
		},
	}
}

func tokenOperations() []operation {
	return []operation{
		{
			method: get, path: "/api/v1/tokens", id: "listTokens", group: groupTokens, summary: "List tokens",
			about: "Without their values.", action: ask(service(Service.Tokens)),
		},
		{
			method: post, path: "/api/v1/tokens", id: "addToken", group: groupTokens, summary: "Make a token",
			about:   "The answer has its value. With an Idempotency-Key the request can be made again after a lost answer: it gives the same token, with 200.",
			headers: []header{requestKeyHeader}, codes: []oci.Code{oci.CodeConflict},
			action: create(func(x *exchange, s v1.TokenSpec) (v1.TokenValue, error) {
				key, err := requestKey(x.r.Header)
				if err != nil {
					return v1.TokenValue{}, err
				}
				return x.o.Service.AddToken(x.r.Context(), x.who, s, key)
			}, func(t v1.TokenValue) (string, bool) { return "/api/v1/tokens/" + url.PathEscape(t.ID), t.Added }),
		},
		{
			method: get, path: "/api/v1/tokens/{id}", id: "getToken", group: groupTokens, summary: "Show a token",
			about: "Without its value.", codes: []oci.Code{oci.CodeNotFound}, action: ask(item(Service.Token)),
		},
		{
			method: remove, path: "/api/v1/tokens/{id}", id: "revokeToken", group: groupTokens, summary: "Revoke a token",
			about: "Pulls and pushes with it stop within two seconds.",
			codes: []oci.Code{oci.CodeNotFound}, action: ask(item(Service.RevokeToken)),
		},
		{
			method: get, path: "/api/v1/tokens/{id}/value", id: "getTokenValue", group: groupTokens, summary: "Show a token's value again",
			about: "For the account's admins and the operator; it is noted in the audit trail.",
			codes: []oci.Code{oci.CodeNotFound}, action: ask(item(Service.TokenValue)),
		},
		{
			method: post, path: "/api/v1/tokens/{id}/rotate", id: "rotateToken", group: groupTokens, summary: "Give a token a new value",
			about: "The former value stays good for the overlap.", codes: []oci.Code{oci.CodeNotFound, oci.CodeConflict},
			action: act(func(x *exchange, o v1.RotateOptions) (v1.TokenValue, error) {
				return x.o.Service.RotateToken(x.r.Context(), x.who, x.item, o)
			}),
		},
	}
}

func imageOperations() []operation {
	return []operation{
		{
			method: get, path: "/api/v1/repositories", id: "listRepositories", group: groupImages, summary: "List repositories",
			action: ask(service(Service.Repositories, checkListed)),
		},
		{
			method: remove, path: "/api/v1/repositories", id: "removeRepository", group: groupImages, summary: "Move a repository to the trash",
			codes: []oci.Code{oci.CodeNameUnknown, oci.CodeTagImmutable},
			action: ask(func(x *exchange, q repositoryRemoval) (v1.Removed, error) {
				if _, err := oci.ParseRepo(q.Repository); err != nil {
					return v1.Removed{}, err
				}
				return x.o.Service.RemoveRepository(x.r.Context(), x.who, q.Repository, q.DryRun)
			}),
		},
		{
			method: get, path: "/api/v1/images", id: "listImages", group: groupImages, summary: "List images by tag",
			action: ask(service(Service.Images, checkListed)),
		},
		{
			method: remove, path: "/api/v1/images", id: "removeImage", group: groupImages, summary: "Move an image to the trash",
			about: "By a tag, the tag alone goes, and the answer says what remains; by a digest, the manifest goes with all its tags.",
			codes: []oci.Code{oci.CodeManifestUnknown, oci.CodeTagImmutable},
			action: ask(func(x *exchange, q imageRemoval) (v1.Removed, error) {
				if err := checkImage(&q.ImageRef); err != nil {
					return v1.Removed{}, err
				}
				return x.o.Service.RemoveImage(x.r.Context(), x.who, q.ImageRef, q.DryRun)
			}),
		},
		{
			method: get, path: "/api/v1/images/inspect", id: "inspectImage", group: groupImages, summary: "Show an image in full",
			codes: []oci.Code{oci.CodeManifestUnknown}, action: ask(service(Service.Inspect, checkImage)),
		},
		{
			method: post, path: "/api/v1/images/tag", id: "tagImage", group: groupImages, summary: "Give an image another tag",
			codes: []oci.Code{oci.CodeManifestUnknown, oci.CodeTagImmutable}, action: act(service(Service.Tag, checkTag)),
		},
		{
			method: post, path: "/api/v1/images/copy", id: "copyImage", group: groupImages, summary: "Copy an image to another repository",
			codes: []oci.Code{oci.CodeManifestUnknown, oci.CodeTagImmutable}, action: act(service(Service.Copy, checkCopy)),
		},
		{
			method: get, path: "/api/v1/digests", id: "listDigests", group: groupImages, summary: "List a repository's manifests",
			about: "Those without a tag, too; newest first.", codes: []oci.Code{oci.CodeNameUnknown}, action: ask(service(Service.Digests, checkDigests)),
		},
	}
}

func trashOperations() []operation {
	return []operation{
		{
			method: get, path: "/api/v1/trash", id: "listTrash", group: groupTrash, summary: "List what was deleted and can come back", door: either,
			about: "Newest first.", action: ask(offeredBy(service(Service.TrashOf, checkTrash), upkeep(Upkeep.Trash))),
		},
		{
			method: post, path: "/api/v1/trash/restore", id: "restore", group: groupTrash, summary: "Bring an entry back", door: either,
			about: "Tags that name something newer by now are left alone and listed as conflicts, unless overwrite.",
			codes: []oci.Code{oci.CodeManifestUnknown, oci.CodeConflict, oci.CodeTagImmutable}, action: act(offeredBy(service(Service.RestoreFor, checkRestore), upkeep(Upkeep.Restore))),
		},
		{
			method: post, path: "/api/v1/trash/purge", id: "purge", group: groupTrash, summary: "Forget deleted things for good", door: either,
			codes: []oci.Code{oci.CodeManifestUnknown}, action: act(offeredBy(service(Service.PurgeFor, checkPurge), upkeep(Upkeep.Purge))),
		},
		{
			method: get, path: "/api/v1/history", id: "listHistory", group: groupTrash, summary: "List what tags named", door: either,
			about: "Newest first; a repository that is gone has a history, too.",
			codes: []oci.Code{oci.CodeNameUnknown}, action: ask(offeredBy(service(Service.HistoryOf, checkHistory), upkeep(Upkeep.History))),
		},
	}
}

func recordOperations() []operation {
	return []operation{
		{
			method: get, path: "/api/v1/audit", id: "listAudit", group: groupRecords, summary: "List who did what",
			about:  "Newest first. With Accept: application/jsonl (or application/x-ndjson) all lines that the filter selects come as JSON lines, without pages; if the export breaks off, its last line has the field error.",
			export: true, action: auditAction(),
		},
		{
			method: get, path: "/api/v1/usage", id: "listUsage", group: groupRecords, summary: "List what namespaces use",
			action: ask(service(Service.Usage)),
		},
	}
}

func upkeepOperations() []operation {
	op := func(method, name, id, summary string, a action, codes ...oci.Code) operation {
		return operation{method: method, path: "/api/v1/upkeep/" + name, id: id, group: groupUpkeep, summary: summary, door: socket, codes: codes, action: a}
	}
	return []operation{
		op(post, "sweep", "sweep", "Remove what nobody needs", job(Upkeep.Sweep)),
		op(post, "fsck", "fsck", "Hold the catalog and the store against each other", job(Upkeep.Fsck)),
		op(post, "backup", "backup", "Copy the registry into a folder", job(Upkeep.Backup)),
		op(post, "remove", "remove", "Move a repository or a namespace to the trash", act(upkeep(Upkeep.Remove)), oci.CodeNameUnknown),
		op(get, "keys", "listKeys", "List the server's keys", ask(plainUpkeep(Upkeep.Keys))),
		op(post, "keys/rotate", "rotateKeys", "Make new keys; the former stay good for what they made", act(plainUpkeep(Upkeep.RotateKeys))),
		op(post, "keys/retire", "retireKey", "End a key, and with revoke the tokens whose values it makes", act(upkeep(Upkeep.RetireKey)), oci.CodeNotFound, oci.CodeConflict),
	}
}

// plainUpkeep asks the Upkeep what takes no options.
func plainUpkeep[A any](do func(Upkeep, context.Context) (A, error)) func(*exchange, nothing) (A, error) {
	return upkeep(func(u Upkeep, ctx context.Context, _ nothing) (A, error) { return do(u, ctx) })
}
