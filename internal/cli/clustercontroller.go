package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"fairlead.dev/fairlead/deploy"
	"fairlead.dev/fairlead/internal/kube"
)

// clusterController is the controller that attach installed.
type clusterController struct {
	Namespace string `json:"namespace"`
	Image     string `json:"image"`
	// Replicas that there are to be, and Ready ones.
	Replicas int `json:"replicas"`
	Ready    int `json:"ready"`
	// Problem is what stands in the way of the others, as far as it is seen.
	Problem  string          `json:"problem,omitempty"`
	Policies []clusterPolicy `json:"policies"`
	// Drift is what differs from what attach made.
	Drift []string `json:"drift"`
}

type clusterPolicy struct {
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
	Namespaces int    `json:"namespaces"`
	Failing    int    `json:"failing"`
	Ready      bool   `json:"ready"`
	// Problem is why it is not ready.
	Problem string `json:"problem,omitempty"`
}

// controllerOf looks at what attach installed by the name.
func controllerOf(ctx context.Context, k *kube.Cluster, name string) (*clusterController, error) {
	out := &clusterController{Namespace: deploy.Namespace, Policies: []clusterPolicy{}, Drift: []string{}}
	// The webhook and the right to recreate pods may have been left out.
	all, err := files(deploy.Options{})
	if err != nil {
		return nil, err
	}
	for _, o := range append(all, policyObject()) {
		there, err := k.Find(ctx, o)
		switch {
		case kube.IsMissing(err):
			out.Drift = append(out.Drift, o.String()+" is missing")
		case err != nil:
			return nil, err
		case there.Label(clusterLabel) != name && o.Kind() != "Namespace":
			out.Drift = append(out.Drift, o.String()+" is not attach's")
		case o.Kind() == "Deployment":
			if list := there.In("spec", "template", "spec").Items("containers"); len(list) > 0 {
				out.Image, _ = list[0]["image"].(string)
			}
			r, err := k.RolloutOf(ctx, o)
			if err != nil {
				return nil, err
			}
			out.Replicas, out.Ready, out.Problem = r.Want, r.Ready, r.Problem
		}
	}
	for _, kind := range []kube.Object{policyObject(), object(policyVersion, "PullSecret", "", "all")} {
		list, err := k.All(ctx, kind)
		if kube.IsMissing(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, o := range list {
			p := clusterPolicy{Kind: o.Kind(), Namespace: o.Namespace(), Name: o.Name()}
			var s struct{ Namespaces, Failing int }
			if err := o.In("status").Into(&s); err != nil {
				return nil, err
			}
			p.Namespaces, p.Failing = s.Namespaces, s.Failing
			if p.Ready, p.Problem = kube.Ready(o); p.Ready {
				p.Problem = ""
			}
			out.Policies = append(out.Policies, p)
		}
	}
	return out, nil
}

func (c *clusterController) text(w io.Writer, e env) {
	fmt.Fprintf(w, "The controller in %s: %d of %s ready.\n", c.Namespace, c.Ready, count(c.Replicas, "replica"))
	fmt.Fprintf(w, "Its image: %s\n", shown(c.Image))
	if c.Problem != "" {
		fmt.Fprintf(w, "What stands in its way: %s\n", shown(c.Problem))
	}
	if len(c.Drift) > 0 {
		fmt.Fprintf(w, "What differs from what attach made: %s. The same attach repairs it.\n", strings.Join(c.Drift, "; "))
	}
	fmt.Fprintln(w)
	lines := [][]string{{"POLICY", "NAMESPACES", "FAILING", "READY", "WHY NOT"}}
	for _, p := range c.Policies {
		name := p.Kind + "/" + p.Name
		if p.Namespace != "" {
			name = p.Kind + "/" + p.Namespace + "/" + p.Name
		}
		ready, why := "no", shown(p.Problem)
		if p.Ready {
			ready, why = "yes", "-"
		}
		lines = append(lines, []string{name, strconv.Itoa(p.Namespaces), strconv.Itoa(p.Failing), ready, why})
	}
	columns(w, lines, e.coloured())
}
