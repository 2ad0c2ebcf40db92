// Package attach_test attaches a real cluster to real registries. The
// namespaces default and kube-system are the cluster's only ones of their
// names: its tests do not run in parallel, and each leaves them as they were.
package attach_test

import (
	"os"
	"strings"
	"testing"

	"fairlead.dev/fairlead/test/cluster/harness"
)

func TestMain(m *testing.M) {
	os.Exit(harness.Main(m))
}

// site is a cluster's administrator, who is signed in to two registries as an
// admin of acme, and whatever else a test needs.
type site struct {
	t                *testing.T
	c                *harness.Kubernetes
	ns               *harness.Namespace // some other namespace
	regional, global *harness.Fairlead
}

// newSite starts two registries; they are on this machine, as the node is.
func newSite(t *testing.T, c *harness.Kubernetes) *site {
	t.Helper()
	s := &site{t: t, c: c, ns: c.Namespace(t), regional: harness.StartFairlead(t), global: harness.StartFairlead(t)}
	for _, r := range []*harness.Fairlead{s.regional, s.global} {
		r.Account(t, "acme", "acme-web")
		s.signIn(r, "acme", "")
	}
	s.clean()
	return s
}

// signIn signs the administrator in as an admin of an account.
func (s *site) signIn(r *harness.Fairlead, account, home string) {
	s.t.Helper()
	token := r.Mint(s.t, harness.Minting{Account: account, Access: "admin"})
	if got := s.runAt(home, token.Value, "login", r.URL, "--token-stdin", "--name", strings.ReplaceAll(r.Host, ":", "-")); got.Code != 0 {
		s.t.Fatalf("login: %+v", got)
	}
}

// runAt runs fairlead with the logins of a folder; "" is the usual one.
func (s *site) runAt(home, stdin string, args ...string) harness.Result {
	s.t.Helper()
	if home == "" {
		return s.ns.Run(stdin, harness.FairleadBinary(), args...)
	}
	return s.ns.Run(stdin, "env", append([]string{"XDG_CONFIG_HOME=" + home, harness.FairleadBinary()}, args...)...)
}

// attach attaches as prod to both registries, and says more flags.
func (s *site) attach(code int, flags ...string) harness.Result {
	s.t.Helper()
	return s.ns.Fairlead(code, append([]string{"cluster", "attach", "prod", "--registry", s.regional.URL, "--registry", s.global.URL, "--without-controller", "--allow-loopback"}, flags...)...)
}

// clean begins and ends a test without anything of attach.
func (s *site) clean() {
	s.t.Helper()
	clean := func() {
		for _, n := range []string{"default", "kube-system"} {
			s.ns.Kubectl("delete", "secret", "fairlead-pull", "theirs", "-n", n, "--ignore-not-found")
			s.ns.Kubectl("patch", "serviceaccount", "default", "-n", n, "--type=merge", "-p", `{"imagePullSecrets":null}`)
		}
		s.ns.Kubectl("delete", "deployment", "--all", "-n", "default", "--wait=false")
	}
	clean()
	s.t.Cleanup(clean)
}

// list is a namespace's default account's list.
func (s *site) list(namespace string) string {
	s.t.Helper()
	return s.ns.Kubectl("get", "serviceaccount", "default", "-n", namespace, "-o", "jsonpath={.imagePullSecrets[*].name}")
}

// secret is what a jsonpath gives of attach's secret.
func (s *site) secret(namespace, path string) string {
	s.t.Helper()
	return s.ns.Kubectl("get", "secret", "fairlead-pull", "-n", namespace, "-o", "jsonpath="+path)
}

func (s *site) missing(namespace string) bool {
	s.t.Helper()
	return s.ns.Kubectl("get", "secret", "fairlead-pull", "-n", namespace, "--ignore-not-found", "-o", "name") == ""
}

type token struct {
	ID, Access, Description, Cluster, State, Account string
	Expires                                          *string
	Reach                                            struct{ All bool }
}

// tokens of a cluster in a registry, those that ended as well.
func (s *site) tokens(r *harness.Fairlead, cluster string) []token {
	s.t.Helper()
	var page struct{ Items []token }
	r.Manage(s.t, "GET", "tokens?ended=true&cluster="+cluster, nil, &page)
	return page.Items
}

func (s *site) active(r *harness.Fairlead) int {
	s.t.Helper()
	n := 0
	for _, t := range s.tokens(r, "prod") {
		if t.State == "active" {
			n++
		}
	}
	return n
}
