package controller

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/pullplan"
)

// do writes what the plan says. wait is above 0 if something was left undone
// because it was written too often; the rest is done all the same.
func (k *keeper) do(ctx context.Context, v view, plan pullplan.Plan) (wait time.Duration, err error) {
	var errs []error
	for _, d := range plan.Decisions {
		if pause := k.repairs.pause(v.Namespace.Name, d); pause > 0 {
			wait = sooner(wait, pause)
			continue
		}
		if err := k.write(ctx, v, d); err != nil {
			if stale(err) {
				return wait, err
			}
			errs = append(errs, err)
			if d.Verb == pullplan.ApplySecret {
				break // no list names what is not there
			}
		}
	}
	return wait, errors.Join(errs...)
}

func (k *keeper) write(ctx context.Context, v view, d pullplan.Decision) error {
	ns := v.Namespace.Name
	log := k.o.Log.With("namespace", ns, "object", d.Object, "reason", d.Reason)
	var err error
	switch d.Verb {
	case pullplan.ApplySecret:
		var after *corev1.Secret
		if after, err = k.applySecret(ctx, d.Secret, v.secrets[d.Object].resource, false); err == nil {
			k.recent.put("secret", ns, d.Object, after.ResourceVersion, after)
		}
	case pullplan.DeleteSecret:
		err = k.deleteSecret(ctx, v, d.Object)
		delete(v.secrets, d.Object) // what is applied next is new
	case pullplan.SetList:
		err = k.setList(ctx, v, d)
	}
	if err == nil {
		log.Info(string(d.Verb), "why", d.Message)
	}
	return err
}

// deleteSecret deletes the one that was seen, and no other of its name.
func (k *keeper) deleteSecret(ctx context.Context, v view, name string) error {
	seen := v.secrets[name]
	uid := types.UID(seen.uid)
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: v.Namespace.Name, Name: name}}
	err := k.client.Delete(ctx, s, client.Preconditions{UID: &uid, ResourceVersion: &seen.resource})
	if err == nil {
		k.recent.drop("secret", v.Namespace.Name, name)
		writes.WithLabelValues("secret", "delete").Inc()
	}
	return client.IgnoreNotFound(err)
}

// setList writes the whole list, which is what a patch of it does in any
// case, against the version that was seen: nobody's entry is lost.
func (k *keeper) setList(ctx context.Context, v view, d pullplan.Decision) error {
	type name struct {
		Name string `json:"name"`
	}
	list := make([]name, len(d.List))
	for i, n := range d.List {
		list[i].Name = n
	}
	var added any // null takes the annotation away
	if len(d.Added) > 0 {
		added = strings.Join(d.Added, ",")
	}
	body, err := json.Marshal(map[string]any{
		"metadata":         map[string]any{"resourceVersion": v.accounts[d.Object].resource, "annotations": map[string]any{pullplan.ListAnnotation: added}},
		"imagePullSecrets": list,
	})
	if err != nil {
		return err
	}
	a := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: v.Namespace.Name, Name: d.Object}}
	if err := k.client.Patch(ctx, a, client.RawPatch(types.MergePatchType, body), client.FieldOwner(kube.Manager)); err != nil {
		return err
	}
	writes.WithLabelValues("serviceaccount", "patch").Inc()
	k.recent.put("account", v.Namespace.Name, d.Object, a.ResourceVersion, a)
	return nil
}
