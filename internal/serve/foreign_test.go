package serve_test

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	v1 "fairlead.dev/fairlead/api/v1"
)

// names are what a try is about: once mallory asks for acme's, once for what
// is nobody's. Both have the same lengths, and nothing lies between them.
type names struct{ account, namespace, repository, tag, digest, token, entry string }

// try is a request that names another account's things.
type try struct {
	// query and body, with the fields of names in brackets, such as
	// {repository}; the path has them, too.
	query, body string
	// empty: an answer of 200 that lists nothing is right, too.
	empty bool
}

// tries of every operation that names something. An operation without a name
// in its request is in harmless.
var tries = map[string][]try{
	"listAccounts":     {{query: "next={account}", empty: true}},
	"getAccount":       {{}},
	"removeAccount":    {{}},
	"listNamespaces":   {{query: "account={account}"}, {query: "next={namespace}", empty: true}},
	"getNamespace":     {{}},
	"setNamespace":     {{body: `{"visibility":"public"}`}, {body: `{"immutable":[]}`}},
	"removeNamespace":  {{}, {query: "dryRun=true"}},
	"listTokens":       {{query: "account={account}"}, {query: "cluster={namespace}", empty: true}},
	"addToken":         {{body: `{"account":"{account}"}`}, {body: `{"reach":{"namespaces":["{namespace}"]}}`}, {body: `{"reach":{"repositories":["{repository}"]}}`}},
	"getToken":         {{}},
	"revokeToken":      {{}},
	"getTokenValue":    {{}},
	"rotateToken":      {{body: `{}`}},
	"listRepositories": {{query: "repository={repository}", empty: true}, {query: "namespace={namespace}", empty: true}, {query: "includePublic=true&next={repository}", empty: true}},
	"removeRepository": {{query: "repository={repository}"}, {query: "repository={repository}&dryRun=true"}},
	"listImages":       {{query: "repository={repository}", empty: true}, {query: "namespace={namespace}", empty: true}, {query: "includePublic=true&next={repository}:{tag}", empty: true}},
	"removeImage":      {{query: "repository={repository}&reference={tag}"}, {query: "repository={repository}&reference={digest}"}, {query: "repository={repository}&reference={tag}&dryRun=true"}},
	"inspectImage":     {{query: "repository={repository}&reference={tag}"}, {query: "repository={repository}&reference={digest}"}},
	"tagImage":         {{body: `{"repository":"{repository}","reference":"{tag}","tag":"mine"}`}, {body: `{"repository":"{repository}","reference":"{digest}","tag":"mine"}`}},
	"copyImage": {
		{body: `{"from":{"repository":"{repository}","reference":"{tag}"},"to":{"repository":"mallory/x","reference":"mine"}}`},
		{body: `{"from":{"repository":"mallory/x","reference":"v1"},"to":{"repository":"{repository}","reference":"{tag}"}}`},
	},
	"listDigests": {{query: "repository={repository}"}},
	"listTrash":   {{query: "repository={repository}", empty: true}, {query: "namespace={namespace}", empty: true}, {query: "repository={repository}&name={tag}", empty: true}},
	"restore": {
		{body: `{"id":{entry}}`},
		{body: `{"id":{entry},"overwrite":true}`},
		{body: `{"repository":"{repository}"}`},
		{body: `{"repository":"{repository}","name":"gone"}`},
		{body: `{"namespace":"{namespace}"}`},
	},
	"purge":       {{body: `{"id":{entry}}`}},
	"listHistory": {{query: "repository={repository}"}, {query: "repository={repository}&tag={tag}"}},
	"listAudit": {
		{query: "account={account}"},
		{query: "namespace={namespace}", empty: true},
		{query: "repository={repository}", empty: true},
		{query: "tokenId={token}", empty: true},
	},
	"listUsage": {{query: "account={account}"}, {query: "namespace={namespace}"}},
}

// harmless operations name nothing of an account, or name what is to be made,
// which no two accounts can have.
var harmless = []string{"whoami", "addAccount", "addNamespace", "readPage", "readJSON", "readYAML"}

// TestForeignIDs: every operation of the management API that names something
// is tried from another account, with all that it can name, and answers as for
// what is not there. An operation that nobody thought of fails the test.
func TestForeignIDs(t *testing.T) {
	t.Parallel()
	r := launch(t, t.TempDir(), nil)
	acme := r.house(t, "acme", v1.NamespaceSpec{Name: "acme"})
	mallory := r.house(t, "mallory", v1.NamespaceSpec{Name: "mallory"})
	own := r.bearer(t, mallory, all("mallory/x"))
	r.mustPush(t, own, "mallory/x", "v1", "mallory's")
	token := r.bearer(t, acme, all("acme/web"))
	im := r.mustPush(t, token, "acme/web", "v1", "acme's")
	r.mustPush(t, token, "acme/web", "gone", "acme's, deleted")
	r.do(t, "DELETE", "/v2/acme/web/manifests/gone", token, nil)
	var trash v1.TrashPage
	r.must(t, acme, "GET", "/api/v1/trash", nil, &trash)
	made := r.mint(t, acme, v1.TokenSpec{Access: "readwrite"})
	foreign := names{"acme", "acme", "acme/web", "v1", im.digest, made.ID, "1"}
	absent := names{"acmf", "acmf", "acmf/web", "v1", "sha256:" + strings.Repeat("0", 64), "AAAAAAAAAAAA", "9"}
	if len(trash.Items) != 1 || trash.Items[0].ID != 1 {
		t.Fatalf("the trash: %+v", trash)
	}
	operations, tried := r.operations(t), false
	// The trail first: later it has mallory's own refusals, about both.
	for _, id := range append([]string{"listAudit"}, slices.Sorted(maps.Keys(operations))...) {
		op := operations[id]
		if slices.Contains(harmless, id) || strings.HasPrefix(op.path, "/api/v1/upkeep/") {
			continue // the socket's operations are not served here: see below
		}
		if len(tries[id]) == 0 {
			t.Errorf("%s is never tried from another account", id)
		}
		if id == "listAudit" && tried {
			continue
		}
		tried = true
		for _, try := range tries[id] {
			r.foreign(t, id, op, try, mallory, foreign, absent)
		}
	}
	for id := range maps.Keys(tries) {
		if operations[id].path == "" {
			t.Errorf("%s is tried and is not there", id)
		}
	}
	r.untouched(t, acme, made.ID, im)
}

// foreign does a try twice and compares.
func (r *running) foreign(t *testing.T, id string, op operation, try try, as string, foreign, absent names) {
	t.Helper()
	var seen [2]string
	var first answer
	for i, n := range []names{foreign, absent} {
		name := n.account
		if strings.Contains(op.path, "namespaces") {
			name = n.namespace
		}
		fill := strings.NewReplacer("{account}", n.account, "{namespace}", n.namespace, "{repository}", n.repository, "{tag}", n.tag,
			"{digest}", n.digest, "{token}", n.token, "{entry}", n.entry, "{id}", n.token, "{name}", name)
		target := fill.Replace(op.path)
		if try.query != "" {
			target += "?" + fill.Replace(try.query)
		}
		a, err := r.send(t.Context(), call{method: op.method, target: target, bearer: as, body: []byte(fill.Replace(try.body))})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = a
		}
		text := a.text()
		for _, of := range []string{n.repository, n.digest, n.token, n.namespace, n.account} {
			text = strings.ReplaceAll(strings.ReplaceAll(text, of, "{}"), url.QueryEscape(of), "{}")
		}
		seen[i] = text
	}
	if seen[0] != seen[1] {
		t.Errorf("%s %+v: acme's:\n%s\nnobody's:\n%s", id, try, seen[0], seen[1])
	}
	if first.status < 400 && !try.empty {
		t.Errorf("%s %+v: answered %d %s", id, try, first.status, first.body)
	}
	if first.status < 400 && strings.Contains(first.body, `"acme`) {
		t.Errorf("%s %+v shows something of acme: %s", id, try, first.body)
	}
}

// untouched: what the tries were about is as it was.
func (r *running) untouched(t *testing.T, acme, id string, im image) {
	t.Helper()
	var token v1.Token
	r.must(t, acme, "GET", "/api/v1/tokens/"+id, nil, &token)
	var n v1.Namespace
	r.must(t, acme, "GET", "/api/v1/namespaces/acme", nil, &n)
	var images v1.ImagePage
	r.must(t, acme, "GET", "/api/v1/images", nil, &images)
	var trash v1.TrashPage
	r.must(t, acme, "GET", "/api/v1/trash", nil, &trash)
	if token.State != "active" || token.Rotated != nil || n.Version != 1 || len(images.Items) != 1 ||
		images.Items[0].Digest != im.digest || len(trash.Items) != 1 {
		t.Errorf("changed: %+v %+v %+v %+v", token, n, images, trash)
	}
}

// TestUpkeepIsNotServed: what is on the control socket only is not reached
// over the network, not even by the operator's token.
func TestUpkeepIsNotServed(t *testing.T) {
	t.Parallel()
	r := launch(t, t.TempDir(), nil)
	for _, op := range r.operations(t) {
		if !strings.HasPrefix(op.path, "/api/v1/upkeep/") {
			continue
		}
		a, err := r.send(t.Context(), call{method: op.method, target: op.path, bearer: r.secret(t), body: []byte(`{}`)})
		if err != nil || a.status != 404 {
			t.Errorf("%s %s: %d %v", op.method, op.path, a.status, err)
		}
	}
}
