package controller

import (
	"context"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"fairlead.dev/fairlead/internal/pullplan"
	"fairlead.dev/fairlead/internal/pullsecret"
)

// Reasons that only writing finds.
const (
	reasonContested   pullplan.Reason = "Contested"
	reasonWriteFailed pullplan.Reason = "WriteFailed"
)

// view is a namespace as the caches have it, with what a write needs beside.
type view struct {
	pullplan.State
	generations map[pullplan.ID]int64
	secrets     map[string]version
	accounts    map[string]version
	// waits says that a cache has not seen our last write yet.
	waits bool
}

// version is what a write is against.
type version struct{ uid, resource string }

// reconcileNamespace makes one namespace as policies say.
func (k *keeper) reconcileNamespace(ctx context.Context, name string) (reconcile.Result, error) {
	v, err := k.look(ctx, name)
	if apierrors.IsNotFound(err) || err == nil && v.Namespace.Terminating {
		k.board.drop(name)
		k.repairs.drop(name)
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	plan := pullplan.Make(v.State)
	wait, failure := k.do(ctx, v, plan)
	if stale(failure) {
		return reconcile.Result{RequeueAfter: 50 * time.Millisecond}, nil
	}
	if apierrors.HasStatusCause(failure, corev1.NamespaceTerminatingCause) {
		return reconcile.Result{}, nil
	}
	k.tell(v, plan.Verdicts, wait, failure)
	if failure != nil {
		return reconcile.Result{}, failure
	}
	if v.waits {
		wait = sooner(wait, recentTime)
	}
	return reconcile.Result{RequeueAfter: sooner(wait, k.untilExpiry(v))}, nil
}

func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// untilExpiry is when the plan changes by time alone.
func (k *keeper) untilExpiry(v view) (wait time.Duration) {
	for _, p := range v.Policies {
		for _, r := range p.Registries {
			if e := r.Credential.Expires; e.After(v.Now) {
				wait = sooner(wait, e.Sub(v.Now)+time.Second)
			}
		}
	}
	return wait
}

// tell puts the verdicts on the board, where the policies' status is made of.
func (k *keeper) tell(v view, verdicts []pullplan.Verdict, wait time.Duration, failure error) {
	for i := range verdicts {
		switch one := &verdicts[i]; {
		case one.Reason != pullplan.Ready:
		case failure != nil:
			one.Reason, one.Message = reasonWriteFailed, failure.Error()
		case wait > 0:
			one.Reason, one.Message = reasonContested, "somebody changes it again and again: the next repair is in "+wait.Round(time.Second).String()+"; is the secret or the account kept by another tool?"
		}
	}
	k.board.set(v.Namespace.Name, v.generations, verdicts)
}

// look gathers a namespace from the caches.
func (k *keeper) look(ctx context.Context, name string) (view, error) {
	v := view{
		State:       pullplan.State{Now: k.o.Now(), Permitted: k.o.SecretNames},
		generations: map[pullplan.ID]int64{}, secrets: map[string]version{}, accounts: map[string]version{},
	}
	var ns corev1.Namespace
	if err := k.client.Get(ctx, client.ObjectKey{Name: name}, &ns); err != nil {
		return v, err
	}
	v.Namespace = pullplan.Namespace{Name: name, Labels: ns.Labels, Terminating: ns.DeletionTimestamp != nil}
	if v.Namespace.Terminating {
		return v, nil
	}
	policies, err := k.policies(ctx, name)
	if err != nil {
		return v, err
	}
	for _, p := range policies {
		if p.object.GetDeletionTimestamp() != nil {
			continue
		}
		one, err := k.full(ctx, p)
		if err != nil {
			return v, err
		}
		v.Policies = append(v.Policies, one)
		v.generations[p.ID] = p.object.GetGeneration()
	}
	if err := k.lookSecrets(ctx, &v); err != nil {
		return v, err
	}
	return v, k.lookAccounts(ctx, &v)
}

func (k *keeper) lookSecrets(ctx context.Context, v *view) error {
	for _, name := range k.o.SecretNames {
		var s corev1.Secret
		err := k.named[name].Get(ctx, client.ObjectKey{Namespace: v.Namespace.Name, Name: name}, &s)
		if client.IgnoreNotFound(err) != nil {
			return err
		}
		last, waits := k.recent.newer("secret", v.Namespace.Name, name, s.ResourceVersion)
		if waits {
			s, v.waits = *last.(*corev1.Secret), true
		}
		if s.Name == "" {
			continue
		}
		v.secrets[name] = version{string(s.UID), s.ResourceVersion}
		v.Secrets = append(v.Secrets, pullsecret.Secret{
			Namespace: s.Namespace, Name: s.Name, Type: string(s.Type), Data: s.Data, Immutable: s.Immutable != nil && *s.Immutable,
			Labels: s.Labels, Annotations: s.Annotations,
		})
	}
	return nil
}

func (k *keeper) lookAccounts(ctx context.Context, v *view) error {
	var all corev1.ServiceAccountList
	if err := k.client.List(ctx, &all, client.InNamespace(v.Namespace.Name)); err != nil {
		return err
	}
	for i := range all.Items {
		a := &all.Items[i]
		if last, waits := k.recent.newer("account", a.Namespace, a.Name, a.ResourceVersion); waits {
			a, v.waits = last.(*corev1.ServiceAccount), true
		}
		if a.DeletionTimestamp != nil {
			continue
		}
		one := pullplan.Account{Name: a.Name, Labels: a.Labels}
		for _, r := range a.ImagePullSecrets {
			one.List = append(one.List, r.Name)
		}
		if text := a.Annotations[pullplan.ListAnnotation]; text != "" {
			one.Added = strings.Split(text, ",")
		}
		v.accounts[a.Name] = version{string(a.UID), a.ResourceVersion}
		v.Accounts = append(v.Accounts, one)
	}
	return nil
}
