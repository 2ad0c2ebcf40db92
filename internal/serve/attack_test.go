package serve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	v1 "fairlead.dev/fairlead/api/v1"
)

// TestAttacks runs the scripts of testdata/attacks, each against a server of
// its own. Their commands:
//
//	server [SETTING=VALUE…]          begin, or stop and begin again on the same data
//	account NAME                     with its first admin token, called NAME
//	namespace NAME AS [public]
//	token NAME AS ACCESS [FIELD=VALUE…|REACH…]
//	bearer NAME SCOPE…               a registry token for NAME, which prints what it grants
//	push NAME REPOSITORY TAG [CONTENT]
//	http STATUS [-as NAME] [-basic VALUE] [-bearer VALUE] [-h HEADER:VALUE] METHOD TARGET [BODY]
//	alike FOREIGN ABSENT …           as http: the answers about both must be the same
//	both STATUS STATUS …             as http, twice at once, with A and B for {}
//	refused …                        as http, for any status of a refusal
//	each FROM TO STATUS …            as http, for every number in place of #
//	forge, long, move, sleep         see there
//
// A NAME signs in with its registry token at /v2/, and with its value
// elsewhere. Each sets variables: NAME, NAME_id, NAME_bearer; config, layer,
// digest; location; a body may be @FILE.
func TestAttacks(t *testing.T) {
	t.Parallel()
	scripts, err := filepath.Glob("testdata/attacks/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a := &attack{t: t, values: map[string]string{}, bearers: map[string]string{}}
			testscript.Run(t, testscript.Params{Files: []string{file}, Cmds: map[string]func(*testscript.TestScript, bool, []string){
				"server": a.server, "account": a.account, "namespace": a.namespace, "token": a.token, "bearer": a.bearer,
				"push": a.push, "http": a.http, "alike": a.alike, "both": a.both,
				"forge": a.forge, "long": a.long, "move": a.move, "refused": a.refused, "each": a.each, "sleep": a.sleep,
			}})
		})
	}
}

var listening = regexp.MustCompile(`"listen":"([^"]+)"`)

type attack struct {
	t       *testing.T
	r       *running
	values  map[string]string
	bearers map[string]string
}

func (a *attack) server(ts *testscript.TestScript, _ bool, args []string) {
	s := settings{}
	for _, arg := range args {
		k, v, _ := strings.Cut(arg, "=")
		s[k] = v
	}
	if a.r != nil {
		ts.Check(a.r.end(a.t))
	}
	a.r = launch(a.t, ts.MkAbs("data"), s)
	if m := listening.FindStringSubmatch(a.r.log.String()); m != nil {
		a.r.url = "http://" + m[1] // whatever its public URL
	}
	a.values["operator"] = a.r.secret(a.t)
	ts.Setenv("operator", a.values["operator"])
	ts.Setenv("url", a.r.url)
}

func (a *attack) keep(ts *testscript.TestScript, name, id, value string) {
	a.values[name] = value
	ts.Setenv(name, value)
	ts.Setenv(name+"_id", id)
}

func (a *attack) account(ts *testscript.TestScript, _ bool, args []string) {
	made, err := a.r.account(a.t.Context(), args[0])
	ts.Check(err)
	a.keep(ts, args[0], made.TokenID, made.Token)
}

func (a *attack) namespace(ts *testscript.TestScript, _ bool, args []string) {
	s := v1.NamespaceSpec{Name: args[0]}
	if len(args) > 2 {
		s.Visibility = args[2]
	}
	ts.Check(a.r.api(a.t.Context(), a.values[args[1]], "POST", "/api/v1/namespaces", s, nil))
}

func (a *attack) token(ts *testscript.TestScript, _ bool, args []string) {
	s := v1.TokenSpec{Access: args[2]}
	for _, arg := range args[3:] {
		k, v, field := strings.Cut(arg, "=")
		switch {
		case k == "cluster" && field:
			s.Cluster = v
		case k == "expires" && field:
			s.Expires = v
		case field:
			ts.Fatalf("what is %s?", arg)
		default:
			if s.Reach == nil {
				s.Reach = &v1.Reach{}
			}
			s.Reach.Repositories = append(s.Reach.Repositories, arg)
		}
	}
	var out v1.TokenValue
	ts.Check(a.r.api(a.t.Context(), a.values[args[1]], "POST", "/api/v1/tokens", s, &out))
	a.keep(ts, args[0], out.ID, out.Value)
}

func (a *attack) bearer(ts *testscript.TestScript, _ bool, args []string) {
	token, granted, err := a.r.exchange(a.t.Context(), a.values[args[0]], args[1:]...)
	ts.Check(err)
	a.bearers[args[0]] = token
	ts.Setenv(args[0]+"_bearer", token)
	fmt.Fprintf(ts.Stdout(), "granted [%s]\n", granted)
}

func (a *attack) push(ts *testscript.TestScript, _ bool, args []string) {
	content := args[1] + ":" + args[2]
	if len(args) > 3 {
		content = args[3]
	}
	im, err := a.r.push(a.t.Context(), a.bearers[args[0]], args[1], args[2], content)
	ts.Check(err)
	ts.Setenv("config", im.config)
	ts.Setenv("layer", im.layer)
	ts.Setenv("digest", im.digest)
}

// parse reads a call.
func (a *attack) parse(ts *testscript.TestScript, args []string) call {
	c := call{header: http.Header{}}
	as := ""
	for len(args) > 1 && strings.HasPrefix(args[0], "-") {
		switch args[0] {
		case "-as":
			as = args[1]
		case "-basic":
			c.basic = args[1]
		case "-bearer":
			c.bearer = args[1]
		case "-h":
			k, v, _ := strings.Cut(args[1], ":")
			c.header.Add(k, strings.TrimSpace(v))
		default:
			ts.Fatalf("what is %s?", args[0])
		}
		args = args[2:]
	}
	if len(args) < 2 {
		ts.Fatalf("METHOD TARGET is missing")
	}
	c.method, c.target = args[0], args[1]
	if as != "" {
		v, ok := a.values[as]
		if strings.Contains(c.target, "/v2/") {
			v, ok = a.bearers[as]
		}
		if !ok {
			ts.Fatalf("%s has no token", as)
		}
		if strings.HasPrefix(c.target, "/token") {
			c.basic = v
		} else {
			c.bearer = v
		}
	}
	if len(args) > 2 {
		c.body = []byte(args[2])
		if file, ok := strings.CutPrefix(args[2], "@"); ok {
			c.body = []byte(ts.ReadFile(file))
		}
	}
	return c
}

func (a *attack) http(ts *testscript.TestScript, _ bool, args []string) {
	got, err := a.r.send(a.t.Context(), a.parse(ts, args[1:]))
	ts.Check(err)
	fmt.Fprint(ts.Stdout(), got.text())
	if strconv.Itoa(got.status) != args[0] {
		ts.Fatalf("answered %d, want %s", got.status, args[0])
	}
	if u, err := url.Parse(got.header.Get("Location")); err == nil && u.Path != "" {
		ts.Setenv("location", u.Path)
	}
}

// text is the answer as scripts match it: sorted, and without what every
// answer has of its own.
func (a answer) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d\n", a.status)
	for _, k := range slices.Sorted(maps.Keys(a.header)) {
		if k != "Date" && k != "X-Request-Id" {
			fmt.Fprintf(&b, "%s: %s\n", k, strings.Join(a.header[k], "; "))
		}
	}
	fmt.Fprintf(&b, "\n%s\n", a.body)
	return b.String()
}

// alike replaces {} by a foreign and by an absent name, which must be of one
// length, and compares.
func (a *attack) alike(ts *testscript.TestScript, neg bool, args []string) {
	if len(args[0]) != len(args[1]) {
		ts.Fatalf("%s and %s are not of one length", args[0], args[1])
	}
	var seen [2]string
	for i, name := range args[:2] {
		c := a.parse(ts, args[2:])
		c.target = strings.ReplaceAll(c.target, "{}", name)
		c.body = bytes.ReplaceAll(c.body, []byte("{}"), []byte(name))
		got, err := a.r.send(a.t.Context(), c)
		ts.Check(err)
		if i == 0 && got.status < 300 && !neg && got.status != 202 {
			ts.Fatalf("the foreign thing is answered with %d", got.status)
		}
		seen[i] = masked(got, name)
	}
	if seen[0] != seen[1] {
		ts.Fatalf("foreign:\n%s\nabsent:\n%s", seen[0], seen[1])
	}
	fmt.Fprint(ts.Stdout(), seen[0])
}

// masked is an answer without the name it is about, and without what is
// random in it.
func masked(a answer, name string) string {
	a.header = a.header.Clone()
	for _, h := range []string{"Location", "Docker-Upload-Uuid"} {
		if a.header.Get(h) != "" {
			a.header.Set(h, "random")
		}
	}
	text := strings.ReplaceAll(a.text(), name, "{}")
	return strings.ReplaceAll(text, url.QueryEscape(name), "{}")
}

// both sends two bodies at once, "A" and "B" in place of {}, and wants the two
// statuses in any order.
func (a *attack) both(ts *testscript.TestScript, _ bool, args []string) {
	var wait sync.WaitGroup
	var got [2]string
	for i, name := range []string{"A", "B"} {
		c := a.parse(ts, args[2:])
		c.body = bytes.ReplaceAll(c.body, []byte("{}"), []byte(name))
		wait.Go(func() {
			res, err := a.r.send(context.WithoutCancel(a.t.Context()), c)
			got[i] = fmt.Sprint(res.status)
			if err != nil {
				got[i] = err.Error()
			}
		})
	}
	wait.Wait()
	want := slices.Sorted(slices.Values(args[:2]))
	slices.Sort(got[:])
	if !slices.Equal(got[:], want) {
		ts.Fatalf("answered %v, want %v", got, want)
	}
}

// operations are what the server's own document lists: method and path by id,
// with what names things in their requests.
func (r *running) operations(t *testing.T) map[string]operation {
	t.Helper()
	a, err := r.send(t.Context(), call{method: "GET", target: "/api/v1/openapi.json"})
	if err != nil || a.status != 200 {
		t.Fatalf("%v %d", err, a.status)
	}
	var doc struct {
		Paths map[string]map[string]struct {
			ID         string `json:"operationId"`
			Parameters []struct{ Name, In string }
			Body       *json.RawMessage `json:"requestBody"`
		}
	}
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil {
		t.Fatal(err)
	}
	out := map[string]operation{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			o := operation{method: strings.ToUpper(method), path: path, body: op.Body != nil}
			for _, p := range op.Parameters {
				if p.In != "header" {
					o.parameters = append(o.parameters, p.Name)
				}
			}
			out[op.ID] = o
		}
	}
	return out
}

type operation struct {
	method, path string
	parameters   []string
	body         bool
}
