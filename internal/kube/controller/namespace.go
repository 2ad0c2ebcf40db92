package controller

import (
	"context"
	"errors"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"fairlead.dev/fairlead/internal/pullplan"
	"fairlead.dev/fairlead/internal/pullsecret"
)

// stalePause lets the caches see what came in between.
const stalePause = 50 * time.Millisecond

// Reasons that only writing finds.
const (
	reasonContested   pullplan.Reason = "Contested"
	reasonWriteFailed pullplan.Reason = "WriteFailed"
)

// reasonPending: some namespaces have no verdict yet.
const reasonPending pullplan.Reason = "Pending"

// view is a namespace as the caches have it, with what a write needs beside.
type view struct {
	pullplan.State
	generations map[pullplan.ID]int64
	secrets     map[string]version
	accounts    map[string]version
	// writers are those who wrote accounts' lists last, by account.
	writers map[string]string
	// waits says that a cache has not seen our last write yet.
	waits bool
	// policies are those of State, and refused those that need no credential.
	policies []policy
	refused  map[pullplan.ID]pullplan.Verdict
}

// version is what a write is against.
type version struct{ uid, resource string }

// reconcileNamespace makes one namespace as policies say.
func (k *keeper) reconcileNamespace(ctx context.Context, name string) (reconcile.Result, error) {
	v, err := k.look(ctx, name)
	if apierrors.IsNotFound(err) || err == nil && v.Namespace.Terminating {
		k.board.drop(name)
		k.repairs.drop(name)
		k.failures.drop(name)
		k.recent.dropAll(name)
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	plan := pullplan.Make(v.State)
	if pause := k.failures.pause(name); pause > 0 && len(plan.Decisions) > 0 {
		return reconcile.Result{RequeueAfter: pause}, nil
	}
	done := k.do(ctx, v, plan)
	switch {
	case stale(done.err):
		return reconcile.Result{RequeueAfter: stalePause}, nil
	case apierrors.HasStatusCause(done.err, corev1.NamespaceTerminatingCause):
		return reconcile.Result{}, nil // the cache will say so, too
	}
	k.tell(v, plan.Verdicts, done.problems)
	if done.err != nil {
		return reconcile.Result{}, done.err
	}
	wait := sooner(done.wait, k.untilExpiry(v))
	if v.waits {
		wait = sooner(wait, recentTime)
	}
	return reconcile.Result{RequeueAfter: wait}, nil
}

func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// untilExpiry is when the plan changes by time alone, or is looked at all the
// same: a clock may be set, or have stood still.
func (k *keeper) untilExpiry(v view) (wait time.Duration) {
	for _, p := range v.Policies {
		for _, r := range p.Registries {
			if e := r.Credential.Expires; e.After(v.Now) {
				wait = sooner(wait, min(e.Sub(v.Now)+time.Second, lookAgain))
			}
		}
	}
	return wait
}

// tell puts the verdicts on the board, where the policies' status is made of,
// and what is only this namespace's into an event there: whoever works in it
// sees no status of a ClusterPullSecret.
func (k *keeper) tell(v view, verdicts []pullplan.Verdict, problems map[pullplan.ID]pullplan.Verdict) {
	for i := range verdicts {
		if p, is := problems[verdicts[i].Policy]; is && verdicts[i].Reason == pullplan.Ready {
			verdicts[i] = p
		}
	}
	for _, news := range k.board.set(v.Namespace.Name, v.generations, verdicts) {
		switch news.Reason {
		case pullplan.NotOurs, pullplan.Conflict, reasonContested, reasonWriteFailed:
			k.events.Eventf(v.secret(news.Policy), nil, corev1.EventTypeWarning, string(news.Reason), "KeepPullSecret", "%s: %s", news.Policy, clip(news.Message))
		}
	}
}

// secret of a policy in the namespace, whether it is there or not.
func (v view) secret(id pullplan.ID) *corev1.Secret {
	s := &corev1.Secret{}
	s.Namespace = v.Namespace.Name
	for _, p := range v.Policies {
		if p.ID == id {
			s.Name = p.SecretName
		}
	}
	return s
}

// look gathers a namespace from the caches. Credentials are looked up for
// policies that may use them alone: tenants make any number of others.
func (k *keeper) look(ctx context.Context, name string) (view, error) {
	v := view{
		State:       pullplan.State{Now: k.o.Now(), Permitted: k.o.SecretNames},
		generations: map[pullplan.ID]int64{}, secrets: map[string]version{}, accounts: map[string]version{}, writers: map[string]string{},
	}
	var ns corev1.Namespace
	if err := k.client.Get(ctx, client.ObjectKey{Name: name}, &ns); err != nil {
		return v, err
	}
	v.Namespace = pullplan.Namespace{Name: name, Labels: ns.Labels, Terminating: ns.DeletionTimestamp != nil}
	if v.Namespace.Terminating {
		return v, nil
	}
	if err := errors.Join(k.lookPolicies(ctx, &v), k.lookSecrets(ctx, &v), k.lookAccounts(ctx, &v)); err != nil {
		return v, err
	}
	v.refused = pullplan.Refused(v.State)
	for i, p := range v.policies {
		if _, is := v.refused[p.ID]; is {
			continue
		}
		var err error
		if v.Policies[i].Registries, err = k.registries(ctx, p); err != nil {
			return v, err
		}
	}
	return v, nil
}

func (k *keeper) lookPolicies(ctx context.Context, v *view) error {
	policies, err := k.policies(ctx, v.Namespace.Name)
	if err != nil {
		return err
	}
	for _, p := range policies {
		if p.object.GetDeletionTimestamp() == nil {
			v.policies, v.Policies = append(v.policies, p), append(v.Policies, p.plain())
			v.generations[p.ID] = p.object.GetGeneration()
		}
	}
	return nil
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
	if err := k.client.List(ctx, &all, client.InNamespace(v.Namespace.Name), client.UnsafeDisableDeepCopy); err != nil {
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
		v.writers[a.Name] = a.Annotations[writerKey]
		v.Accounts = append(v.Accounts, one)
	}
	return nil
}
