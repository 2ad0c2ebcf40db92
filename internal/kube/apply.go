package kube

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"fairlead.dev/fairlead/internal/pullplan"
	"fairlead.dev/fairlead/internal/pullsecret"
)

// Result is what a write did.
type Result string

// The results.
const (
	Created   Result = "created"
	Changed   Result = "changed"
	Unchanged Result = "unchanged"
)

// Apply makes a cluster's secret like s, by a server-side apply as Manager:
// what it applied before and does not any more goes, what others keep stays.
// It never deletes: what cannot be changed is an error. force takes fields
// over that other managers have, and a secret from the controller, which is
// the same manager.
//
// Errors: Immutable if its type differs or it is immutable, Foreign if what is
// there is no pull secret, Owned, Quota, Refused, NotFound for the namespace,
// *Forbidden, ….
func (c *Cluster) Apply(ctx context.Context, s pullsecret.Secret, force bool) (Result, error) {
	t := target{verb: "patch", resource: "secrets", namespace: s.Namespace, name: s.Name}
	before, err := c.Secret(ctx, s.Namespace, s.Name)
	switch {
	case err == nil:
		if err := changeable(t, before, s); err != nil {
			return "", err
		}
		if policy := before.Annotations[pullplan.PolicyAnnotation]; policy != "" && !force {
			return "", t.fail(Owned, nil,
				"change the policy, or delete it; to take the secret from it, which ends its renewal: the same command with --force-conflicts",
				"%s is kept by the policy %s", t, clip(policy))
		}
		s.Immutable = s.Immutable || before.Immutable // there is no way back
	case IsMissing(err), refused(err): // who may write need not be allowed to read
	default:
		return "", err
	}
	r := c.core.Patch(types.ApplyPatchType).Namespace(s.Namespace).Resource("secrets").Name(s.Name).Param("fieldManager", Manager).Body(s.JSON())
	if force {
		r.Param("force", "true")
	}
	var after corev1.Secret
	var code int
	res := r.Do(ctx).StatusCode(&code)
	if err := res.Into(&after); err != nil {
		if strings.Contains(err.Error(), "field is immutable") {
			return "", unchangeable(t, err, "it is immutable, or has another type")
		}
		return "", failed(t, err)
	}
	switch {
	case code == http.StatusCreated:
		return Created, nil
	case after.ResourceVersion == before.ResourceVersion:
		return Unchanged, nil
	}
	return Changed, nil
}

// changeable says why the secret that is there cannot become s.
func changeable(t target, before, s pullsecret.Secret) error {
	pulled := before.Type == pullsecret.TypeConfigJSON || before.Type == pullsecret.TypeLegacy
	switch {
	case !pulled:
		return t.fail(Foreign, nil, "another name", "%s is no pull secret, its type is %s: it stays as it is", t, clip(before.Type))
	case before.Type != s.Type:
		return unchangeable(t, nil, "its type is "+before.Type+", and a type never changes")
	case before.Immutable && !maps.EqualFunc(before.Data, s.Data, slices.Equal):
		return unchangeable(t, nil, "it is immutable")
	}
	return nil
}

func unchangeable(t target, err error, why string) error {
	return t.fail(Immutable, err,
		"a new name, such as fairlead secret create "+t.name+"-2 …; then fairlead secret use "+t.name+"-2, and fairlead secret unuse "+t.name,
		"%s cannot be changed: %s", t, why)
}
