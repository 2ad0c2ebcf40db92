package webhook_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/fairlead/internal/certificate"
	"fairlead.dev/fairlead/test/cluster/harness"
)

// TestSameInstant: a pod that is made as soon as its namespace or its account
// is there has the name. Without the webhook it has not, often or always.
func TestSameInstant(t *testing.T) {
	s := newSite(t, harness.Cluster(t))
	port := freePort(t)
	s.source("*")
	s.policy(appends + "  serviceAccounts: {all: true}\n")
	r := s.start(serving(port)...)
	ns := s.space("first")
	harness.Until(s.t, "the controller works", func() error { return s.ready(ns) })

	const tries = 40
	spaces, accounts := s.late(tries, ns, "before")
	t.Logf("without the webhook %d of %d pods came before the name in a new namespace, %d of %d with a new account", spaces, tries, accounts, tries)
	if accounts < tries/2 {
		t.Error("the test is not one of a race")
	}
	s.install(port)
	s.called(ns)
	before := s.metric("apiserver_admission_webhook_fail_open_count", "pods.fairlead.dev")
	spaces, accounts = s.late(tries, ns, "after")
	if spaces+accounts > 0 || s.metric("apiserver_admission_webhook_fail_open_count", "pods.fairlead.dev") > before {
		t.Errorf("with the webhook %d of %d pods came too early in a new namespace, %d of %d with a new account", spaces, tries, accounts, tries)
	}
	if text := r.log.String(); strings.Count(text, "apply deploy/controller/webhook.yaml") != 1 {
		t.Error("that there is no configuration is to be said once")
	}
}

// late counts pods that lack the name though they are made after their
// namespace, or after their account in one that is there.
func (s *site) late(tries int, namespace, prefix string) (spaces, accounts int) {
	s.t.Helper()
	for i := range tries {
		if list := s.create(s.space("instant"), pod(nil), metav1.CreateOptions{}); !slices.Contains(list, secret) {
			spaces++
		}
		name := fmt.Sprintf("%s-%d", prefix, i)
		if _, err := s.api.CoreV1().ServiceAccounts(namespace).Create(context.Background(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
			s.t.Fatal(err)
		}
		if list := s.create(namespace, pod(nil, account(name)), metav1.CreateOptions{}); !slices.Contains(list, secret) {
			accounts++
		}
	}
	return spaces, accounts
}

// ready says whether a namespace has the secret and its account the name.
func (s *site) ready(namespace string) error {
	a, err := s.api.CoreV1().ServiceAccounts(namespace).Get(context.Background(), "default", metav1.GetOptions{})
	if err != nil {
		return err
	}
	if !slices.Contains(a.ImagePullSecrets, corev1.LocalObjectReference{Name: secret}) {
		return fmt.Errorf("the account's list is %v", a.ImagePullSecrets)
	}
	return nil
}

// TestRules: who gets the name, and who does not.
func TestRules(t *testing.T) {
	s := newSite(t, harness.Cluster(t))
	ns, name, _ := s.works("rules")

	s.Kubectl("-n", ns, "create", "serviceaccount", "builder")
	check := func(what, namespace string, p *corev1.Pod, want ...string) {
		t.Helper()
		if got := s.dry(namespace, p); !slices.Equal(got, want) {
			t.Errorf("%s: the list is %q, want %q", what, got, want)
		}
	}
	check("a list of its own, append", ns, pod([]string{"a", "b"}), "a", "b", secret)
	check("the name is there", ns, pod([]string{secret, "a"}), secret, "a")
	check("another account", ns, pod(nil, account("builder")))
	check("another account and a list", ns, pod([]string{"a"}, account("builder")), "a")
	check("not chosen", s.Name, pod([]string{"a"}), "a")
	s.Kubectl("label", "namespace", "kube-system", "team="+s.Name)
	t.Cleanup(func() { s.Kubectl("label", "namespace", "kube-system", "team-") })
	s.Kubectl("label", "namespace", system, "team="+s.Name)
	t.Cleanup(func() { s.Kubectl("label", "namespace", system, "team-") })
	check("kube-system", "kube-system", pod([]string{"a"}), "a")
	check("our own namespace", system, pod([]string{"a"}), "a")

	s.Kubectl("patch", "clusterpullsecret", name, "--type=merge", "-p", `{"spec":{"appendToOwnList":false}}`)
	harness.Until(s.t, "lists of their own stay", func() error {
		if got := s.dry(ns, pod([]string{"a"})); !slices.Equal(got, []string{"a"}) {
			return fmt.Errorf("the list is %q", got)
		}
		return nil
	})
	check("no list", ns, pod(nil), secret)

	// The credential is for others: the name of a secret that never comes would
	// only be a warning at each pull.
	s.Kubectl("patch", "clusterpullsecret", name, "--type=merge", "-p", `{"spec":{"appendToOwnList":true}}`)
	s.called(ns)
	s.source("others")
	harness.Until(s.t, "no name of a secret that does not come", func() error {
		if got := s.dry(ns, pod([]string{"a"})); !slices.Equal(got, []string{"a"}) {
			return fmt.Errorf("the list is %q", got)
		}
		return nil
	})
}

// TestDryRun: a dry run is answered alike, and writes nothing.
func TestDryRun(t *testing.T) {
	s := newSite(t, harness.Cluster(t))
	ns, _, _ := s.works("dry")
	got := s.Run("apiVersion: v1\nkind: Pod\nmetadata: {name: dry}\nspec: {imagePullSecrets: [{name: mine}], containers: [{name: a, image: registry.example/a}]}\n",
		filepath.Join(s.c.Bin, "kubectl"), "-n", ns, "apply", "--dry-run=server", "-o", "jsonpath={.spec.imagePullSecrets[*].name}", "-f", "-")
	if got.Stdout != "mine "+secret {
		t.Errorf("the list is %q, %s", got.Stdout, got.Stderr)
	}
	if s.Kubectl("-n", ns, "get", "pods", "-o", "name") != "" {
		t.Error("a pod was made")
	}
}

// TestDown: without a controller that answers pods are made at once.
func TestDown(t *testing.T) {
	s := newSite(t, harness.Cluster(t))
	ns, _, r := s.works("down")
	r.kill()
	start := time.Now()
	if s.asked(ns) {
		t.Error("nobody answers, and the pod has the name")
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("the pod waited for %s", d)
	}
	s.start(serving(s.port)...)
	s.called(ns)
}

// TestBundle: somebody empties caBundle, spoils the Secret or deletes it.
func TestBundle(t *testing.T) {
	s := newSite(t, harness.Cluster(t))
	ns, _, _ := s.works("bundle")
	first := s.bundle()

	s.Kubectl("patch", configuration, "--type=json", "-p", `[{"op":"remove","path":"/webhooks/0/clientConfig/caBundle"}]`)
	start := time.Now()
	s.called(ns)
	t.Logf("an empty bundle was repaired in %s", time.Since(start).Round(time.Millisecond))
	if !bytes.Equal(first, s.bundle()) {
		t.Error("the bundle is another one")
	}
	s.Kubectl("-n", system, "patch", certSecret, "--type=merge", "-p", `{"data":{"tls.crt":"eA==","tls.key":"eA=="}}`)
	harness.Until(s.t, "the certificate is made anew", func() error {
		if text := string(s.kept()["tls.crt"]); !strings.Contains(text, "BEGIN CERTIFICATE") {
			return fmt.Errorf("it is %q", text)
		}
		return nil
	})
	s.called(ns)
	if !bytes.Equal(first, s.bundle()) {
		t.Error("a spoilt certificate made another authority")
	}
	s.Kubectl("-n", system, "delete", certSecret)
	harness.Until(s.t, "there is another authority", func() error {
		if bytes.Equal(first, s.bundle()) {
			return fmt.Errorf("it is the same")
		}
		return nil
	})
	s.called(ns)
	s.Kubectl("delete", configuration)
	s.install(s.port)
	s.called(ns)
}

func (s *site) bundle() []byte {
	s.t.Helper()
	c, err := s.api.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(context.Background(), "fairlead-pull-secrets", metav1.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return c.Webhooks[0].ClientConfig.CABundle
}

// kept is what the controller remembers of certificates.
func (s *site) kept() map[string][]byte {
	s.t.Helper()
	o, err := s.api.CoreV1().Secrets(system).Get(context.Background(), "fairlead-webhook", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return o.Data
}

// TestReplicas: all replicas answer, whoever leads, and start with one
// certificate.
func TestReplicas(t *testing.T) {
	s := newSite(t, harness.Cluster(t))
	one, two := freePort(t), freePort(t)
	s.source("*")
	s.install(one)
	first := s.start(append(serving(one), "--leader-elect")...)
	ns := s.space("replicas")
	s.policy(appends)
	s.called(ns)
	bundle, leads := s.bundle(), s.leader()
	s.start(append(serving(two), "--leader-elect")...)
	harness.Until(s.t, "the other one serves", func() error {
		conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", two), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			return err
		}
		return conn.Close()
	})
	s.Kubectl("patch", configuration, "--type=json", "-p", fmt.Sprintf(`[{"op":"replace","path":"/webhooks/0/clientConfig/url","value":"https://127.0.0.1:%d/mutate-pods"}]`, two))
	first.kill()
	s.called(ns)
	for range 20 {
		if !s.asked(ns) {
			t.Error("the other one does not answer always")
		}
	}
	if s.leader() != leads {
		t.Error("the other one leads already: the test says nothing")
	}
	if !bytes.Equal(bundle, s.bundle()) || bytes.Count(bundle, []byte("BEGIN CERTIFICATE")) != 1 {
		t.Error("the replicas do not agree on an authority")
	}
}

// TestTogether: replicas that start at once without a certificate agree.
func TestTogether(t *testing.T) {
	s := newSite(t, harness.Cluster(t))
	ports := []int{freePort(t), freePort(t), freePort(t)}
	s.source("*")
	s.install(ports[0])
	var all []*running
	for _, port := range ports {
		all = append(all, s.start(append(serving(port), "--leader-elect")...))
	}
	ns := s.space("together")
	s.policy(appends)
	s.called(ns)
	made := 0
	for _, r := range all {
		made += strings.Count(r.log.String(), "a new authority")
	}
	if made != 1 || !bytes.Equal(s.bundle(), s.kept()["ca.crt"]) {
		t.Errorf("%d authorities were made", made)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.bundle())
	for _, port := range ports {
		harness.Until(s.t, "all show the same certificate", func() error {
			conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), &tls.Config{RootCAs: roots})
			if err != nil {
				return err
			}
			return conn.Close()
		})
	}
}

func (s *site) leader() string {
	s.t.Helper()
	return s.Kubectl("-n", system, "get", "lease", "fairlead-controller", "-o", "jsonpath={.spec.holderIdentity}")
}

// TestRotation: the authority and the certificate are renewed while pods are
// made every 20 ms, by one of two replicas: all of them get the name, and the
// API server never fails to call.
func TestRotation(t *testing.T) {
	s := newSite(t, harness.Cluster(t))
	one, two := freePort(t), freePort(t)
	s.source("*")
	// Two thirds of the authority's life are over; the certificate is good.
	host := []string{"127.0.0.1"}
	old, _, err := certificate.Renew(certificate.Kept{}, certificate.Options{Now: time.Now().Add(-certificate.AuthorityLife / 10 * 7), Names: host})
	if err != nil {
		t.Fatal(err)
	}
	if old, _, err = certificate.Renew(old, certificate.Options{Now: time.Now().AddDate(0, 0, -1), Names: host}); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": map[string]string{"name": "fairlead-webhook", "namespace": system},
		"data": map[string][]byte{"ca.crt": old.Authority.Cert, "ca.key": old.Authority.Key, "tls.crt": old.Server.Cert, "tls.key": old.Server.Key},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Input(string(text), "create", "-f", "-")
	s.install(one)
	s.start(append(serving(one), "--leader-elect")...)
	s.start(append(serving(two), "--leader-elect")...)
	ns := s.space("rotation")
	s.policy(appends)
	s.called(ns)

	const failed = "apiserver_admission_webhook_fail_open_count"
	before := s.metric(failed, "pods.fairlead.dev")
	var requests, lost int
	var longest time.Duration
	var end time.Time
	for ; end.IsZero() || time.Now().Before(end); requests++ {
		start := time.Now()
		if !s.asked(ns) {
			lost++
		}
		longest = max(longest, time.Since(start))
		if requests%50 == 0 && end.IsZero() && len(s.kept()["previous-ca.crt"]) > 0 {
			end = time.Now().Add(5 * time.Second)
		}
		if requests > 10_000 {
			t.Fatal("the authority is not renewed")
		}
		time.Sleep(max(0, 20*time.Millisecond-time.Since(start)))
	}
	t.Logf("%d pods, the longest took %s", requests, longest.Round(time.Millisecond))
	if n := s.metric(failed, "pods.fairlead.dev") - before; lost > 0 || n > 0 {
		t.Errorf("%d of %d pods did not get the name, %v calls failed", lost, requests, n)
	}
	kept := s.kept()
	if bytes.Equal(kept["ca.crt"], old.Authority.Cert) || !bytes.Equal(kept["previous-ca.crt"], old.Authority.Cert) {
		t.Error("the authority is not another one")
	}
	if want := slices.Concat(kept["ca.crt"], old.Authority.Cert); !bytes.Equal(s.bundle(), want) {
		t.Error("the bundle does not have both")
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(kept["ca.crt"])
	for _, port := range []int{one, two} {
		conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), &tls.Config{RootCAs: roots})
		if err != nil {
			t.Fatalf("a replica shows the old certificate: %v", err)
		}
		_ = conn.Close()
	}
}

// TestNoRight: without webhook.yaml the controller does the rest, and says
// once that pods are made without the webhook.
func TestNoRight(t *testing.T) {
	s := newSite(t, harness.Cluster(t))
	port := freePort(t)
	s.source("*")
	r := s.start(serving(port)...)
	s.policy("")
	ns := s.space("rights")
	harness.Until(s.t, "the rest is done", func() error { return s.ready(ns) })
	harness.Until(s.t, "it is said", func() error {
		if n := strings.Count(r.log.String(), "there is no right to read the MutatingWebhookConfiguration"); n != 1 {
			return fmt.Errorf("%d times", n)
		}
		return nil
	})
}

// TestFlags: what cannot be is said at once.
func TestFlags(t *testing.T) {
	c := harness.Cluster(t)
	ns := c.Namespace(t)
	for args, want := range map[string]string{
		"--webhook-listen :9443":                    "--webhook-listen needs one of --webhook-service and --webhook-url",
		"--webhook-service x":                       "need --webhook-listen",
		"--webhook-listen 9443 --webhook-service x": "is no address such as :9443",

		"--metrics-listen nonsense": `--metrics-listen: "nonsense" is no address such as :9090`,
		"--secret-name A_B":         `--secret-name: "A_B" cannot be used`,

		"--webhook-listen :9443 --webhook-url http://127.0.0.1:1/mutate-pods": "give https://HOST:PORT/mutate-pods",
		"--webhook-listen :9443 --webhook-url https://127.0.0.1:1":            "give https://HOST:PORT/mutate-pods",
		"--webhook-listen :9443 --webhook-service x --webhook-url https://a/": "needs one of",
	} {
		got := ns.Run("", harness.FairleadBinary(), append([]string{"controller"}, strings.Fields(args)...)...)
		if got.Code != 2 || !strings.Contains(got.Stderr, want) || !strings.Contains(got.Stderr, "Next: fairlead controller --help") {
			t.Errorf("%s: %d %s, want %q", args, got.Code, got.Stderr, want)
		}
	}
}
