// Package rights_test runs `fairlead controller` by a token of its service
// account, with the rights and the admission policies that are shipped, and
// tries what else could be done with that token.
//
// The secret's name is one, fairlead-pull: each test's policies choose
// namespaces of its own, and no two controllers run at a time but where a test
// says so. So tests do not run in parallel.
package rights_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"fairlead.dev/fairlead/test/cluster/harness"
)

func TestMain(m *testing.M) {
	os.Exit(harness.Main(m))
}

// site is a cluster with what the controller lives by.
type site struct {
	t *testing.T
	c *harness.Kubernetes
	// system is the controller's namespace for the administrator, keeper for
	// the controller's account.
	system, keeper *harness.Namespace
	// name is the test's own: that of its policy, and the label of its
	// namespaces.
	name string
}

func newSite(t *testing.T) *site {
	t.Helper()
	c := harness.Cluster(t)
	s := &site{t: t, c: c, system: c.System(t), name: strings.ToLower(t.Name())}
	s.keeper = s.system.Account(harness.Keeper)
	t.Cleanup(func() {
		s.system.Kubectl("delete", "clusterpullsecret,pullsecret", "--all", "--ignore-not-found")
		s.system.Kubectl("delete", "secret", "--all")
	})
	return s
}

// refused runs kubectl as somebody; the API server must refuse it with a text.
func (s *site) refused(n *harness.Namespace, text, stdin string, args ...string) {
	s.t.Helper()
	if r := n.Try(stdin, args...); r.Code == 0 || !strings.Contains(r.Stderr, text) {
		s.t.Errorf("kubectl %s: exit code %d, want a refusal that says %q\n%s%s", strings.Join(args, " "), r.Code, text, r.Stdout, r.Stderr)
	}
}

// refusedRequest asks the API server without kubectl, which reads
// first.
func (s *site) refusedRequest(text, method, path, kind, body string) {
	s.t.Helper()
	if status, answer := s.keeper.Request(method, "/api/v1/namespaces/"+path, kind, body); status < 400 || !strings.Contains(answer, text) {
		s.t.Errorf("%s %s %s: %d, want a refusal that says %q\n%s", method, path, body, status, text, answer)
	}
}

const (
	mergePatch = "application/merge-patch+json"
	jsonType   = "application/json"

	forbidden = "is forbidden: User "    // by rights
	denied    = "fairlead-controller-"   // by a policy of admission, which is named
	pull      = harness.SecretName       // the permitted name
	password  = harness.Password         // of sources
	teamLabel = "rights-test.example/of" // of namespaces that a test's policy chooses
)

// source makes a Secret with a user and a password in the controller's
// namespace.
func (s *site) source(name, user, allowed string) {
	s.t.Helper()
	s.system.Apply(fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s, annotations: {fairlead.dev/namespaces: %q}}\ntype: kubernetes.io/basic-auth\nstringData: {username: %s, password: %s}\n", name, allowed, user, password))
}

// cluster makes a Secret with the token of a cluster at a Fairlead.
func (s *site) cluster(name string, f *harness.Fairlead, allowed string) {
	s.t.Helper()
	var made struct{ Value string }
	f.Manage(s.t, "POST", "tokens", map[string]any{"account": "acme", "access": "cluster", "cluster": "test", "nonExpiring": true}, &made)
	s.system.Apply(fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s, annotations: {fairlead.dev/namespaces: %q}}\nstringData: {url: %q, token: %s}\n", name, allowed, f.URL, made.Value))
}

// policy makes the test's ClusterPullSecret.
func (s *site) policy(registries ...string) {
	s.t.Helper()
	s.system.Apply(fmt.Sprintf("apiVersion: fairlead.dev/v1alpha1\nkind: ClusterPullSecret\nmetadata: {name: %[1]s}\nspec:\n  namespaceSelector: {matchLabels: {%[2]s: %[1]s}}\n  registries: [%[3]s]\n", s.name, teamLabel, strings.Join(registries, ", ")))
}

// chosen makes a namespace that the test's policy chooses.
func (s *site) chosen() *harness.Namespace {
	s.t.Helper()
	ns := s.c.Namespace(s.t)
	ns.Kubectl("label", "namespace", ns.Name, teamLabel+"="+s.name)
	return ns
}

// tenantPolicy makes a PullSecret.
func tenantPolicy(n *harness.Namespace, secretName, registry string) {
	n.Apply(fmt.Sprintf("apiVersion: fairlead.dev/v1alpha1\nkind: PullSecret\nmetadata: {name: own}\nspec: {secretName: %s, registries: [%s]}\n", secretName, registry))
}

type object struct {
	Metadata struct {
		UID, ResourceVersion string
		Annotations          map[string]string
	}
	Data             map[string][]byte
	ImagePullSecrets []struct{ Name string }
	Status           struct {
		Conditions []struct{ Type, Status, Reason, Message string }
	}
}

// get reads an object; ok is false if there is none.
func get(t *testing.T, n *harness.Namespace, kind, name string) (o object, ok bool) {
	t.Helper()
	text := n.Kubectl("get", kind, name, "-o", "json", "--ignore-not-found")
	if text == "" {
		return o, false
	}
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	return o, true
}

func list(t *testing.T, n *harness.Namespace) string {
	t.Helper()
	o, _ := get(t, n, "serviceaccount", "default")
	var names []string
	for _, s := range o.ImagePullSecrets {
		names = append(names, s.Name)
	}
	return strings.Join(names, ",")
}

// has waits until a namespace has the secret, with texts in it, and the
// default account names it.
func has(t *testing.T, n *harness.Namespace, texts ...string) (o object) {
	t.Helper()
	harness.Until(t, "the secret and the list", func() error {
		var is bool
		if o, is = get(t, n, "secret", pull); !is {
			return fmt.Errorf("there is no secret")
		}
		for _, text := range texts {
			if got := string(o.Data[".dockerconfigjson"]); !strings.Contains(got, text) {
				return fmt.Errorf("the secret has no %s", text)
			}
		}
		if got := list(t, n); got != pull {
			return fmt.Errorf("the list is %q", got)
		}
		return nil
	})
	return o
}

// gone waits until a namespace has nothing of ours.
func gone(t *testing.T, n *harness.Namespace) {
	t.Helper()
	harness.Until(t, "ours is gone", func() error {
		if _, is := get(t, n, "secret", pull); is {
			return fmt.Errorf("the secret is there")
		}
		if got := list(t, n); got != "" {
			return fmt.Errorf("the list is %q", got)
		}
		return nil
	})
}

// condition waits for a reason of a condition.
func condition(t *testing.T, n *harness.Namespace, kind, name, condition, reason string) {
	t.Helper()
	harness.Until(t, condition+" is "+reason, func() error {
		o, _ := get(t, n, kind, name)
		for _, c := range o.Status.Conditions {
			if c.Type == condition && c.Reason == reason {
				return nil
			}
		}
		return fmt.Errorf("the status is %+v", o.Status)
	})
}
