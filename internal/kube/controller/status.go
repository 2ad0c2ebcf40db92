package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/pullplan"
)

// The conditions.
const (
	conditionReady       = "Ready"
	conditionCredentials = "CredentialsReady"
)

// reconcilePolicy renews a policy's credentials and writes its status.
func (k *keeper) reconcilePolicy(ctx context.Context, id pullplan.ID) (reconcile.Result, error) {
	p, err := k.policy(ctx, id)
	if apierrors.IsNotFound(err) || err == nil && p.object.GetDeletionTimestamp() != nil { // whoever's finalizer holds it
		k.board.forget(id)
		k.early.forget(id)
		forgetMetrics(id.String())
		return reconcile.Result{}, k.forget(ctx, id, nil)
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	refusal, err := k.refusal(ctx, p)
	if err != nil {
		return reconcile.Result{}, err
	}
	registries, next, failure := k.credentials(ctx, p, refusal)
	status := v1alpha1.PullSecretStatus{
		ObservedGeneration: p.object.GetGeneration(), Registries: registries, Conditions: slices.Clone(p.status.Conditions),
	}
	status.TooEarly = k.early.of(id)
	setCredentials(&status, failure)
	credentialProblem.WithLabelValues(id.String()).Set(gauge(failure != nil))
	missing, err := k.count(ctx, p, &status)
	if err != nil {
		return reconcile.Result{}, err
	}
	switch {
	case missing == 0:
		k.board.whole(id)
	case !k.board.late(id, status.ObservedGeneration, time.Now()):
		return reconcile.Result{RequeueAfter: statusPause}, nil
	default:
		next = sooner(next, statusPause)
	}
	err = k.writeStatus(ctx, p, status)
	if stale(err) {
		next, err = statusPause, nil
	}
	return reconcile.Result{RequeueAfter: next}, err
}

func gauge(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// credentials of all registries, renewed if due, unless they are not to be asked
// for; next is when to look again.
func (k *keeper) credentials(ctx context.Context, p policy, refusal error) (out []v1alpha1.RegistryStatus, next time.Duration, failure error) {
	used, tokens := map[string]bool{}, map[string]held{}
	var errs []error
	if refusal != nil {
		errs, next = append(errs, refusal), lookAgain
	}
	for _, r := range p.spec.Registries {
		one := v1alpha1.RegistryStatus{Host: r.Host}
		if refusal != nil {
			out = append(out, one)
			continue
		}
		var err error
		if r.Fairlead != nil {
			used[stateName(p.ID, r)] = true
			var h held
			var wait time.Duration
			h, wait, err = k.renewed(ctx, p, r)
			next = sooner(next, wait)
			if !h.minted.IsZero() {
				one.Renewed, one.Expires = &metav1.Time{Time: h.minted}, &metav1.Time{Time: h.expires}
				tokens[place(r)] = h
			}
		} else {
			err = k.sourceProblem(ctx, p, r)
		}
		if err != nil {
			one.Problem, one.Reason = err.Error(), string(reasonOf(err))
			errs = append(errs, fmt.Errorf("%s: %w", r.Host, err))
		}
		out = append(out, one)
	}
	showTokens(p.String(), tokens, p.status.ObservedGeneration != p.object.GetGeneration())
	if err := k.forget(ctx, p.ID, used); err != nil {
		k.o.Log.Warn("what is remembered of a policy stays", "policy", p.ID.String(), "error", err)
		next = sooner(next, firstPause)
	}
	return out, next, errors.Join(errs...)
}

// refusal is why no credential is asked for: a PullSecret that has no secret to
// put it into, which anybody makes who may edit the namespace, makes no token.
func (k *keeper) refusal(ctx context.Context, p policy) (refusal, err error) {
	if !slices.Contains(k.o.SecretNames, p.spec.SecretName) {
		return refused(pullplan.NameNotPermitted, "no credential is asked for: no secret of the name %s may be written", p.spec.SecretName), nil
	}
	if p.whole != nil {
		return nil, nil
	}
	v, err := k.look(ctx, p.ID.Namespace)
	if why, is := v.refused[p.ID]; is {
		return refused(why.Reason, "no credential is asked for: %s", why.Message), nil
	}
	return nil, err
}

// place tells accounts of one registry apart.
func place(r v1alpha1.Registry) string {
	if len(r.Namespaces) == 0 {
		return r.Host
	}
	return r.Host + "/" + strings.Join(r.Namespaces, ",")
}

// sourceProblem says why a Secret gives no credential.
func (k *keeper) sourceProblem(ctx context.Context, p policy, r v1alpha1.Registry) error {
	c, err := k.credential(ctx, p.ID, r)
	if err != nil || c.Reason == "" {
		return err
	}
	return &sourceError{c.Reason, c.Problem}
}

func setCredentials(s *v1alpha1.PullSecretStatus, failure error) {
	c := metav1.Condition{Type: conditionCredentials, Status: metav1.ConditionTrue, Reason: string(pullplan.Ready), Message: "all credentials are there", ObservedGeneration: s.ObservedGeneration}
	if failure != nil {
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, string(reasonOf(failure)), clip(strings.ReplaceAll(failure.Error(), "\n", "; "))
	}
	meta.SetStatusCondition(&s.Conditions, c)
}

// reasonOf an error about a credential.
func reasonOf(err error) pullplan.Reason {
	var why *sourceError
	if errors.As(err, &why) {
		return why.reason
	}
	return reasonWriteFailed
}

// count sums up the board; missing are namespaces without a verdict yet.
func (k *keeper) count(ctx context.Context, p policy, s *v1alpha1.PullSecretStatus) (missing int32, err error) {
	plain := p.plain()
	ready := metav1.Condition{Type: conditionReady, Status: metav1.ConditionTrue, Reason: string(pullplan.Ready), ObservedGeneration: s.ObservedGeneration}
	if plain.Unreadable != "" {
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, string(pullplan.BadSelector), plain.Unreadable+": what was made stays as it is"
		meta.SetStatusCondition(&s.Conditions, ready)
		return 0, nil
	}
	var all corev1.NamespaceList
	if err := k.client.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil {
		return 0, err
	}
	var first string
	for i := range all.Items {
		ns := pullplan.Namespace{Name: all.Items[i].Name, Labels: all.Items[i].Labels, Terminating: all.Items[i].DeletionTimestamp != nil}
		if !plain.Chooses(ns) {
			continue
		}
		s.Namespaces++
		n, is := k.board.of(p.ID, ns.Name, s.ObservedGeneration)
		if !is {
			missing++
			continue
		}
		if n.reason == pullplan.Ready {
			s.Ready++
			continue
		}
		s.Failing++
		if first == "" || ns.Name < first { // lists of the cache have no order
			first = ns.Name
			ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, string(n.reason), ns.Name+": "+n.message
		}
	}
	if s.Failing > 1 {
		ready.Message += fmt.Sprintf("; %d other namespaces are failing", s.Failing-1)
	}
	switch {
	case missing > 0 && s.Failing == 0:
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, string(reasonPending), fmt.Sprintf("%d namespaces are yet to be looked at", missing)
	case s.Namespaces == 0:
		ready.Message = "no namespace is chosen"
	case s.Failing == 0:
		ready.Message = fmt.Sprintf("all is as it should be in %d namespaces", s.Namespaces)
	}
	meta.SetStatusCondition(&s.Conditions, ready)
	return missing, nil
}

// writeStatus writes what differs, and tells of a change in an event.
func (k *keeper) writeStatus(ctx context.Context, p policy, s v1alpha1.PullSecretStatus) error {
	id := p.String()
	namespaces.WithLabelValues(id, "ready").Set(float64(s.Ready))
	namespaces.WithLabelValues(id, "failing").Set(float64(s.Failing))
	if equality.Semantic.DeepEqual(trimmed(*p.status), trimmed(s)) {
		return nil
	}
	before := *p.status.DeepCopy()
	*p.status = s
	if err := k.client.Status().Update(ctx, p.object); err != nil {
		return err
	}
	for _, c := range s.Conditions {
		was := meta.FindStatusCondition(before.Conditions, c.Type)
		if was != nil && was.Status == c.Status && was.Reason == c.Reason {
			continue
		}
		kind := corev1.EventTypeNormal
		if c.Status != metav1.ConditionTrue {
			kind = corev1.EventTypeWarning
		}
		k.events.Eventf(p.object, nil, kind, c.Reason, c.Type, "%s", clip(c.Message))
	}
	return nil
}

// trimmed has times in whole seconds, as the API server keeps them.
func trimmed(s v1alpha1.PullSecretStatus) v1alpha1.PullSecretStatus {
	s = *s.DeepCopy()
	for i := range s.Registries {
		for _, t := range []*metav1.Time{s.Registries[i].Renewed, s.Registries[i].Expires} {
			if t != nil {
				t.Time = t.Truncate(time.Second).UTC()
			}
		}
	}
	return s
}
