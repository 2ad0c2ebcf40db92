package controller_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/dockerconfig"
	"fairlead.dev/fairlead/test/cluster/harness"
)

// apply writes YAML documents; what names no namespace is in the controller's.
func (r *running) apply(format string, args ...any) {
	r.t.Helper()
	if err := r.try(fmt.Sprintf(format, args...)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *running) try(text string) error {
	for _, doc := range strings.Split(text, "\n---\n") {
		var o unstructured.Unstructured
		if err := yaml.Unmarshal([]byte(doc), &o.Object); err != nil {
			return err
		}
		if o.GetNamespace() == "" && o.GetKind() != "ClusterPullSecret" && o.GetKind() != "Namespace" && !strings.HasPrefix(o.GetKind(), "Validating") {
			o.SetNamespace(r.Name)
		}
		body, err := o.MarshalJSON()
		if err != nil {
			return err
		}
		if err := r.api.Patch(r.t.Context(), &o, client.RawPatch(types.ApplyPatchType, body), client.FieldOwner("test"), client.ForceOwnership); err != nil {
			return err
		}
	}
	return nil
}

func (r *running) remove(o client.Object) {
	r.t.Helper()
	if err := client.IgnoreNotFound(r.api.Delete(r.t.Context(), o)); err != nil {
		r.t.Fatal(err)
	}
}

// patch is a merge patch by somebody.
func (r *running) patch(o client.Object, body string) {
	r.t.Helper()
	if err := r.api.Patch(r.t.Context(), o, client.RawPatch(types.MergePatchType, []byte(body)), client.FieldOwner("somebody")); err != nil {
		r.t.Fatal(err)
	}
}

func named(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

func secretOf(namespace, name string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: named(namespace, name)}
}

func accountOf(namespace, name string) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: named(namespace, name)}
}

func whole(name string) *v1alpha1.ClusterPullSecret {
	return &v1alpha1.ClusterPullSecret{ObjectMeta: named("", name)}
}

func ownPolicy(namespace, name string) *v1alpha1.PullSecret {
	return &v1alpha1.PullSecret{ObjectMeta: named(namespace, name)}
}

// read fills an object; false if there is none.
func (r *running) read(o client.Object) bool {
	r.t.Helper()
	err := r.api.Get(r.t.Context(), client.ObjectKeyFromObject(o), o)
	if client.IgnoreNotFound(err) != nil {
		r.t.Fatal(err)
	}
	return err == nil
}

// pull is the secret of the controller in a namespace, nil if there is none.
func (r *running) pull(namespace string) *corev1.Secret {
	r.t.Helper()
	if s := secretOf(namespace, r.secret); r.read(s) {
		return s
	}
	return nil
}

// list of an account, "a,b".
func (r *running) list(namespace, account string) string {
	r.t.Helper()
	a := accountOf(namespace, account)
	r.read(a)
	var names []string
	for _, n := range a.ImagePullSecrets {
		names = append(names, n.Name)
	}
	return strings.Join(names, ",")
}

// has waits until a namespace has the secret, with text in it, and its default
// account the list.
func (r *running) has(namespace, text, accounts string) *corev1.Secret {
	r.t.Helper()
	var s *corev1.Secret
	harness.Until(r.t, "the secret and the list", func() error {
		if s = r.pull(namespace); s == nil {
			return errors.New("there is no secret")
		}
		if !bytes.Contains(s.Data[".dockerconfigjson"], []byte(text)) {
			return fmt.Errorf("the secret has no %s", text)
		}
		if got := r.list(namespace, "default"); got != accounts {
			return fmt.Errorf("the list is %q, want %q", got, accounts)
		}
		return nil
	})
	return s
}

// gone waits until a namespace has nothing of ours.
func (r *running) gone(namespace, accounts string) {
	r.t.Helper()
	harness.Until(r.t, "ours is gone", func() error {
		is := r.pull(namespace) != nil
		if got := r.list(namespace, "default"); is || got != accounts {
			return fmt.Errorf("secret %v, list %q, want %q", is, got, accounts)
		}
		return nil
	})
}

func statusOf(o client.Object) v1alpha1.PullSecretStatus {
	switch p := o.(type) {
	case *v1alpha1.ClusterPullSecret:
		return p.Status
	case *v1alpha1.PullSecret:
		return p.Status
	}
	return v1alpha1.PullSecretStatus{}
}

// condition waits for a reason, and gives the message.
func (r *running) condition(o client.Object, condition, reason string) string {
	r.t.Helper()
	var message string
	harness.Until(r.t, condition+" is "+reason, func() error {
		if !r.read(o) {
			return errors.New("there is no policy")
		}
		c := meta.FindStatusCondition(statusOf(o).Conditions, condition)
		if c == nil || c.Reason != reason || c.ObservedGeneration != o.GetGeneration() {
			return fmt.Errorf("the status is %+v", statusOf(o))
		}
		if want := metav1.ConditionTrue; (c.Reason == "Ready") != (c.Status == want) {
			return fmt.Errorf("the status is %+v", statusOf(o))
		}
		message = c.Message
		return nil
	})
	return message
}

// source makes a Secret with a user and a password.
func (r *running) source(name, allowed string) {
	r.t.Helper()
	r.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: %s, annotations: {fairlead.dev/namespaces: %q}}\ntype: kubernetes.io/basic-auth\nstringData: {username: robot, password: wonder}\n", name, allowed)
}

// policy makes a ClusterPullSecret for namespaces with the label team=NAME of
// the controller's namespace, and takes it away in the end. more are lines of
// the spec.
func (r *running) policy(registries string, more ...string) *v1alpha1.ClusterPullSecret {
	r.t.Helper()
	return r.policyOf("p-"+r.Name, registries, more...)
}

func (r *running) policyOf(name, registries string, more ...string) *v1alpha1.ClusterPullSecret {
	r.t.Helper()
	p := whole(name)
	r.apply("apiVersion: fairlead.dev/v1alpha1\nkind: ClusterPullSecret\nmetadata: {name: %s}\nspec:\n  secretName: %s\n  namespaceSelector: {matchLabels: {team: %s}}\n  registries: [%s]\n  %s\n",
		p.Name, r.secret, r.Name, registries, strings.Join(more, "\n  "))
	r.t.Cleanup(func() { _ = r.api.Delete(ended, p.DeepCopy()) })
	return p
}

// chosen makes a namespace that the policies of r choose.
func (r *running) chosen(c *harness.Kubernetes) string {
	r.t.Helper()
	ns := c.Namespace(r.t)
	r.patch(&corev1.Namespace{ObjectMeta: named("", ns.Name)}, `{"metadata":{"labels":{"team":"`+r.Name+`"}}}`)
	return ns.Name
}

// password of an entry of a secret, "" if there is none.
func password(s *corev1.Secret, key string) string {
	file, err := dockerconfig.Parse(s.Data[".dockerconfigjson"])
	if err != nil {
		return ""
	}
	e, _ := file.Entry(key)
	return e.Password
}

// states are the names of the Secrets with credentials in use.
func (r *running) states() (names []string) {
	r.t.Helper()
	var all corev1.SecretList
	if err := r.api.List(r.t.Context(), &all, client.InNamespace(r.Name), client.HasLabels{"fairlead.dev/state"}); err != nil {
		r.t.Fatal(err)
	}
	for i := range all.Items {
		names = append(names, all.Items[i].Name)
	}
	return names
}
