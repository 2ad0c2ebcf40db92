// Package why_test lets pulls fail on a real cluster, once for every cause of
// the catalogue, and asks fairlead why.
package why_test

import (
	"fmt"
	"net/http"
	"strings"

	"fairlead.dev/fairlead/test/cluster/harness"
)

// row is a row of the catalogue.
type row struct {
	name, cause, also string
	arrange           func(*scene)
	// heals: the fix is pasted, and the pod runs.
	heals bool
}

// unreal are the causes that no test can bring about here, and why.
var unreal = map[string]string{
	"double-base64":  "an API server refuses a value that is no JSON object; fairlead secret check finds it before that, and a table has it",
	"bad-tls":        "a certificate that a node trusts and whose name is wrong shows as an unknown authority here; internal/probe has expired and misnamed ones",
	"timeout":        "a container runtime waits for minutes before it says so; internal/probe has servers that hang",
	"unreachable":    "a network without a route cannot be made inside the tests' sandbox; internal/probe has one",
	"could-not-tell": "it is what is said where no rule knows; a table has it",
}

func rows() []row {
	return append(append(append(lists(), contents()...), answers()...), ways()...)
}

func lists() []row {
	return []row{
		{name: "absent", cause: "secret-absent", heals: true, arrange: func(s *scene) {
			other := s.c.Namespace(s.t)
			other.PullSecret("only-there-"+s.ns.Name, s.login())
			s.fails(s.image, "only-there-"+s.ns.Name)
		}},
		{name: "patched-after", cause: "account-patched-after", heals: true, arrange: func(s *scene) {
			s.fails(s.image)
			s.ns.PullSecret("pull", s.login())
			s.use("pull")
		}},
		{name: "own-list", cause: "pod-has-own-list", arrange: func(s *scene) {
			s.ns.PullSecret("pull", s.login())
			s.use("pull")
			s.config("other", entry("quay.example.com", "ann", "x"))
			s.fails(s.image, "other")
		}},
		{name: "other-account", cause: "other-account", heals: true, arrange: func(s *scene) {
			s.ns.PullSecret("pull", s.login())
			s.use("pull")
			s.ns.Kubectl("create", "serviceaccount", "runner")
			s.ns.Apply(harness.Pod("app", s.image) + "  serviceAccountName: runner\n")
			s.stuck("app")
		}},
		{name: "list-overwritten", cause: "account-list-overwritten", heals: true, arrange: func(s *scene) {
			s.ns.PullSecret("pull", s.login())
			s.use("pull")
			s.config("theirs", entry("quay.example.com", "ann", "x"))
			s.ns.Input("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: default}\nimagePullSecrets: []\n", "apply", "--server-side", "--force-conflicts", "--field-manager=argocd-controller", "-f", "-")
			s.fails(s.image)
		}},
		{name: "not-referenced", cause: "secret-not-referenced", heals: true, arrange: func(s *scene) {
			s.ns.PullSecret("pull", s.login())
			s.fails(s.image)
		}},
		{name: "no-credentials", cause: "no-credentials", heals: true, arrange: func(s *scene) {
			s.signIn()
			s.fails(s.image)
		}},
		{name: "cached", cause: "secret-not-referenced", also: "cached-image", arrange: func(s *scene) {
			s.ns.PullSecret("pull", s.login())
			s.ns.Apply(harness.Pod("first", s.image, "pull"))
			s.ns.Running("first")
			s.ns.Held(s.image)
			s.fails(s.image)
		}},
	}
}

func contents() []row {
	bad := func(name, cause string, config func(*scene) string) row {
		return row{name: name, cause: cause, arrange: func(s *scene) {
			s.config("pull", config(s))
			s.fails(s.image, "pull")
		}}
	}
	return []row{
		{name: "opaque", cause: "wrong-type", arrange: func(s *scene) {
			l := s.login()
			s.secret("pull", "Opaque", "config.json", entry(l.Host, l.User, l.Password))
			s.fails(s.image, "pull")
		}},
		{name: "misspelt", cause: "wrong-type", arrange: func(s *scene) {
			l := s.login()
			s.secret("pull", "kubernetes.io/dockerconfig", ".dockerconfigjson", entry(l.Host, l.User, l.Password))
			s.fails(s.image, "pull")
		}},
		bad("not-base64", "malformed-secret", func(s *scene) string { return `{"auths":{"` + s.s.Host + `":{"auth":"a n n"}}}` }),
		bad("no-colon", "malformed-secret", func(s *scene) string { return `{"auths":{"quay.example.com":{"auth":"YW5u"}}}` }),
		bad("auths-text", "malformed-secret", func(*scene) string { return `{"auths":"x"}` }),
		bad("legacy-body", "auths-missing", func(s *scene) string {
			l := s.login()
			return fmt.Sprintf(`{%q:{"auth":%q}}`, l.Host, auth(l.User, l.Password))
		}),
		bad("store", "credential-in-store", func(*scene) string { return `{"auths":{},"credsStore":"desktop"}` }),
		bad("empty-entry", "credential-in-store", func(s *scene) string { return `{"auths":{"` + s.s.Host + `":{}},"credsStore":"desktop"}` }),
		bad("identity-token", "identity-token", func(s *scene) string {
			return fmt.Sprintf(`{"auths":{%q:{"auth":%q,"identitytoken":"xyz"}}}`, s.s.Host, auth("00000000-0000-0000-0000-000000000000", ""))
		}),
		bad("newline", "newline-in-password", func(s *scene) string {
			l := s.login()
			return entry(l.Host, l.User, l.Password+"\n")
		}),
		bad("port", "wrong-server-key", func(s *scene) string {
			l := s.login()
			host, _, _ := strings.Cut(l.Host, ":")
			return entry(host, l.User, l.Password)
		}),
		bad("version", "wrong-server-key", func(s *scene) string {
			l := s.login()
			return entry("http://"+l.Host+"/v1", l.User, l.Password)
		}),
		bad("slash", "path-prefix", func(s *scene) string {
			l := s.login()
			return entry(strings.TrimSuffix(s.image, ":v1")+"/", l.User, l.Password)
		}),
		bad("prefix", "path-prefix", func(s *scene) string {
			other := s.s.Mint(s.t, harness.Minting{Account: "other"})
			return entry(s.s.Host+"/ac", "token", other.Value)
		}),
		{name: "immutable", cause: "malformed-secret", also: "immutable-secret", arrange: func(s *scene) {
			s.config("pull", `{"auths":{"`+s.s.Host+`":{"auth":"a n n"}}}`, "immutable: true")
			s.fails(s.image, "pull")
		}},
	}
}

func answers() []row {
	refused := func(name, cause string, token func(*scene) string) row {
		return row{name: name, cause: cause, heals: true, arrange: func(s *scene) {
			s.signIn()
			s.config("pull", entry(s.s.Host, "token", token(s)))
			s.fails(s.image, "pull")
		}}
	}
	return []row{
		refused("revoked", "token-revoked", func(s *scene) string {
			t := s.s.Mint(s.t, harness.Minting{Account: "acme"})
			s.s.Revoke(s.t, t)
			return t.Value
		}),
		refused("expired", "token-expired", func(s *scene) string {
			t := s.s.Mint(s.t, harness.Minting{Account: "acme", Expires: "1s"})
			s.ns.Kubectl("wait", "--for=delete", "pod/nobody", "--timeout=2s")
			return t.Value
		}),
		refused("rotated", "token-rotated", func(s *scene) string {
			t := s.s.Mint(s.t, harness.Minting{Account: "acme"})
			s.s.Manage(s.t, http.MethodPost, "tokens/"+t.ID+"/rotate", map[string]string{"overlap": "0s"}, nil)
			return t.Value
		}),
		{name: "reach", cause: "scope-missing", arrange: func(s *scene) {
			s.signIn()
			var t struct{ ID, Value string }
			s.s.Manage(s.t, http.MethodPost, "tokens", map[string]any{"account": "acme", "reach": map[string]any{"namespaces": []string{"acme-lib"}}}, &t)
			s.config("pull", entry(s.s.Host, "token", t.Value))
			s.fails(s.image, "pull")
		}},
		{name: "wrong-password", cause: "wrong-password", arrange: func(s *scene) {
			l := harness.StartOther(s.t)
			image := l.Push(s.t, "team/app:v1", s.c.App(s.t, s.t.Name()))
			s.config("pull", entry(l.Host, l.User+"2", "wrong"))
			s.fails(image, "pull")
		}},
		{name: "dollar", cause: "shell-ate-dollar", arrange: func(s *scene) {
			l := harness.StartOther(s.t)
			image := l.Push(s.t, "team/app:v1", s.c.App(s.t, s.t.Name()))
			s.config("pull", entry(l.Host, "robot", "wrong"))
			s.fails(image, "pull")
		}},
		{name: "stale-on-public", cause: "stale-credential-on-public-image", arrange: func(s *scene) {
			s.image = strings.Replace(s.image, "acme-web", "acme-open", 1)
			harness.Operator(s.s).Push(s.t, strings.TrimPrefix(s.image, s.s.Host+"/"), s.c.App(s.t, s.t.Name()))
			s.config("pull", entry(s.s.Host, "ann", "wrong"))
			s.fails(s.image, "pull")
		}},
		{name: "tag", cause: "not-found", arrange: func(s *scene) {
			s.ns.PullSecret("pull", s.login())
			s.fails(strings.TrimSuffix(s.image, "v1")+"v2", "pull")
		}},
		{name: "platform", cause: "wrong-platform", arrange: func(s *scene) {
			s.image = s.pushFor("s390x")
			s.ns.PullSecret("pull", s.login())
			s.fails(s.image, "pull")
		}},
		{name: "upper-case", cause: "bad-reference", arrange: func(s *scene) {
			s.fails(strings.Replace(s.image, "acme", "Acme", 1))
		}},
		{name: "single-label", cause: "single-label-host", arrange: func(s *scene) {
			s.config("pull", entry("registry", "ann", "x"))
			s.fails("registry/acme-web/app:v1", "pull")
		}},
		{name: "never", cause: "never-pull", arrange: func(s *scene) {
			s.ns.Apply(strings.Replace(harness.Pod("app", s.image), "containers: [{", "containers: [{imagePullPolicy: Never, ", 1))
			s.stuck("app")
		}},
		{name: "back-off", cause: "back-off-only", arrange: func(s *scene) {
			s.fails(s.image, "late")
			s.ns.Waiting("app", "ImagePullBackOff")
			s.ns.PullSecret("late", s.login())
		}},
	}
}

func ways() []row {
	fault := func(name, cause string, f harness.Fault) row {
		return row{name: name, cause: cause, arrange: func(s *scene) {
			front, faults := harness.StartFairleadFaults(s.t)
			faults.Fail(f)
			s.args = append(s.args, "--timeout", "2s")
			s.fails(front.Host + "/acme-web/app:v1")
		}}
	}
	return []row{
		fault("rate-limit", "rate-limited", harness.Fault{Path: "/v2/", Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": "60"}, Body: `{"errors":[{"code":"TOOMANYREQUESTS"}]}`}),
		fault("fault", "server-error", harness.Fault{Path: "/v2/", Status: http.StatusServiceUnavailable}),
		{name: "refused", cause: "refused", arrange: func(s *scene) { s.fails("127.0.0.1:1/acme-web/app:v1") }},
		{name: "no-host", cause: "no-such-host", arrange: func(s *scene) { s.fails("registry.nowhere.invalid/acme-web/app:v1") }},
		{name: "ca", cause: "unknown-ca", arrange: func(s *scene) {
			tls, _ := harness.StartFairleadTLS(s.t)
			s.c.Route(s.t, "tls.example.test", "https://"+tls.Host, "")
			s.fails("tls.example.test/acme-web/app:v1")
		}},
		{name: "http", cause: "plain-http", arrange: func(s *scene) {
			s.c.Route(s.t, "http.example.test", "https://"+s.s.Host, "")
			s.fails("http.example.test/acme-web/app:v1")
		}},
		// The kubelet's counters cannot be had here: an API server proxies to no
		// kubelet on loopback. Its log can.
		{name: "plugin", cause: "credential-plugin-failed", arrange: func(s *scene) {
			s.c.Route(s.t, harness.PluginHost, s.s.URL, "")
			s.args = append(s.args, "--kubelet-log", s.c.KubeletLog())
			s.fails(harness.PluginHost + "/acme-web/app:v1")
		}},
	}
}
