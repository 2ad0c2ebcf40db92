package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"fairlead.dev/fairlead/internal/pullplan"
)

// A pod that was made before its account named the secret waits for ever: its
// list never changes. It is named in an event; if the policy says so it is
// deleted, and its owner makes it again with the list of today.

const (
	reasonCameLater = "PullSecretCameLater"
	// deletions of pods, in all namespaces.
	deletionRate  = 2
	deletionBurst = 10
	// deniedPause is how long a missing right is not asked for again.
	deniedPause = 5 * time.Minute
	// onceIn is how long an owner's pods are not deleted again: whatever keeps
	// the name off those that came back would keep it off the next.
	onceIn = time.Hour
)

// earlyPods remembers what was said and done about pods.
type earlyPods struct {
	pods  cache.Cache   // nil without the right to watch them
	api   client.Reader // not the cache
	limit *rate.Limiter

	mu sync.Mutex
	// counts of pods that came too early, by policy and namespace.
	counts map[pullplan.ID]map[string]int
	// told is what the last event about a pod said, by namespace.
	told map[string]map[types.UID]string
	// owners whose pods were deleted.
	owners map[types.UID]*round
}

// round is what was done to an owner's pods: since when, how many were
// deleted, and when the youngest of that moment was made. Kubernetes tells that
// in whole seconds: what comes back in the same one is deleted once more.
type round struct {
	at       time.Time
	deleted  int
	youngest metav1.Time
}

func newEarlyPods() *earlyPods {
	return &earlyPods{
		limit:  rate.NewLimiter(deletionRate, deletionBurst),
		counts: map[pullplan.ID]map[string]int{}, told: map[string]map[types.UID]string{}, owners: map[types.UID]*round{},
	}
}

// podCache has the pods that do not run yet, if there is a right to them.
func (k *keeper) podCache(ctx context.Context, mgr manager.Manager) error {
	for _, verb := range []string{"list", "watch"} {
		ask := authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: verb, Resource: "pods"},
		}}
		if err := k.client.Create(ctx, &ask); err != nil {
			return fmt.Errorf("may pods be watched: %w", err)
		}
		if !ask.Status.Allowed {
			k.o.Log.Info("there is no right to "+verb+" pods: those that were made before their pull secret are not looked for", "namespace", "all")
			return nil
		}
	}
	c, err := cache.New(mgr.GetConfig(), cache.Options{
		Scheme: k.scheme, Mapper: mgr.GetRESTMapper(), HTTPClient: mgr.GetHTTPClient(), DefaultTransform: slimPod,
		DefaultFieldSelector: fields.OneTermEqualSelector("status.phase", string(corev1.PodPending)),
	})
	if err != nil {
		return err
	}
	k.early.pods, k.early.api = c, mgr.GetAPIReader()
	return mgr.Add(early{c})
}

// slimPod keeps what decisions and events need.
func slimPod(o any) (any, error) {
	p, is := o.(*corev1.Pod)
	if !is {
		return o, nil
	}
	slim := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: p.Namespace, Name: p.Name, UID: p.UID, ResourceVersion: p.ResourceVersion,
		CreationTimestamp: p.CreationTimestamp, DeletionTimestamp: p.DeletionTimestamp, OwnerReferences: p.OwnerReferences,
		Labels: only(p.Labels, hashLabel), Annotations: only(p.Annotations, corev1.MirrorPodAnnotationKey),
	}}
	slim.Spec.ServiceAccountName, slim.Spec.ImagePullSecrets = p.Spec.ServiceAccountName, p.Spec.ImagePullSecrets
	for _, c := range p.Spec.InitContainers {
		slim.Spec.InitContainers = append(slim.Spec.InitContainers, corev1.Container{Name: c.Name, Image: c.Image})
	}
	for _, c := range p.Spec.Containers {
		slim.Spec.Containers = append(slim.Spec.Containers, corev1.Container{Name: c.Name, Image: c.Image})
	}
	for _, v := range p.Spec.Volumes {
		if v.Image != nil {
			slim.Spec.Volumes = append(slim.Spec.Volumes, corev1.Volume{Name: v.Name, VolumeSource: corev1.VolumeSource{Image: v.Image}})
		}
	}
	slim.Status.InitContainerStatuses, slim.Status.ContainerStatuses = slimStates(p.Status.InitContainerStatuses), slimStates(p.Status.ContainerStatuses)
	return slim, nil
}

func slimStates(all []corev1.ContainerStatus) (out []corev1.ContainerStatus) {
	for _, s := range all {
		if w := s.State.Waiting; w != nil && (w.Reason == "ErrImagePull" || w.Reason == "ImagePullBackOff") {
			out = append(out, corev1.ContainerStatus{Name: s.Name, State: corev1.ContainerState{Waiting: w}})
		}
	}
	return out
}

// waitsFor are the images that a pod cannot pull. A container that waits for
// the image of a volume says so in its message.
func waitsFor(p *corev1.Pod) (images []string) {
	if p.DeletionTimestamp != nil || p.Annotations[corev1.MirrorPodAnnotationKey] != "" {
		return nil
	}
	all := func(containers []corev1.Container, states []corev1.ContainerStatus) {
		for _, s := range states {
			for _, c := range containers {
				if c.Name == s.Name {
					images = append(images, c.Image)
				}
			}
			for _, v := range p.Spec.Volumes {
				if v.Image.Reference != "" && strings.Contains(s.State.Waiting.Message, v.Image.Reference) {
					images = append(images, v.Image.Reference)
				}
			}
		}
	}
	all(p.Spec.InitContainers, p.Status.InitContainerStatuses)
	all(p.Spec.Containers, p.Status.ContainerStatuses)
	return images
}

// reconcilePods looks at the pods of a namespace that wait for images.
func (k *keeper) reconcilePods(ctx context.Context, namespace string) (reconcile.Result, error) {
	var all corev1.PodList
	if err := k.early.pods.List(ctx, &all, client.InNamespace(namespace)); err != nil {
		return reconcile.Result{}, err
	}
	if !anyWaits(all.Items) {
		k.countPods(namespace, nil, nil)
		return reconcile.Result{}, nil
	}
	v, err := k.look(ctx, namespace)
	if apierrors.IsNotFound(err) {
		k.countPods(namespace, nil, nil)
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	counts, alive := map[pullplan.ID]int{}, map[types.UID]bool{}
	var wait time.Duration
	var errs []error
	for i := range all.Items {
		pod := &all.Items[i]
		asked := pullplan.Pod{Account: pod.Spec.ServiceAccountName}
		for _, s := range pod.Spec.ImagePullSecrets {
			asked.List = append(asked.List, s.Name)
		}
		why, is := pullplan.CameEarly(v.State, asked, waitsFor(pod))
		if !is {
			continue
		}
		counts[why.Policy]++
		alive[pod.UID] = true
		pause, err := k.earlyPod(ctx, pod, why, all.Items)
		wait, errs = sooner(wait, pause), append(errs, err)
	}
	k.countPods(namespace, counts, alive)
	return reconcile.Result{RequeueAfter: wait}, errors.Join(errs...)
}

func anyWaits(pods []corev1.Pod) bool {
	for i := range pods {
		if len(waitsFor(&pods[i])) > 0 {
			return true
		}
	}
	return false
}

// countPods keeps what the policies' status and the metrics say.
func (k *keeper) countPods(namespace string, counts map[pullplan.ID]int, alive map[types.UID]bool) {
	e := k.early
	e.mu.Lock()
	defer e.mu.Unlock()
	for uid := range e.told[namespace] {
		if !alive[uid] {
			delete(e.told[namespace], uid)
		}
	}
	if len(e.told[namespace]) == 0 {
		delete(e.told, namespace)
	}
	for id, of := range e.counts {
		if of[namespace] > 0 && counts[id] == 0 {
			delete(of, namespace)
			k.board.nudge(id)
		}
	}
	for id, n := range counts {
		if e.counts[id] == nil {
			e.counts[id] = map[string]int{}
		}
		if e.counts[id][namespace] != n {
			e.counts[id][namespace] = n
			k.board.nudge(id)
		}
	}
}

// of is how many pods came before a policy's secret.
func (e *earlyPods) of(id pullplan.ID) (n int32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, one := range e.counts[id] {
		n += int32(min(one, 1<<20))
	}
	podsEarly.WithLabelValues(id.String()).Set(float64(n))
	return n
}

func (e *earlyPods) forget(id pullplan.ID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.counts, id)
}

// earlyPod deletes a pod, if the policy says so and its owner makes it again,
// or says what to do. wait is when to look again.
func (k *keeper) earlyPod(ctx context.Context, pod *corev1.Pod, why pullplan.Early, all []corev1.Pod) (wait time.Duration, err error) {
	owner := metav1.GetControllerOfNoCopy(pod)
	switch {
	case !why.Recreate:
		k.tellPod(pod, why, "make it anew: "+remedy(pod, owner))
		return 0, nil
	}
	round := k.early.roundOf(owner, all, k.o.Now())
	if back, err := k.returns(ctx, pod, owner, round); err != nil || !back {
		if err == nil {
			k.tellPod(pod, why, "nobody would make it again, so it stays: "+remedy(pod, owner))
		}
		return 0, err
	}
	if round.deleted > 0 && round.youngest.Before(&pod.CreationTimestamp) {
		k.tellPod(pod, why, "it came back without the name, so it stays: does its owner have a list of its own, or does something take the name off?")
		return 0, nil
	}
	booking := k.early.limit.Reserve()
	if wait := booking.Delay(); wait > 0 {
		booking.Cancel()
		return wait, nil
	}
	err = k.client.Delete(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}}, client.Preconditions{UID: &pod.UID, ResourceVersion: &pod.ResourceVersion})
	switch {
	case apierrors.IsForbidden(err):
		refusal := "there is no right to delete pods (deploy/controller/recreate.yaml)"
		if !strings.Contains(err.Error(), "cannot delete resource") { // the authorizer's words
			refusal = "it may not be deleted: " + clip(err.Error())
		}
		k.tellPod(pod, why, "the policy says recreatePods: Stuck, and "+refusal+"; until then: "+remedy(pod, owner))
		return deniedPause, nil
	case stale(err):
		return time.Second, nil // its state changed: what of it counts may be the same
	case err != nil:
		return 0, err
	}
	round.deleted++
	podsRecreated.WithLabelValues(why.Policy.String()).Inc()
	k.o.Log.Info("pod deleted", "namespace", pod.Namespace, "pod", pod.Name, "owner", owner.Kind+"/"+owner.Name, "reason", reasonCameLater, "policy", why.Policy.String())
	k.tellPod(pod, why, "it was deleted, and the "+owner.Kind+" "+owner.Name+" makes it again")
	return 0, nil
}

// tellPod says something about a pod, once.
func (k *keeper) tellPod(pod *corev1.Pod, why pullplan.Early, what string) {
	e := k.early
	e.mu.Lock()
	told := e.told[pod.Namespace][pod.UID] == what
	if e.told[pod.Namespace] == nil {
		e.told[pod.Namespace] = map[types.UID]string{}
	}
	e.told[pod.Namespace][pod.UID] = what
	e.mu.Unlock()
	if told {
		return
	}
	// What to do comes first if names are so long that the end is cut.
	note := fmt.Sprintf("The pod was made before its service account named the secret of %s, and a pod's list never changes: %s. The account is %s, the secret %s.", why.Policy, what, pod.Spec.ServiceAccountName, why.Secret)
	k.events.Eventf(pod, nil, corev1.EventTypeWarning, reasonCameLater, "Pull", "%s", strings.ToValidUTF8(note[:min(len(note), 1000)], ""))
}

// roundOf gives what was done to an owner's pods; it begins with those that
// are there now, and lasts for an hour. Nobody else has it: one worker looks
// after pods.
func (e *earlyPods) roundOf(owner *metav1.OwnerReference, all []corev1.Pod, now time.Time) *round {
	for uid, r := range e.owners {
		if now.Sub(r.at) >= onceIn {
			delete(e.owners, uid)
		}
	}
	if owner == nil {
		return nil
	}
	r, is := e.owners[owner.UID]
	if !is {
		r = &round{at: now}
		e.owners[owner.UID] = r
	}
	if r.deleted > 0 {
		return r
	}
	for i := range all {
		if o := metav1.GetControllerOfNoCopy(&all[i]); o != nil && o.UID == owner.UID && r.youngest.Before(&all[i].CreationTimestamp) {
			r.youngest = all[i].CreationTimestamp
		}
	}
	return r
}

// returns says that an owner makes a pod again that is deleted.
func (k *keeper) returns(ctx context.Context, pod *corev1.Pod, owner *metav1.OwnerReference, r *round) (bool, error) {
	if owner == nil {
		return false, nil
	}
	group, _, _ := strings.Cut(owner.APIVersion, "/")
	switch group + " " + owner.Kind {
	case "apps ReplicaSet", "apps StatefulSet", "apps DaemonSet", "v1 ReplicationController":
		return true, nil
	case "batch Job":
		return k.bears(ctx, client.ObjectKey{Namespace: pod.Namespace, Name: owner.Name}, r.deleted)
	}
	return false, nil
}

// bears says that a Job survives another deletion: it counts a deleted pod as
// one that failed, and gives up after backoffLimit of them.
func (k *keeper) bears(ctx context.Context, key client.ObjectKey, deleted int) (bool, error) {
	var j batchv1.Job
	err := k.early.api.Get(ctx, key, &j)
	if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil || j.Spec.BackoffLimit == nil || j.Spec.BackoffLimitPerIndex != nil || j.Spec.PodFailurePolicy != nil {
		return false, err
	}
	return int(j.Status.Failed)+deleted < int(*j.Spec.BackoffLimit), nil
}

// hashLabel is what a Deployment adds to the name of a ReplicaSet.
const hashLabel = "pod-template-hash"

// remedy is what to type.
func remedy(pod *corev1.Pod, owner *metav1.OwnerReference) string {
	if owner == nil {
		return "delete it, and create it again"
	}
	name, isDeployment := strings.CutSuffix(owner.Name, "-"+cmp.Or(pod.Labels[hashLabel], "/"))
	switch {
	case owner.Kind == "ReplicaSet" && isDeployment:
		return "kubectl -n " + pod.Namespace + " rollout restart deployment/" + name
	case owner.Kind == "StatefulSet" || owner.Kind == "DaemonSet":
		return "kubectl -n " + pod.Namespace + " rollout restart " + strings.ToLower(owner.Kind) + "/" + owner.Name
	}
	if owner.Kind == "Job" {
		return "kubectl -n " + pod.Namespace + " delete job " + owner.Name + ", and create it again"
	}
	return "kubectl -n " + pod.Namespace + " delete pod " + pod.Name
}
