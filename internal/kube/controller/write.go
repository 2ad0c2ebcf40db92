package controller

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/pullplan"
	"fairlead.dev/fairlead/internal/pullsecret"
)

// outcome of a plan.
type outcome struct {
	// problems of policies, in the place of their verdicts.
	problems map[pullplan.ID]pullplan.Verdict
	// wait is above 0 if something was left undone because it was written too
	// often; the rest is done all the same.
	wait time.Duration
	err  error
}

// do writes what the plan says. No list names what is not there: lists wait for
// the secret, and a secret that goes waits for the lists.
func (k *keeper) do(ctx context.Context, v view, plan pullplan.Plan) outcome {
	o := outcome{problems: map[pullplan.ID]pullplan.Verdict{}}
	blocked := map[pullplan.ID]bool{} // policies without their secret
	var errs []error
	for _, d := range plan.Decisions {
		if d.Reason == pullplan.NotWanted && d.Verb == pullplan.DeleteSecret && (o.wait > 0 || len(errs) > 0) {
			continue
		}
		possible := !slices.ContainsFunc(d.Policies, func(id pullplan.ID) bool { return blocked[id] })
		if d.Verb == pullplan.SetList {
			d, possible = d.Without(blocked)
		}
		if !possible {
			continue
		}
		problem := pullplan.Verdict{Reason: reasonContested, Message: contested(v, d)}
		if pause := k.repairs.pause(v.Namespace.Name, d); pause > 0 {
			o.wait = sooner(o.wait, pause)
		} else {
			err := k.write(ctx, v, d)
			if err == nil {
				k.repairs.wrote(v.Namespace.Name, d)
				continue
			}
			k.failures.spend(v.Namespace.Name)
			if stale(err) {
				o.err = err
				return o
			}
			errs = append(errs, err)
			problem.Reason, problem.Message = reasonWriteFailed, clip(err.Error())
		}
		for _, problem.Policy = range d.Policies {
			o.problems[problem.Policy] = problem
			blocked[problem.Policy] = blocked[problem.Policy] || d.Verb != pullplan.SetList
		}
	}
	o.err = errors.Join(errs...)
	return o
}

// contested says who undoes a write, if that is known.
func contested(v view, d pullplan.Decision) string {
	text := "the secret " + d.Object + " is changed by others again and again"
	if d.Verb == pullplan.SetList {
		text = "the list of the service account " + d.Object + " is changed by others again and again"
		if who := v.writers[d.Object]; who != "" && who != kube.Manager {
			text = "the list of the service account " + d.Object + " is written by " + who + " again and again: let it leave imagePullSecrets alone"
		}
	}
	return text + "; it is repaired once in " + repairEvery.String() + " only"
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

// applySecret writes a secret by a server-side apply. version is that of what
// is there; with "" nothing is there, and unless force is set somebody else's
// that came meanwhile is a conflict.
func (k *keeper) applySecret(ctx context.Context, s pullsecret.Secret, version string, force bool) (*corev1.Secret, error) {
	body := s.JSON()
	if version != "" {
		var doc map[string]any
		if err := json.Unmarshal(body, &doc); err != nil {
			return nil, err
		}
		doc["metadata"].(map[string]any)["resourceVersion"] = version
		var err error
		if body, err = json.Marshal(doc); err != nil {
			return nil, err
		}
	}
	options := []client.PatchOption{client.FieldOwner(kube.Manager)}
	if version != "" || force {
		options = append(options, client.ForceOwnership)
	}
	var out corev1.Secret
	out.Namespace, out.Name = s.Namespace, s.Name
	err := k.client.Patch(ctx, &out, client.RawPatch(types.ApplyPatchType, body), options...)
	if err == nil {
		writes.WithLabelValues("secret", "apply").Inc()
	}
	return &out, err
}

// stale says that what was written against had changed meanwhile.
func stale(err error) bool { return apierrors.IsConflict(err) || apierrors.IsNotFound(err) }

// most is the longest text of others that is repeated, in bytes: an event holds
// a thousand.
const most = 500

func clip(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
