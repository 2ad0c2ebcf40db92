package admin

import (
	"encoding/json"
	"reflect"
	"strings"
	"time"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/access"
)

// What the document says beside the types: examples, texts of parameters that
// every list has, values of requests.

const (
	exampleTokenID = "q7x2mf4k9c"
	exampleDigest  = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	exampleType    = "application/vnd.oci.image.manifest.v1+json"
)

// fieldText is for fields whose own comment says nothing.
var fieldText = map[string]string{
	"next":        "Where the following page begins; absent in the last one.",
	"items":       "The page.",
	"account":     "The account's name.",
	"namespace":   "The namespace's name.",
	"repository":  "The repository's full name.",
	"description": "A few words for people.",
	"created":     "When it was made.",
	"createdBy":   "Who made it.",
}

// parameterText is the same for parameters.
var parameterText = map[string]string{
	"next":       "The next of the page before.",
	"limit":      "How many items a page has at most.",
	"account":    "Only this account's.",
	"namespace":  "Only this namespace's.",
	"repository": "The repository's full name.",
	"reference":  "A tag or a digest.",
	"cluster":    "Only this cluster's.",
	"tokenId":    "Only what was done with this token.",
	"outcome":    "Only what ended so.",
	"since":      "Not before this time.",
	"until":      "Before this time.",
	"dryRun":     "Change nothing, only say what would go.",
}

var requestEnums = map[string][]any{
	"NamespaceSpec.visibility":   {"private", "public"},
	"NamespaceChange.visibility": {"private", "public"},
	"TokenSpec.access":           {string(access.ReadOnly), string(access.ReadWrite), string(access.Admin), string(access.Cluster)},
}

var parameterExample = map[string]any{
	"account": "acme", "namespace": "acme", "repository": "acme/web", "reference": "1.0", "name": "1.0", "tag": "1.0",
	"cluster": "prod-eu", "limit": 20, "tokenId": exampleTokenID, "action": "token.", "outcome": "denied",
	"since": "2026-07-01T00:00:00Z", "until": "2026-08-01T00:00:00Z",
}

// example gives one of the type's; nil when there is none.
func example(t reflect.Type) any {
	for _, e := range examples() {
		if reflect.TypeOf(e) == t {
			return e
		}
	}
	return nil
}

func examples() []any {
	at := time.Date(2026, 7, 1, 12, 30, 0, 0, time.UTC)
	later := at.AddDate(0, 0, 30)
	var out []any
	for _, some := range [][]any{ownerExamples(at), tokenExamples(at, later), imageExamples(at), trashExamples(at, later), upkeepExamples(at)} {
		out = append(out, some...)
	}
	return out
}

func ownerExamples(at time.Time) []any {
	account := v1.Account{Name: "acme", Description: "ACME Corporation", Created: at, CreatedBy: "operator"}
	rules := []v1.ImmutableRule{{Tags: `v[0-9]+\.[0-9]+\.[0-9]+`}}
	namespace := v1.Namespace{Name: "acme", Account: "acme", Visibility: "private", Immutable: rules, Created: at, CreatedBy: "operator", Version: 3}
	made := namespace
	made.Immutable, made.Version = nil, 1
	private := "private"
	return []any{
		v1.Whoami{Kind: "account", Name: "acme/" + exampleTokenID, Account: "acme", Access: "admin", Reach: &v1.Reach{All: true}, TokenID: exampleTokenID, Server: "1.0.0"},
		account,
		v1.AccountPage{Items: []v1.Account{account}},
		v1.AccountSpec{Name: "acme", Description: "ACME Corporation"},
		v1.AccountMade{Account: account, TokenID: exampleTokenID, Token: "flt_…", Added: true},
		namespace,
		v1.NamespacePage{Items: []v1.Namespace{namespace}, Next: "acme"},
		v1.NamespaceSpec{Name: "acme", Visibility: private},
		v1.NamespaceMade{Namespace: made, Added: true},
		v1.NamespaceChange{Visibility: &private, Immutable: &rules},
	}
}

func tokenExamples(at, later time.Time) []any {
	token := v1.Token{
		ID: exampleTokenID, Account: "acme", Access: "readonly", Reach: v1.Reach{Namespaces: []string{"acme"}}, Description: "nightly build",
		Created: at, CreatedBy: "acme/k3w8", Expires: &later, State: "active", KeyID: "k1",
		LastUsed: &v1.TokenUse{At: at, Address: "192.0.2.7", Client: "containerd/2.1.0"}, Pulls: 12, LastPull: &at,
	}
	return []any{
		token,
		v1.TokenPage{Items: []v1.Token{token}},
		v1.TokenSpec{Access: "readonly", Reach: &v1.Reach{Namespaces: []string{"acme"}}, Description: "nightly build", Expires: "30d"},
		v1.TokenValue{Token: token, Value: "flt_…", Added: true},
		v1.RotateOptions{Overlap: "1h"},
		v1.ServerKeys{Items: []v1.ServerKey{{ID: "k1", Purpose: "token-values", Current: true, Made: at, Tokens: 4}}},
		v1.RetireOptions{ID: "k1", Revoke: true},
		v1.RetireReport{ID: "k1", Purpose: "token-values", Revoked: 4},
	}
}

func imageExamples(at time.Time) []any {
	const repo, size = "acme/web", 31_457_280
	ref := v1.ImageRef{Repository: repo, Reference: "1.0"}
	line := v1.AuditLine{ID: 871, At: at, Account: "acme", Actor: "acme/k3w8", TokenID: "k3w8", Action: "token.add", Target: exampleTokenID, Outcome: "allowed", Address: "192.0.2.7", Client: "fairlead/1.0.0", Request: "8c1f2b9a77e0-42", Count: 1}
	return []any{
		v1.RepositoryPage{Items: []v1.Repository{{Name: repo, Namespace: "acme", Created: at, Updated: at, Tags: 2, Manifests: 3, Bytes: size, Pulls: 12, LastPull: &at}}},
		v1.ImagePage{Items: []v1.Image{{Repository: repo, Namespace: "acme", Tag: "1.0", Digest: exampleDigest, MediaType: exampleType, Pushed: at, Updated: at, Size: size, Pulls: 12, LastPull: &at}}},
		v1.DigestPage{Items: []v1.Digest{{Repository: repo, Digest: exampleDigest, MediaType: exampleType, Pushed: at, Tags: []string{"1.0"}, Referrers: 1, Size: size, Pulls: 12}}},
		v1.ImageDetail{
			Repository: repo, Reference: "1.0", Digest: exampleDigest, MediaType: exampleType, Tags: []string{"1.0", "latest"},
			Platforms: []v1.Platform{{Digest: exampleDigest, OS: "linux", Architecture: "amd64", Size: size}},
			Layers:    []v1.Layer{{Digest: exampleDigest, MediaType: "application/vnd.oci.image.layer.v1.tar+gzip", Size: size}},
			Size:      size, UniqueBytes: size,
		},
		v1.TagOptions{ImageRef: ref, Tag: "stable"},
		v1.CopyOptions{From: ref, To: v1.ImageRef{Repository: "acme/prod/web", Reference: "1.0"}},
		v1.Copied{Repository: "acme/prod/web", Tag: "1.0", Digest: exampleDigest, Manifests: 1, Blobs: 4},
		v1.UsagePage{Items: []v1.Usage{{Namespace: "acme", Account: "acme", Repositories: 1, Tags: 2, Manifests: 3, Bytes: size, Pulls: 12}}},
		line,
		v1.AuditPage{Items: []v1.AuditLine{line}, Next: "871"},
	}
}

func trashExamples(at, later time.Time) []any {
	entry := v1.TrashEntry{ID: 9, Kind: "tag", Repository: "acme/web", Name: "1.0", Deleted: at, DeletedBy: "acme/k3w8", Expires: later, Manifests: 1, Tags: 1, Bytes: 31_457_280}
	return []any{
		v1.Removed{Kind: "tag", Name: "acme/web:1.0", Tags: 1, Remains: &v1.Remains{Digest: exampleDigest, Tags: []string{"latest"}}, TrashID: 9, Expires: &later},
		entry,
		v1.TrashPage{Items: []v1.TrashEntry{entry}},
		v1.RestoreOptions{ID: 9},
		v1.RestoreReport{Entry: entry, Manifests: 1, Tags: 1},
		v1.PurgeOptions{ID: 9},
		v1.PurgeReport{Entries: 1},
		v1.HistoryPage{Items: []v1.TagMove{{Repository: "acme/web", Tag: "1.0", At: at, By: "acme/k3w8", To: exampleDigest}}},
	}
}

func upkeepExamples(at time.Time) []any {
	return []any{
		v1.SweepOptions{DryRun: true},
		v1.SweepReport{DryRun: true, Blobs: 3, Bytes: 1 << 20},
		v1.FsckOptions{Rehash: true},
		v1.FsckReport{Blobs: 120, Manifests: 30, Files: 120, Rehashed: 120, Bytes: 1 << 30, Problems: []v1.FsckProblem{}},
		v1.BackupOptions{Dir: "/backup/fairlead"},
		v1.BackupReport{Dir: "/backup/fairlead", Taken: at, Blobs: 120, Copied: 4, Bytes: 1 << 20},
		v1.RemoveOptions{Repository: "acme/web"},
	}
}

// linesExample is a job's answer.
func linesExample(result reflect.Type) string {
	raw, _ := json.Marshal(example(result)) // data of ours: it never fails
	return jsonLine(v1.Line{Progress: &v1.Progress{Step: "blobs", Done: 60, Total: 120}}) + jsonLine(v1.Line{Result: raw})
}

func jsonLine(v any) string {
	var b strings.Builder
	_ = json.NewEncoder(&b).Encode(v) // into memory, data of ours
	return b.String()
}
