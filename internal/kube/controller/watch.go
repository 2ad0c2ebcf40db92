package controller

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/pullplan"
)

// workers look after namespaces at the same time; they wait for the API server
// nearly all of it.
const workers = 8

// kinds makes a source of a kind: each event asks for what of gives.
func kinds[O client.Object, R comparable](c cache.Cache, o O, of func(context.Context, O) []R, filter ...predicate.TypedPredicate[O]) source.TypedSource[R] {
	return source.TypedKind(c, o, handler.TypedEnqueueRequestsFromMapFunc[O, R](of), filter...)
}

// specChanges of a policy are all that counts of it; the generation sees no
// status. One that was deleted and made again while a watch was broken comes as
// a change.
func specChanges[O client.Object]() predicate.TypedPredicate[O] {
	return predicate.TypedFuncs[O]{UpdateFunc: func(e event.TypedUpdateEvent[O]) bool {
		return e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() || e.ObjectOld.GetUID() != e.ObjectNew.GetUID()
	}}
}

// watchNamespaces starts the controller whose requests are namespaces.
func (k *keeper) watchNamespaces(mgr manager.Manager) error {
	skip := true
	c, err := controller.NewTyped("namespace", mgr, controller.TypedOptions[string]{
		SkipNameValidation: &skip, MaxConcurrentReconciles: workers,
		RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[string](100*time.Millisecond, 2*time.Minute),
		Reconciler:  reconcile.TypedFunc[string](k.reconcileNamespace),
	})
	if err != nil {
		return err
	}
	all := func(ctx context.Context) (out []string) {
		var list corev1.NamespaceList
		if err := k.client.List(ctx, &list); err != nil {
			return nil // the cache is not filled: each namespace comes by itself
		}
		for i := range list.Items {
			out = append(out, list.Items[i].Name)
		}
		return out
	}
	sources := []source.TypedSource[string]{
		kinds(mgr.GetCache(), &corev1.Namespace{}, func(_ context.Context, o *corev1.Namespace) []string { return []string{o.Name} }),
		source.TypedKind(mgr.GetCache(), &corev1.ServiceAccount{}, k.accountEvents()),
		kinds(mgr.GetCache(), &v1alpha1.ClusterPullSecret{}, func(ctx context.Context, _ *v1alpha1.ClusterPullSecret) []string { return all(ctx) },
			specChanges[*v1alpha1.ClusterPullSecret]()),
		kinds(mgr.GetCache(), &v1alpha1.PullSecret{}, func(_ context.Context, o *v1alpha1.PullSecret) []string { return []string{o.Namespace} },
			specChanges[*v1alpha1.PullSecret]()),
		kinds(k.own, &corev1.Secret{}, func(ctx context.Context, s *corev1.Secret) []string {
			if id, is := stateOf(s); is && id.Namespace != "" {
				return []string{id.Namespace}
			}
			return all(ctx)
		}, k.sources()),
	}
	for _, named := range k.named {
		sources = append(sources, source.TypedKind(named, &corev1.Secret{}, k.secretEvents()))
	}
	return watch(c, sources)
}

func watch[R comparable](c controller.TypedController[R], sources []source.TypedSource[R]) error {
	for _, s := range sources {
		if err := c.Watch(s); err != nil {
			return err
		}
	}
	return nil
}

// sources are the secrets of our namespace that are neither a pull secret of
// ours nor the webhook's: sources and states.
func (k *keeper) sources() predicate.TypedPredicate[*corev1.Secret] {
	return predicate.NewTypedPredicateFuncs(func(s *corev1.Secret) bool {
		_, permitted := k.named[s.Name]
		return s.Name != certificateName && (!permitted || s.Annotations[pullplan.PolicyAnnotation] == "")
	})
}

// secretEvents asks for the namespace; a secret that is deleted is so, whatever
// we wrote a moment before.
func (k *keeper) secretEvents() handler.TypedEventHandler[*corev1.Secret, string] {
	type queue = workqueue.TypedRateLimitingInterface[string]
	return handler.TypedFuncs[*corev1.Secret, string]{
		CreateFunc: func(_ context.Context, e event.TypedCreateEvent[*corev1.Secret], q queue) { q.Add(e.Object.Namespace) },
		UpdateFunc: func(_ context.Context, e event.TypedUpdateEvent[*corev1.Secret], q queue) {
			q.Add(e.ObjectNew.Namespace)
		},
		DeleteFunc: func(_ context.Context, e event.TypedDeleteEvent[*corev1.Secret], q queue) {
			k.recent.drop("secret", e.Object.Namespace, e.Object.Name)
			q.Add(e.Object.Namespace)
		},
	}
}

// accountEvents asks for the namespace of an account that is new before all that
// need no haste: its first pods may come next, and among namespaces that are
// made by the hundred, or in a rotation, it would wait for seconds. One that is
// changed again and again has no such claim.
func (k *keeper) accountEvents() handler.TypedEventHandler[*corev1.ServiceAccount, string] {
	type queue = workqueue.TypedRateLimitingInterface[string]
	next := 1
	urgent := func(o *corev1.ServiceAccount, q queue) {
		if p, is := q.(priorityqueue.PriorityQueue[string]); is {
			p.AddWithOpts(priorityqueue.AddOpts{Priority: &next}, o.Namespace)
			return
		}
		q.Add(o.Namespace)
	}
	return handler.TypedFuncs[*corev1.ServiceAccount, string]{
		CreateFunc: func(_ context.Context, e event.TypedCreateEvent[*corev1.ServiceAccount], q queue) {
			if e.IsInInitialList {
				q.Add(e.Object.Namespace)
				return
			}
			urgent(e.Object, q)
		},
		UpdateFunc: func(_ context.Context, e event.TypedUpdateEvent[*corev1.ServiceAccount], q queue) {
			q.Add(e.ObjectNew.Namespace)
		},
		DeleteFunc: func(_ context.Context, e event.TypedDeleteEvent[*corev1.ServiceAccount], q queue) {
			k.recent.drop("account", e.Object.Namespace, e.Object.Name)
			q.Add(e.Object.Namespace)
		},
	}
}

// watchPolicies starts the controller whose requests are policies.
func (k *keeper) watchPolicies(mgr manager.Manager) error {
	skip := true
	c, err := controller.NewTyped("policy", mgr, controller.TypedOptions[pullplan.ID]{
		SkipNameValidation: &skip, MaxConcurrentReconciles: workers, // a registry that hangs holds up mostAsks of them at most
		RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[pullplan.ID](time.Second, 5*time.Minute),
		Reconciler:  reconcile.TypedFunc[pullplan.ID](k.reconcilePolicy),
	})
	if err != nil {
		return err
	}
	return watch(c, []source.TypedSource[pullplan.ID]{
		source.TypedFunc[pullplan.ID](func(_ context.Context, q workqueue.TypedRateLimitingInterface[pullplan.ID]) error {
			k.board.wakes(q)
			return nil
		}),
		kinds(mgr.GetCache(), &v1alpha1.ClusterPullSecret{}, func(_ context.Context, o *v1alpha1.ClusterPullSecret) []pullplan.ID {
			return []pullplan.ID{clusterPolicy(o).ID}
		}, specChanges[*v1alpha1.ClusterPullSecret]()),
		kinds(mgr.GetCache(), &v1alpha1.PullSecret{}, func(_ context.Context, o *v1alpha1.PullSecret) []pullplan.ID {
			return []pullplan.ID{ownPolicy(o).ID}
		}, specChanges[*v1alpha1.PullSecret]()),
		kinds(k.own, &corev1.Secret{}, k.concerned, k.sources()),
	})
}

// concerned are the policies that a secret of our namespace may matter to: the
// one that a state was made for, which may be gone, else all that are.
func (k *keeper) concerned(ctx context.Context, s *corev1.Secret) (out []pullplan.ID) {
	if id, is := stateOf(s); is {
		return []pullplan.ID{id}
	}
	all, err := k.policies(ctx, "")
	if err != nil {
		return out // the cache is not filled: each policy comes by itself
	}
	for _, p := range all {
		out = append(out, p.ID)
	}
	return out
}

// watchPods starts the controller whose requests are namespaces where pods
// wait for images.
func (k *keeper) watchPods(ctx context.Context, mgr manager.Manager) error {
	if err := k.podCache(ctx, mgr); err != nil || k.early.pods == nil {
		return err
	}
	skip := true
	c, err := controller.NewTyped("pods", mgr, controller.TypedOptions[string]{
		SkipNameValidation: &skip,
		RateLimiter:        workqueue.NewTypedItemExponentialFailureRateLimiter[string](time.Second, 5*time.Minute),
		Reconciler:         reconcile.TypedFunc[string](k.reconcilePods),
	})
	if err != nil {
		return err
	}
	waiting := func(ctx context.Context) (out []string) {
		var all corev1.PodList
		if err := k.early.pods.List(ctx, &all); err != nil {
			return nil // the cache is not filled: each pod comes by itself
		}
		for i := range all.Items {
			if p := &all.Items[i]; len(waitsFor(p)) > 0 && !slices.Contains(out, p.Namespace) {
				out = append(out, p.Namespace)
			}
		}
		return out
	}
	sources := []source.TypedSource[string]{
		kinds(k.early.pods, &corev1.Pod{}, func(_ context.Context, o *corev1.Pod) []string {
			if len(waitsFor(o)) == 0 {
				return nil
			}
			return []string{o.Namespace}
		}),
		kinds(mgr.GetCache(), &corev1.ServiceAccount{}, func(_ context.Context, o *corev1.ServiceAccount) []string { return []string{o.Namespace} }),
		kinds(mgr.GetCache(), &v1alpha1.ClusterPullSecret{}, func(ctx context.Context, _ *v1alpha1.ClusterPullSecret) []string { return waiting(ctx) },
			specChanges[*v1alpha1.ClusterPullSecret]()),
		kinds(mgr.GetCache(), &v1alpha1.PullSecret{}, func(_ context.Context, o *v1alpha1.PullSecret) []string { return []string{o.Namespace} },
			specChanges[*v1alpha1.PullSecret]()),
	}
	for _, named := range k.named {
		sources = append(sources, kinds(named, &corev1.Secret{}, func(_ context.Context, o *corev1.Secret) []string { return []string{o.Namespace} }))
	}
	return watch(c, sources)
}
