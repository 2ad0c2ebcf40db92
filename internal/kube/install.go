package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Platforms counts the cluster's nodes by os/architecture, such as
// linux/amd64. Errors: *Forbidden, ….
func (c *Cluster) Platforms(ctx context.Context) (map[string]int, error) {
	out := map[string]int{}
	err := pages(ctx, c, c.core, target{resource: "nodes"}, query{}, func() *corev1.NodeList { return &corev1.NodeList{} }, func(l *corev1.NodeList) error {
		for i := range l.Items {
			n := l.Items[i].Status.NodeInfo
			out[n.OperatingSystem+"/"+n.Architecture]++
		}
		return nil
	})
	return out, err
}

// condition is one of an object's status.
type condition struct{ Type, Status, Reason, Message string }

// conditions of an object, and whether they are about its present spec.
func conditions(o Object) (all []condition, current bool) {
	var s struct {
		Metadata struct{ Generation int64 }
		Status   struct {
			ObservedGeneration int64
			Conditions         []condition
		}
	}
	if o.Into(&s) != nil {
		return nil, false
	}
	return s.Status.Conditions, s.Status.ObservedGeneration >= s.Metadata.Generation
}

// Established says whether the API server serves the kind that a
// CustomResourceDefinition defines.
func Established(o Object) bool {
	all, _ := conditions(o)
	return slices.ContainsFunc(all, func(c condition) bool { return c.Type == "Established" && c.Status == "True" })
}

// Ready says whether a policy's condition Ready is true for its present spec,
// and if not, why.
func Ready(o Object) (ready bool, why string) {
	all, current := conditions(o)
	why = "the controller did not look at it yet"
	for _, c := range all {
		if !current || c.Status == "True" && c.Type != "Ready" {
			continue
		}
		switch {
		case c.Type == "Ready" && c.Status == "True":
			ready = true
		case c.Type == "Ready" || c.Type == "CredentialsReady":
			why = c.Reason + ": " + clip(c.Message)
			if c.Type == "CredentialsReady" { // it is what the other one waits for
				return false, why
			}
		}
	}
	return ready, why
}

// Rollout is how far a Deployment is.
type Rollout struct {
	Want, Ready int
	Done        bool
	// Problem is what stands in the way, as far as it is seen.
	Problem string
}

// RolloutOf asks how far a Deployment is. Errors: NotFound, ….
func (c *Cluster) RolloutOf(ctx context.Context, o Object) (Rollout, error) {
	now, err := c.Find(ctx, o)
	if err != nil {
		return Rollout{}, err
	}
	var d struct {
		Metadata struct{ Generation int64 }
		Spec     struct {
			Replicas int
			Selector metav1.LabelSelector
		}
		Status struct {
			ObservedGeneration                           int64
			Replicas, UpdatedReplicas, AvailableReplicas int
		}
	}
	if err := now.Into(&d); err != nil {
		return Rollout{}, err
	}
	s := d.Status
	r := Rollout{Want: d.Spec.Replicas, Ready: min(s.UpdatedReplicas, s.AvailableReplicas)}
	r.Done = s.ObservedGeneration >= d.Metadata.Generation && s.UpdatedReplicas == r.Want && s.Replicas == r.Want && s.AvailableReplicas == r.Want
	if r.Done {
		return r, nil
	}
	all, _ := conditions(now)
	for _, c := range all {
		if c.Type == "ReplicaFailure" && c.Status == "True" {
			r.Problem = clip(c.Message)
			return r, nil
		}
	}
	r.Problem, err = c.stuck(ctx, o.Namespace(), &d.Spec.Selector)
	if refused(err) {
		err = nil // it only says more
	}
	return r, err
}

// stuck says why a pod does not run; "" if none tells.
func (c *Cluster) stuck(ctx context.Context, namespace string, s *metav1.LabelSelector) (string, error) {
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return "", err
	}
	problem := ""
	err = pages(ctx, c, c.core, target{resource: "pods", namespace: namespace}, query{labels: selector.String()}, newPods, func(l *corev1.PodList) error {
		for i := range l.Items {
			p := &l.Items[i]
			for _, k := range p.Status.Conditions {
				if k.Type == corev1.PodScheduled && k.Status == corev1.ConditionFalse {
					problem = fmt.Sprintf("the pod %s waits for a node: %s", p.Name, clip(k.Message))
				}
			}
			for _, k := range p.Status.ContainerStatuses {
				if w := k.State.Waiting; w != nil && w.Reason != "ContainerCreating" {
					problem = fmt.Sprintf("the pod %s waits, %s: %s", p.Name, w.Reason, clip(w.Message))
				}
			}
		}
		return nil
	})
	return problem, err
}

// derived are resources that Kubernetes makes for others by itself.
var derived = []string{"events", "endpoints", "endpointslices", "controllerrevisions"}

// Contents names what is in a namespace, of all kinds that the cluster has: as
// RESOURCE/NAME, in order. What Kubernetes makes in every namespace or for
// other objects is left out. Errors: *Forbidden for a kind, ….
func (c *Cluster) Contents(ctx context.Context, namespace string) ([]string, error) {
	kinds, err := c.listable(ctx)
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, k := range kinds {
		text, err := answerOf(c.core.Get().AbsPath(append(slices.Clone(k.path), "namespaces", namespace, k.resource)...).
			SetHeader("Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1").Do(ctx))
		if err = failed(target{verb: "list", resource: k.resource, namespace: namespace}, err); IsMissing(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var list metav1.PartialObjectMetadataList
		if err := json.Unmarshal(text, &list); err != nil {
			return nil, err
		}
		for i := range list.Items {
			name := k.resource + "/" + list.Items[i].Name
			if len(list.Items[i].OwnerReferences) == 0 && name != "serviceaccounts/default" && name != "configmaps/kube-root-ca.crt" {
				found[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// listing is where the objects of a kind are listed.
type listing struct {
	path     []string
	resource string
}

// listable are the cluster's namespaced kinds. A group whose server is away is
// an error: what it has would be overlooked.
func (c *Cluster) listable(ctx context.Context) ([]listing, error) {
	var groups metav1.APIGroupList
	if err := c.raw(ctx, &groups, "/apis"); err != nil {
		return nil, err
	}
	paths := [][]string{{"/api", "v1"}}
	for _, g := range groups.Groups {
		paths = append(paths, []string{"/apis", g.PreferredVersion.GroupVersion})
	}
	var out []listing
	for _, p := range paths {
		var list metav1.APIResourceList
		if err := c.raw(ctx, &list, p...); err != nil {
			if IsMissing(err) {
				continue // the kinds were taken away meanwhile
			}
			return nil, err
		}
		for _, r := range list.APIResources {
			if r.Namespaced && slices.Contains(r.Verbs, "list") && !strings.Contains(r.Name, "/") && !slices.Contains(derived, r.Name) {
				out = append(out, listing{p, r.Name})
			}
		}
	}
	return out, nil
}

func (c *Cluster) raw(ctx context.Context, into any, path ...string) error {
	text, err := answerOf(c.core.Get().AbsPath(path...).SetHeader("Accept", onlyJSON).Do(ctx))
	if err != nil {
		return failed(target{verb: "get", resource: strings.Join(path, "/")}, err)
	}
	return json.Unmarshal(text, into)
}

// Note sets an annotation of an object that is there, or takes it away for "".
// Errors: NotFound, *Forbidden, ….
func (c *Cluster) Note(ctx context.Context, o Object, key, value string) error {
	var v any = value
	if value == "" {
		v = nil
	}
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{key: v}}})
	if err != nil {
		return err
	}
	_, err = answerOf(c.core.Patch(types.MergePatchType).AbsPath(o.path(o.Name())...).SetHeader("Accept", onlyJSON).Param("fieldManager", Manager).Body(body).Do(ctx))
	return failed(o.target("patch"), err)
}
