package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

// Installer is the name that what is installed goes by in managedFields. It
// is not Manager: what the controller adds to these objects stays when they
// are applied again.
const Installer = "fairlead-attach"

// Object is a Kubernetes object of any kind that Fairlead installs, as its
// JSON is decoded.
type Object map[string]any

// ParseObject reads one object in YAML or JSON. Error: it is none, or of a kind
// that is not known here.
func ParseObject(text []byte) (Object, error) {
	var o Object
	if err := yaml.Unmarshal(text, &o); err != nil {
		return nil, err
	}
	if _, known := resources[o.Kind()]; !known || o.Name() == "" {
		return nil, fmt.Errorf("%q named %q is no object that can be installed", o.Kind(), o.Name())
	}
	return o, nil
}

// Kind is such as Deployment.
func (o Object) Kind() string { return o.text("kind") }

// Name of the object.
func (o Object) Name() string { return o.meta("name") }

// Namespace is "" for what belongs to the whole cluster.
func (o Object) Namespace() string { return o.meta("namespace") }

// UID is "" for what is not in a cluster.
func (o Object) UID() string { return o.meta("uid") }

// Label gives the value of a label.
func (o Object) Label(key string) string { return o.In("metadata", "labels").text(key) }

// SetLabel sets a label.
func (o Object) SetLabel(key, value string) { o.In("metadata", "labels")[key] = value }

// In gives the map at a path, which is made where there is none.
func (o Object) In(path ...string) Object {
	for _, p := range path {
		next, is := o[p].(map[string]any)
		if !is {
			next = map[string]any{}
			o[p] = next
		}
		o = next
	}
	return o
}

// Items gives the maps in a list.
func (o Object) Items(key string) []Object {
	list, _ := o[key].([]any)
	var out []Object
	for _, i := range list {
		if m, is := i.(map[string]any); is {
			out = append(out, m)
		}
	}
	return out
}

// Into decodes a part of the object.
func (o Object) Into(v any) error {
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}

func (o Object) text(key string) string {
	s, _ := o[key].(string)
	return s
}

func (o Object) meta(key string) string {
	m, _ := o["metadata"].(map[string]any)
	return Object(m).text(key)
}

// String is such as "the Role fairlead-controller in fairlead-system".
func (o Object) String() string {
	s := "the " + o.Kind() + " " + o.Name()
	if n := o.Namespace(); n != "" {
		s += " in " + n
	}
	return s
}

// resources of the kinds that are installed; the group's version is the
// object's own.
var resources = map[string]string{
	"Namespace": "namespaces", "Secret": "secrets", "ServiceAccount": "serviceaccounts", "Service": "services", "Lease": "leases",
	"Deployment": "deployments",
	"Role":       "roles", "RoleBinding": "rolebindings", "ClusterRole": "clusterroles", "ClusterRoleBinding": "clusterrolebindings",
	"CustomResourceDefinition":  "customresourcedefinitions",
	"ValidatingAdmissionPolicy": "validatingadmissionpolicies", "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
	"MutatingWebhookConfiguration": "mutatingwebhookconfigurations",
	"ClusterPullSecret":            "clusterpullsecrets", "PullSecret": "pullsecrets",
}

func (o Object) target(verb string) target {
	return target{verb: verb, resource: resources[o.Kind()], namespace: o.Namespace(), name: o.Name()}
}

// path of the object in the API; without its name, of its kind.
func (o Object) path(name string) []string {
	v := o.text("apiVersion")
	p := []string{"/apis", v}
	if v == "v1" {
		p[0] = "/api"
	}
	if n := o.Namespace(); n != "" {
		p = append(p, "namespaces", n)
	}
	p = append(p, resources[o.Kind()])
	if name != "" {
		p = append(p, name)
	}
	return p
}

// onlyJSON is for kinds that have no other form.
const onlyJSON = "application/json"

// answerOf is what the API server says, or its error in full: Raw's alone says
// not who may not do what.
func answerOf(r rest.Result) ([]byte, error) {
	text, err := r.Raw()
	if err != nil {
		err = r.Error()
	}
	return text, err
}

// Find reads the object of o's kind and name. Errors: NotFound, also where the
// kind is not known to the cluster, *Forbidden, ….
func (c *Cluster) Find(ctx context.Context, o Object) (Object, error) {
	text, err := answerOf(c.core.Get().AbsPath(o.path(o.Name())...).SetHeader("Accept", onlyJSON).Do(ctx))
	if err != nil {
		return nil, failed(o.target("get"), err)
	}
	var out Object
	return out, json.Unmarshal(text, &out)
}

// All lists the objects of o's kind, of its namespace if it has one. Errors: as
// Find.
func (c *Cluster) All(ctx context.Context, o Object) ([]Object, error) {
	text, err := answerOf(c.core.Get().AbsPath(o.path("")...).SetHeader("Accept", onlyJSON).Do(ctx))
	if err != nil {
		t := o.target("list")
		t.name = ""
		return nil, failed(t, err)
	}
	var list struct{ Items []Object }
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, err
	}
	for _, i := range list.Items {
		i["kind"], i["apiVersion"] = o["kind"], o["apiVersion"] // a list leaves them out
	}
	return list.Items, nil
}

// Install makes an object as o says, by a server-side apply as Installer that
// takes fields over. What others added to it stays. Errors: Invalid, Refused,
// *Forbidden, ….
func (c *Cluster) Install(ctx context.Context, o Object) (Result, error) {
	before, err := c.Find(ctx, o)
	if err != nil && !IsMissing(err) {
		return "", err
	}
	body, err := json.Marshal(o)
	if err != nil {
		return "", err
	}
	var code int
	text, err := answerOf(c.core.Patch(types.ApplyPatchType).AbsPath(o.path(o.Name())...).SetHeader("Accept", onlyJSON).
		Param("fieldManager", Installer).Param("force", "true").Body(body).Do(ctx).StatusCode(&code))
	if err != nil {
		return "", failed(o.target("patch"), err)
	}
	var after Object
	if err := json.Unmarshal(text, &after); err != nil {
		return "", err
	}
	switch {
	case code == http.StatusCreated:
		return Created, nil
	case same(before, after):
		return Unchanged, nil
	}
	return Changed, nil
}

// same compares what is meant: the API server may write down anew who owns
// which field, and controllers write states.
func same(a, b Object) bool {
	meant := func(o Object) Object {
		out := maps.Clone(o)
		delete(out, "status")
		meta := maps.Clone(o.In("metadata"))
		delete(meta, "managedFields")
		delete(meta, "resourceVersion")
		out["metadata"] = map[string]any(meta)
		return out
	}
	return a != nil && reflect.DeepEqual(meant(a), meant(b))
}

// Uninstall deletes an object as it was read, and what it owns; one that was
// made anew meanwhile stays. That there is none any more is Unchanged. Errors:
// Conflict, *Forbidden, ….
func (c *Cluster) Uninstall(ctx context.Context, o Object) (Result, error) {
	body, err := json.Marshal(metav1.DeleteOptions{
		TypeMeta:          metav1.TypeMeta{Kind: "DeleteOptions", APIVersion: "v1"},
		Preconditions:     &metav1.Preconditions{UID: new(types.UID(o.UID()))},
		PropagationPolicy: new(metav1.DeletePropagationBackground),
	})
	if err != nil {
		return "", err
	}
	_, err = answerOf(c.core.Delete().AbsPath(o.path(o.Name())...).SetHeader("Accept", onlyJSON).SetHeader("Content-Type", onlyJSON).Body(body).Do(ctx))
	err = failed(o.target("delete"), err)
	switch {
	case IsMissing(err):
		return Unchanged, nil
	case err != nil:
		return "", err
	}
	return Removed, nil
}
