package admin

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/admin/admintest"
	"fairlead.dev/fairlead/internal/oci"
)

var (
	_ Service = (*admintest.Service)(nil)

	acme = access.Principal{Kind: access.Account, TokenID: "t1", Name: "acme/t1", AccountID: 7, Account: "acme", Level: access.Admin, Reach: access.Reach{All: true}}
)

const secret = "flt_t1secretsecretsecret"

// authenticate knows one token, however it is given.
func authenticate(r *http.Request) (access.Principal, error) {
	_, password, ok := r.BasicAuth()
	if bearer, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); found {
		password, ok = bearer, true
	}
	switch {
	case !ok:
		return access.Principal{Kind: access.Anonymous}, nil
	case password == "too often":
		return access.Principal{}, oci.Errorf(oci.CodeTooManyRequests, "too many failures: wait")
	case password != secret:
		return access.Principal{}, oci.Errorf(oci.CodeUnauthorized, "the token is not good")
	}
	return acme, nil
}

func listen(t *testing.T, o Options) *httptest.Server {
	t.Helper()
	if o.Authenticate == nil {
		o.Authenticate = authenticate
	}
	s := httptest.NewServer(New(o))
	t.Cleanup(s.Close)
	return s
}

// send sends "METHOD TARGET" signed in, with headers by name and value.
func send(t *testing.T, s *httptest.Server, request, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	method, target, _ := strings.Cut(request, " ")
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("token", secret)
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
			continue
		}
		req.Header[headers[i]] = append(req.Header[headers[i]], headers[i+1])
	}
	res, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: Cache-Control is %q", request, res.Header.Get("Cache-Control"))
	}
	return res, string(answer)
}

type reach struct {
	id, request, body string
	method            string
	args              []any
}

func reaches() []reach {
	private := "private"
	at := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	place := v1.PlaceQuery{Namespace: "acme", IncludePublic: true, Next: "n", Limit: 5}
	image := v1.ImageRef{Repository: "acme/web", Reference: "1.0"}
	return []reach{
		{"whoami", "GET /api/v1/whoami", "", "Whoami", nil},
		{"listAccounts", "GET /api/v1/accounts?next=a&limit=3", "", "Accounts", []any{"a", 3}},
		{"addAccount", "POST /api/v1/accounts", `{"name":"acme","description":"ACME"}`, "AddAccount", []any{v1.AccountSpec{Name: "acme", Description: "ACME"}}},
		{"getAccount", "GET /api/v1/accounts/acme", "", "Account", []any{"acme"}},
		{"removeAccount", "DELETE /api/v1/accounts/a%2Fb", "", "RemoveAccount", []any{"a/b"}},
		{"listNamespaces", "GET /api/v1/namespaces?account=acme", "", "Namespaces", []any{"acme", "", 100}},
		{"addNamespace", "POST /api/v1/namespaces", `{"name":"acme","visibility":"public"}`, "AddNamespace", []any{v1.NamespaceSpec{Name: "acme", Visibility: "public"}}},
		{"getNamespace", "GET /api/v1/namespaces/acme", "", "Namespace", []any{"acme"}},
		{"setNamespace", "PATCH /api/v1/namespaces/acme", `{"visibility":"private"}`, "SetNamespace", []any{"acme", v1.NamespaceChange{Visibility: &private}, int64(0)}},
		{"removeNamespace", "DELETE /api/v1/namespaces/acme?dryRun=true", "", "RemoveNamespace", []any{"acme", true}},
		{"listTokens", "GET /api/v1/tokens?account=acme&cluster=eu&ended=true&next=n&limit=1000", "", "Tokens", []any{v1.TokenQuery{Account: "acme", Cluster: "eu", Ended: true, Next: "n", Limit: 1000}}},
		{"addToken", "POST /api/v1/tokens", `{"access":"readonly","reach":{"namespaces":["acme"]}}`, "AddToken", []any{v1.TokenSpec{Access: "readonly", Reach: &v1.Reach{Namespaces: []string{"acme"}}}, ""}},
		{"getToken", "GET /api/v1/tokens/q7", "", "Token", []any{"q7"}},
		{"revokeToken", "DELETE /api/v1/tokens/q7", "", "RevokeToken", []any{"q7"}},
		{"getTokenValue", "GET /api/v1/tokens/q7/value", "", "TokenValue", []any{"q7"}},
		{"rotateToken", "POST /api/v1/tokens/q7/rotate", `{"overlap":"1h"}`, "RotateToken", []any{"q7", v1.RotateOptions{Overlap: "1h"}}},
		{"listRepositories", "GET /api/v1/repositories?namespace=acme&includePublic=true&next=n&limit=5", "", "Repositories", []any{place}},
		{"removeRepository", "DELETE /api/v1/repositories?repository=acme/web", "", "RemoveRepository", []any{"acme/web", false}},
		{"listImages", "GET /api/v1/images?namespace=acme&includePublic=true&next=n&limit=5", "", "Images", []any{place}},
		{"removeImage", "DELETE /api/v1/images?repository=acme/web&reference=1.0&dryRun=true", "", "RemoveImage", []any{image, true}},
		{"inspectImage", "GET /api/v1/images/inspect?repository=acme/web&reference=1.0", "", "Inspect", []any{image}},
		{"tagImage", "POST /api/v1/images/tag", `{"repository":"acme/web","reference":"1.0","tag":"stable"}`, "Tag", []any{v1.TagOptions{ImageRef: image, Tag: "stable"}}},
		{"copyImage", "POST /api/v1/images/copy", `{"from":{"repository":"acme/web","reference":"1.0"},"to":{"repository":"acme/prod"},"noReferrers":true}`, "Copy", []any{v1.CopyOptions{From: image, To: v1.ImageRef{Repository: "acme/prod"}, NoReferrers: true}}},
		{"listDigests", "GET /api/v1/digests?repository=acme/web", "", "Digests", []any{v1.DigestQuery{Repository: "acme/web", Limit: 100}}},
		{"listTrash", "GET /api/v1/trash?namespace=acme", "", "TrashOf", []any{v1.TrashQuery{Namespace: "acme", Limit: 100}}},
		{"restore", "POST /api/v1/trash/restore", `{"id":9}`, "RestoreFor", []any{v1.RestoreOptions{ID: 9}}},
		{"purge", "POST /api/v1/trash/purge", `{"all":true}`, "PurgeFor", []any{v1.PurgeOptions{All: true}}},
		{"listHistory", "GET /api/v1/history?repository=acme/web", "", "HistoryOf", []any{v1.HistoryQuery{Repository: "acme/web", Limit: 100}}},
		{
			"listAudit", "GET /api/v1/audit?account=acme&tokenId=t&action=token.&namespace=acme&repository=acme/web&outcome=denied&since=2026-07-01T00:00:00Z&until=2026-07-01T02:00:00%2B02:00&next=n&limit=2", "",
			"Audit",
			[]any{v1.AuditQuery{Account: "acme", TokenID: "t", Action: "token.", Namespace: "acme", Repository: "acme/web", Outcome: "denied", Since: at, Until: at, Next: "n", Limit: 2}},
		},
		{"listUsage", "GET /api/v1/usage?account=acme&namespace=web", "", "Usage", []any{v1.UsageQuery{Account: "acme", Namespace: "web", Limit: 100}}},
	}
}

// TestRequestsReachTheService: every operation of the table asks its method,
// with the principal and the values that were given, and its answer is as the
// document says.
func TestRequestsReachTheService(t *testing.T) {
	t.Parallel()
	doc := tree(t, made(t).json)
	table := map[string]operation{}
	for _, op := range operations() {
		if op.door == signedIn || op.door == either {
			table[op.id] = op
		}
	}
	for _, c := range reaches() {
		op, ok := table[c.id]
		if !ok {
			t.Errorf("%s is no operation, or comes twice", c.id)
			continue
		}
		delete(table, c.id)
		service := &admintest.Service{}
		if err := service.Say(c.method, example(op.answer)); err != nil {
			t.Fatal(err)
		}
		res, body := send(t, listen(t, Options{Service: service, Version: "1.2.3"}), c.request, c.body)
		want := []admintest.Asked{{Method: c.method, Who: acme, Args: c.args}}
		if diff := cmp.Diff(want, service.Asked()); diff != "" || res.StatusCode != op.statuses[0] {
			t.Errorf("%s: %s %s\n%s", c.id, res.Status, body, diff)
		}
		if res.StatusCode == http.StatusNoContent {
			continue
		}
		pointer := "/paths/" + strings.NewReplacer("/", "~1", "{", "%7B", "}", "%7D").Replace(op.path) + "/" + strings.ToLower(op.method) +
			"/responses/" + strconv.Itoa(res.StatusCode) + "/content/application~1json/schema"
		if err := shape(t, doc, pointer).Validate(tree(t, []byte(body))); err != nil {
			t.Errorf("%s: the answer is not as the document says: %v", c.id, err)
		}
	}
	for id := range table {
		t.Errorf("%s is not tested", id)
	}
}

// TestMadeOrThere: 201 with the place of what was made, 200 when it was there.
func TestMadeOrThere(t *testing.T) {
	t.Parallel()
	for _, added := range []bool{true, false} {
		service := &admintest.Service{}
		for method, answer := range map[string]any{
			"AddAccount":   v1.AccountMade{Account: v1.Account{Name: "acme"}, Added: added},
			"AddNamespace": v1.NamespaceMade{Namespace: v1.Namespace{Name: "acme", Version: 4}, Added: added},
			"AddToken":     v1.TokenValue{Token: v1.Token{ID: "q7"}, Value: "flt_x", Added: added},
		} {
			if err := service.Say(method, answer); err != nil {
				t.Fatal(err)
			}
		}
		s := listen(t, Options{Service: service})
		for kind, name := range map[string]string{"accounts": "acme", "namespaces": "acme", "tokens": "q7"} {
			status, place := http.StatusOK, ""
			if added {
				status, place = http.StatusCreated, "/api/v1/"+kind+"/"+name
			}
			res, body := send(t, s, "POST /api/v1/"+kind, `{}`)
			if res.StatusCode != status || res.Header.Get("Location") != place {
				t.Errorf("%s, %v: %s, %q, %s", kind, added, res.Status, res.Header.Get("Location"), body)
			}
			if kind == "namespaces" && res.Header.Get("ETag") != `"4"` {
				t.Errorf("ETag is %q", res.Header.Get("ETag"))
			}
		}
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		given   []string
		version int64
		status  int
	}{
		"none":       {nil, 0, 200},
		"one":        {[]string{`"3"`}, 3, 200},
		"any":        {[]string{`*`}, 0, 200},
		"weak":       {[]string{`W/"3"`}, 0, 412},
		"another's":  {[]string{`"abc"`}, 0, 412},
		"zero":       {[]string{`"0"`}, 0, 412}, // it would be any
		"negative":   {[]string{`"-3"`}, 0, 412},
		"odd digits": {[]string{`"03"`}, 0, 412},
		"too large":  {[]string{`"99999999999999999999"`}, 0, 412},
		"naked":      {[]string{`3`}, 0, 400},
		"two":        {[]string{`"3", "4"`}, 0, 400},
		"two lines":  {[]string{`"3"`, `"4"`}, 0, 400},
		"empty":      {[]string{``}, 0, 400},
	} {
		h := http.Header{}
		if c.given != nil {
			h["If-Match"] = c.given
		}
		version, err := ifMatch(h)
		status := http.StatusOK
		if err != nil {
			status = (&exchange{handler: &handler{}}).problem(err).Status
		}
		if status != c.status || version != c.version {
			t.Errorf("%s: version %d, %d %v, want %d, %d", name, version, status, err, c.version, c.status)
		}
	}
	service := &admintest.Service{}
	if err := service.Say("SetNamespace", v1.Namespace{Name: "acme", Version: 4}); err != nil {
		t.Fatal(err)
	}
	s := listen(t, Options{Service: service})
	res, _ := send(t, s, "PATCH /api/v1/namespaces/acme", `{}`, "If-Match", `"3"`)
	if got := service.Asked()[0].Args[2]; got != int64(3) || res.Header.Get("ETag") != `"4"` {
		t.Errorf("version %v, ETag %q", got, res.Header.Get("ETag"))
	}
	service.Errors = map[string]admintest.Failure{"SetNamespace": {Code: oci.CodeStale, Text: "changed meanwhile"}}
	if res, _ := send(t, s, "PATCH /api/v1/namespaces/acme", `{}`, "If-Match", `"3"`); res.StatusCode != 412 || res.Header.Get("ETag") != "" {
		t.Errorf("%s, ETag %q", res.Status, res.Header.Get("ETag"))
	}
}

func TestRequestKeys(t *testing.T) {
	t.Parallel()
	service := &admintest.Service{}
	s := listen(t, Options{Service: service})
	if res, body := send(t, s, "POST /api/v1/tokens", `{}`, "Idempotency-Key", "deploy 1"); res.StatusCode != 200 || service.Asked()[0].Args[1] != "deploy 1" {
		t.Errorf("%s %s", res.Status, body)
	}
	for name, given := range map[string][]string{
		"too long": {strings.Repeat("k", 129)}, "no ASCII": {"ü"}, "a tab": {"a\tb"}, "empty": {""}, "two": {"a", "b"},
	} {
		if key, err := requestKey(http.Header{"Idempotency-Key": given}); err == nil {
			t.Errorf("%s: %q is taken", name, key)
		}
	}
}

// TestProblems: what goes wrong has its status, its code, its headers, and
// never the credential.
func TestProblems(t *testing.T) {
	t.Parallel()
	fails := func(code oci.Code) map[string]admintest.Failure {
		return map[string]admintest.Failure{"Token": {Code: code, Text: "the reason"}}
	}
	for name, c := range map[string]struct {
		request string
		headers []string
		errors  map[string]admintest.Failure
		status  int
		detail  string
		header  [2]string
	}{
		"not signed in":    {"GET /api/v1/tokens/q", []string{"Authorization", ""}, nil, 401, "sign in", [2]string{"Www-Authenticate", challenge}},
		"a bad token":      {"GET /api/v1/tokens/q", []string{"Authorization", "", "Authorization", "Bearer flt_bad"}, nil, 401, "not good", [2]string{"Www-Authenticate", challenge}},
		"too often":        {"GET /api/v1/tokens/q", []string{"Authorization", "", "Authorization", "Bearer too often"}, nil, 429, "wait", [2]string{"Retry-After", "5"}},
		"denied":           {"GET /api/v1/tokens/q", nil, fails(oci.CodeDenied), 403, "the reason", [2]string{}},
		"not found":        {"GET /api/v1/tokens/q", nil, fails(oci.CodeNotFound), 404, "the reason", [2]string{}},
		"conflict":         {"GET /api/v1/tokens/q", nil, fails(oci.CodeConflict), 409, "the reason", [2]string{}},
		"immutable":        {"GET /api/v1/tokens/q", nil, fails(oci.CodeTagImmutable), 409, "the reason", [2]string{}},
		"unavailable":      {"GET /api/v1/tokens/q", nil, fails(oci.CodeUnavailable), 503, "the reason", [2]string{"Retry-After", "5"}},
		"internal":         {"GET /api/v1/tokens/q", nil, fails(""), 500, "request id", [2]string{}},
		"no such path":     {"GET /api/v1/tokens/q/x", nil, nil, 404, "no path", [2]string{}},
		"a pattern":        {"GET /api/v1/tokens/%7Bid%7D/valu", nil, nil, 404, "no path", [2]string{}},
		"no name":          {"GET /api/v1/tokens/", nil, nil, 404, "no path", [2]string{}},
		"upkeep":           {"GET /api/v1/upkeep/keys", nil, nil, 404, "no path", [2]string{}},
		"wrong method":     {"PUT /api/v1/tokens/q", nil, nil, 405, "takes DELETE, GET", [2]string{"Allow", "DELETE, GET"}},
		"another site":     {"DELETE /api/v1/tokens/q", []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, nil, 403, "another site", [2]string{}},
		"NUL in the path":  {"GET /api/v1/tokens/a%00b", nil, nil, 400, "the name in the path", [2]string{}},
		"NUL in the query": {"GET /api/v1/tokens?cluster=%00", nil, nil, 400, "no text", [2]string{}},
		"no UTF-8":         {"GET /api/v1/tokens?cluster=%ff", nil, nil, 400, "no text", [2]string{}},
		"no switch":        {"GET /api/v1/tokens?ended=yes", nil, nil, 400, "give true or false", [2]string{}},
		"no time":          {"GET /api/v1/audit?since=yesterday", nil, nil, 400, "give a time", [2]string{}},
		"no parameters":    {"GET /api/v1/whoami?x=1", nil, nil, 400, "there are none", [2]string{}},
		"both places":      {"GET /api/v1/images?repository=a/b&namespace=a", nil, nil, 400, "not both", [2]string{}},
		"no repository":    {"DELETE /api/v1/repositories", nil, nil, 400, "empty", [2]string{}},
		"no reference":     {"DELETE /api/v1/images?repository=a/b", nil, nil, 400, "", [2]string{}},
		"delete with page": {"DELETE /api/v1/images?repository=a/b&reference=1&limit=1", nil, nil, 400, `"limit" is unknown`, [2]string{}},
	} {
		service := &admintest.Service{Errors: c.errors}
		res, body := send(t, listen(t, Options{Service: service}), c.request, "", c.headers...)
		var p v1.Problem
		if err := json.Unmarshal([]byte(body), &p); err != nil {
			t.Errorf("%s: %v: %s", name, err, body)
		}
		if res.StatusCode != c.status || p.Status != c.status || !strings.Contains(p.Detail, c.detail) || res.Header.Get("Content-Type") != v1.ProblemType ||
			c.header[0] != "" && res.Header.Get(c.header[0]) != c.header[1] {
			t.Errorf("%s: %s %v %s", name, res.Status, res.Header, body)
		}
		if c.errors == nil && len(service.Asked()) > 0 {
			t.Errorf("%s: the service was asked %+v", name, service.Asked())
		}
	}
}

// TestBadBodies are refused by the name of what is wrong.
func TestBadBodies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ request, body, want string }{
		"nested unknown":    {"POST /api/v1/tokens", `{"reach":{"al":true}}`, `"reach.al" is unknown: there are all, namespaces, repositories`},
		"unknown in a list": {"PATCH /api/v1/namespaces/a", `{"immutable":[{"tags":"x","tag":"y"}]}`, `"immutable.tag" is unknown`},
		"embedded":          {"POST /api/v1/images/tag", `{"repo":"a"}`, `there are repository, reference, tag`},
		"other case":        {"POST /api/v1/tokens", `{"Access":"admin"}`, `"Access" is unknown`},
		"twice":             {"POST /api/v1/tokens", `{"access":"readonly","access":"admin"}`, `"access" is given twice`},
		"null":              {"PATCH /api/v1/namespaces/a", `{"immutable":null}`, `"immutable" is null`},
		"NUL":               {"POST /api/v1/accounts", `{"name":"a\u0000"}`, "NUL"},
		"no UTF-8":          {"POST /api/v1/accounts", "{\"name\":\"\xff\"}", "not UTF-8"},
		"wrong type":        {"POST /api/v1/tokens", `{"reach":{"namespaces":"acme"}}`, `"reach.namespaces" must be of type slice, not string`},
		"a parameter":       {"POST /api/v1/tokens?access=admin", `{}`, `"access" is unknown`},
		"bad tag":           {"POST /api/v1/images/tag", `{"repository":"a/b","reference":"1","tag":"!"}`, "tag"},
		"bad source":        {"POST /api/v1/images/copy", `{"from":{"repository":"A"}}`, "not valid"},
		"bad target":        {"POST /api/v1/images/copy", `{"from":{"repository":"a","reference":"1"},"to":{"repository":"b","reference":"sha256:0"}}`, "tag"},
		"deep":              {"POST /api/v1/tokens", `{"reach":` + strings.Repeat("[", 60_000), "no JSON object"},
	} {
		service := &admintest.Service{}
		res, body := send(t, listen(t, Options{Service: service}), c.request, c.body)
		var p v1.Problem
		if err := json.Unmarshal([]byte(body), &p); err != nil || res.StatusCode != 400 || !strings.Contains(p.Detail, c.want) || len(service.Asked()) > 0 {
			t.Errorf("%s: %s %s, want %q (asked %v)", name, res.Status, body, c.want, service.Asked())
		}
	}
}

// TestExport: all lines of the filter come, newest first, page after page.
func TestExport(t *testing.T) {
	t.Parallel()
	lines := func(ids ...int64) (out []v1.AuditLine) {
		for _, id := range ids {
			out = append(out, v1.AuditLine{ID: id, Action: "token.add"})
		}
		return out
	}
	service := &admintest.Service{}
	if err := service.Say("Audit", []v1.AuditPage{{Items: lines(5, 4), Next: "4"}, {Items: lines(3), Next: "3"}, {Items: lines(2, 1)}}); err != nil {
		t.Fatal(err)
	}
	s := listen(t, Options{Service: service})
	for accept, media := range map[string]string{
		"application/jsonl": "application/jsonl", "application/x-ndjson, application/json;q=0.5": v1.LinesType,
	} {
		res, body := send(t, s, "GET /api/v1/audit?account=acme", "", "Accept", accept)
		var ids []int64
		for line := range strings.Lines(body) {
			var l v1.AuditLine
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, l.ID)
		}
		if diff := cmp.Diff([]int64{5, 4, 3, 2, 1}, ids); diff != "" || res.Header.Get("Content-Type") != media {
			t.Errorf("%s: %s %v\n%s", accept, res.Status, res.Header, diff)
		}
	}
	if got := service.Asked()[1].Args[0]; got != (v1.AuditQuery{Account: "acme", Next: "4", Limit: MaxLimit}) {
		t.Errorf("asked %+v", got)
	}
	for _, accept := range []string{"*/*", "application/json, application/jsonl", "application/jsonl;q=0", "nonsense"} {
		if res, body := send(t, s, "GET /api/v1/audit", "", "Accept", accept); res.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %s %s", accept, res.Header.Get("Content-Type"), body)
		}
	}
	if res, body := send(t, s, "GET /api/v1/audit?limit=5", "", "Accept", exportType); res.StatusCode != 400 || !strings.Contains(body, "leave out next and limit") {
		t.Errorf("%s %s", res.Status, body)
	}
	service.Errors = map[string]admintest.Failure{"Audit": {Code: oci.CodeDenied, Text: "not yours"}}
	if res, body := send(t, s, "GET /api/v1/audit", "", "Accept", exportType); res.StatusCode != 403 {
		t.Errorf("%s %s", res.Status, body)
	}
}

// TestTheDocumentIsOpen to everybody, at a slash more or less, and the page
// comes with a policy that lets nothing in.
func TestTheDocumentIsOpen(t *testing.T) {
	t.Parallel()
	s := listen(t, Options{Service: &admintest.Service{}})
	p := made(t)
	for path, want := range map[string]string{"": string(p.page), "/": string(p.page), "/openapi.json": string(p.json), "/openapi.yaml": string(p.yaml)} {
		res, body := send(t, s, "GET /api/v1"+path, "", "Authorization", "")
		if body != want || res.StatusCode != 200 || res.Header.Get("Content-Security-Policy") != p.policy {
			t.Errorf("%s: %s %v", path, res.Status, res.Header)
		}
		if res, body := send(t, s, "HEAD /api/v1"+path, "", "Authorization", ""); body != "" || res.ContentLength != int64(len(want)) {
			t.Errorf("HEAD %s: %s %d", path, res.Status, res.ContentLength)
		}
	}
}

// TestTheSocket has the upkeep beside the service, and says causes.
func TestTheSocket(t *testing.T) {
	t.Parallel()
	service := &admintest.Service{Errors: map[string]admintest.Failure{"Token": {Text: "the disk is on fire"}}}
	u := &admintest.Recorder{}
	operator := access.Principal{Kind: access.Operator, Name: "operator"}
	s := listen(t, Options{Service: service, Upkeep: u, Log: slog.New(slog.DiscardHandler), Authenticate: func(*http.Request) (access.Principal, error) { return operator, nil }})
	for request, body := range map[string]string{"GET /api/v1/upkeep/keys": "", "POST /api/v1/upkeep/keys/rotate": "", "POST /api/v1/upkeep/keys/retire": `{"id":"k1","revoke":true}`} {
		if res, body := send(t, s, request, body); res.StatusCode != 200 {
			t.Errorf("%s: %s %s", request, res.Status, body)
		}
	}
	want := map[string]any{"Keys": nil, "RotateKeys": nil, "RetireKey": v1.RetireOptions{ID: "k1", Revoke: true}}
	for _, c := range u.Calls() {
		if diff := cmp.Diff(want[c.Method], c.Options); diff != "" || c.Actor != Actor {
			t.Errorf("%+v\n%s", c, diff)
		}
	}
	if len(u.Calls()) != 3 {
		t.Errorf("asked %+v", u.Calls())
	}
	if res, body := send(t, s, "POST /api/v1/upkeep/keys/retire", `{}`); res.StatusCode != 400 || !strings.Contains(body, "which key") {
		t.Errorf("%s %s", res.Status, body)
	}
	if _, body := send(t, s, "GET /api/v1/trash", ""); len(service.Asked()) != 1 || service.Asked()[0].Method != "TrashOf" || service.Asked()[0].Who.Kind != access.Operator {
		t.Errorf("%s: %+v", body, service.Asked())
	}
	if _, body := send(t, s, "GET /api/v1/tokens/q", ""); !strings.Contains(body, "on fire") {
		t.Error(body)
	}
}

// TestNoAnswerHasTheCredential: neither answers nor log lines repeat it,
// whether the request is good or not.
func TestNoAnswerHasTheCredential(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	for _, failure := range []map[string]admintest.Failure{nil, {"Whoami": {Code: oci.CodeDenied}, "Tokens": {}}} {
		h := New(Options{Service: &admintest.Service{Errors: failure}, Authenticate: authenticate, Log: slog.New(slog.NewTextHandler(&log, nil))})
		for _, c := range reaches() {
			for _, header := range []string{"Bearer " + secret, "Bearer x" + secret, "Nonsense " + secret} {
				method, target, _ := strings.Cut(c.request, " ")
				r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(c.body))
				r.Header.Set("Authorization", header)
				r.Header.Set("Idempotency-Key", "k")
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				var head strings.Builder
				_ = w.Header().Write(&head)
				if strings.Contains(w.Body.String()+head.String(), secret[4:]) {
					t.Errorf("%s %s: %s %s", c.request, header, head.String(), w.Body)
				}
			}
		}
	}
	if log.Len() == 0 || strings.Contains(log.String(), secret[4:]) {
		t.Errorf("the log: %s", log.String())
	}
}

// FuzzRequests: whatever comes is answered, by no internal error.
func FuzzRequests(f *testing.F) {
	for _, c := range reaches() {
		method, target, _ := strings.Cut(c.request, " ")
		path, query, _ := strings.Cut(target, "?")
		f.Add(method, path, query, c.body)
	}
	f.Add("PATCH", "/api/v1/namespaces/a", "", `{"immutable":[{"tags":"x"},{}],"visibility":"\ud800"}`)
	f.Add("POST", "/api/v1/tokens", "%zz", `{"reach":{"all":1e999}}`)
	h := New(Options{Service: &admintest.Service{}, Authenticate: func(*http.Request) (access.Principal, error) { return acme, nil }})
	f.Fuzz(func(t *testing.T, method, path, query, body string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
		r.Method, r.URL.Path, r.URL.RawQuery = method, path, query
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if w.Code >= 400 {
			var p v1.Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Detail == "" || p.Status != w.Code {
				t.Errorf("%d %s %v", w.Code, w.Body, err)
			}
		}
	})
}

// FuzzDecode: what the strict decoder lets pass, encoding/json reads to the
// same value without anything left over.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{}`, `{"reach":{"all":true,"namespaces":["a"]},"expires":"1d"}`, `{"reach":null}`, `{"a":{}}`, `[]`, `{"access":"x","access":"y"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var a, b v1.TokenSpec
		if decode(body, &a) != nil {
			return
		}
		d := json.NewDecoder(strings.NewReader(string(body)))
		d.DisallowUnknownFields()
		if err := d.Decode(&b); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		if diff := cmp.Diff(b, a); diff != "" {
			t.Error(diff)
		}
	})
}
