package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/fairlead/internal/diagnosis"
)

// Kind is a kind of workload: deployment, ….
type Kind string

// The kinds that have pods, and Pod itself.
const (
	Pod                   Kind = "pod"
	Deployment            Kind = "deployment"
	ReplicaSet            Kind = "replicaset"
	StatefulSet           Kind = "statefulset"
	DaemonSet             Kind = "daemonset"
	Job                   Kind = "job"
	CronJob               Kind = "cronjob"
	ReplicationController Kind = "replicationcontroller"
)

// kindNames are those that kubectl takes beside the kind and its plural.
var kindNames = map[string]Kind{
	"po": Pod, "deploy": Deployment, "rs": ReplicaSet, "sts": StatefulSet, "ds": DaemonSet, "cj": CronJob, "rc": ReplicationController,
}

// Kinds are all of them.
func Kinds() []Kind {
	return []Kind{Pod, Deployment, ReplicaSet, StatefulSet, DaemonSet, Job, CronJob, ReplicationController}
}

// ParseKind reads a kind as kubectl does: pod, pods, po, deployments.apps.
func ParseKind(text string) (Kind, error) {
	name, _, _ := strings.Cut(strings.ToLower(text), ".")
	if k, ok := kindNames[name]; ok {
		return k, nil
	}
	if k := Kind(strings.TrimSuffix(name, "s")); slices.Contains(Kinds(), k) {
		return k, nil
	}
	return "", fmt.Errorf("%q is no kind that has pods: write pod, deployment, replicaset, statefulset, daemonset, job, cronjob or replicationcontroller", clip(text))
}

// Names gives the first page of a namespace's pods, or owners of pods, for who
// types one.
func (c *Cluster) Names(ctx context.Context, kind Kind, namespace string) ([]string, error) {
	client := c.core
	switch kind {
	case Deployment, ReplicaSet, StatefulSet, DaemonSet:
		client = c.apps
	case Job, CronJob:
		client = c.batch
	}
	var out []string
	err := pages(ctx, c, client, target{resource: string(kind) + "s", namespace: namespace}, query{names: true}, newNames, func(l *metav1.PartialObjectMetadataList) error {
		for i := range l.Items {
			out = append(out, l.Items[i].Name)
		}
		return errEnough
	})
	return out, err
}

// Workload is what makes pods.
type Workload struct {
	Kind            Kind
	Namespace, Name string
	// Template is the pod that it would make next; its Owner is what is to be
	// restarted.
	Template diagnosis.Pod
	// Pods are its newest that do not all run, at most three, newest first,
	// with their events.
	Pods []diagnosis.Pod
}

// mostPods are told of one workload: they fail alike.
const mostPods = 3

// owned is what all kinds of workloads have.
type owned struct {
	meta     metav1.ObjectMeta
	spec     corev1.PodSpec
	selector *metav1.LabelSelector
}

// Workload reads a workload and its failing pods. blind is what could not be
// read beside it. Errors: NotFound, *Forbidden, Invalid for Pod, ….
func (c *Cluster) Workload(ctx context.Context, kind Kind, namespace, name string) (w Workload, blind []error, err error) {
	o, err := c.owned(ctx, kind, namespace, name)
	if err != nil {
		return Workload{}, nil, err
	}
	w = Workload{Kind: kind, Namespace: namespace, Name: name, Template: templateOf(namespace, name, &o.spec)}
	above, err := c.owner(ctx, namespace, o.meta.OwnerReferences)
	if err != nil {
		blind = append(blind, err)
	}
	w.Template.Owner = string(kind) + "/" + name
	if above != "" {
		w.Template.Owner = above
	}
	if kind == CronJob {
		if o.selector, err = c.lastJob(ctx, namespace, string(o.meta.UID)); err != nil {
			return w, append(blind, err), nil
		}
	}
	if o.selector == nil {
		return w, blind, nil
	}
	pods, err := c.failing(ctx, namespace, o.selector)
	if err != nil {
		return w, append(blind, err), nil
	}
	for i := range pods {
		p, more := c.whole(ctx, &pods[i])
		w.Pods, blind = append(w.Pods, p), append(blind, more...)
	}
	return w, blind, nil
}

func (c *Cluster) owned(ctx context.Context, kind Kind, namespace, name string) (owned, error) {
	t := target{resource: string(kind) + "s", namespace: namespace, name: name}
	switch kind {
	case Deployment:
		var x appsv1.Deployment
		err := get(ctx, c.apps, t, &x)
		return owned{x.ObjectMeta, x.Spec.Template.Spec, x.Spec.Selector}, err
	case ReplicaSet:
		var x appsv1.ReplicaSet
		err := get(ctx, c.apps, t, &x)
		return owned{x.ObjectMeta, x.Spec.Template.Spec, x.Spec.Selector}, err
	case StatefulSet:
		var x appsv1.StatefulSet
		err := get(ctx, c.apps, t, &x)
		return owned{x.ObjectMeta, x.Spec.Template.Spec, x.Spec.Selector}, err
	case DaemonSet:
		var x appsv1.DaemonSet
		err := get(ctx, c.apps, t, &x)
		return owned{x.ObjectMeta, x.Spec.Template.Spec, x.Spec.Selector}, err
	case Job:
		var x batchv1.Job
		err := get(ctx, c.batch, t, &x)
		return owned{x.ObjectMeta, x.Spec.Template.Spec, x.Spec.Selector}, err
	case CronJob:
		var x batchv1.CronJob
		err := get(ctx, c.batch, t, &x)
		return owned{x.ObjectMeta, x.Spec.JobTemplate.Spec.Template.Spec, nil}, err
	case ReplicationController:
		var x corev1.ReplicationController
		err := get(ctx, c.core, t, &x)
		o := owned{meta: x.ObjectMeta, selector: &metav1.LabelSelector{MatchLabels: x.Spec.Selector}}
		if x.Spec.Template != nil {
			o.spec = x.Spec.Template.Spec
		}
		return o, err
	}
	return owned{}, t.fail(Invalid, nil, "name a deployment or another owner of pods", "a %s makes no pods", kind)
}

// lastJob is the selector of the newest job of a cron job; nil if it has none.
func (c *Cluster) lastJob(ctx context.Context, namespace, uid string) (*metav1.LabelSelector, error) {
	var newest *batchv1.Job
	err := pages(ctx, c, c.batch, target{resource: "jobs", namespace: namespace}, query{},
		func() *batchv1.JobList { return &batchv1.JobList{} },
		func(l *batchv1.JobList) error {
			for i := range l.Items {
				j := &l.Items[i]
				own := metav1.GetControllerOfNoCopy(j)
				if own != nil && string(own.UID) == uid && (newest == nil || newest.CreationTimestamp.Before(&j.CreationTimestamp)) {
					newest = j
				}
			}
			return nil
		})
	if err != nil || newest == nil {
		return nil, err
	}
	return newest.Spec.Selector, nil
}

// failing are the newest pods of a selector that do not all run.
func (c *Cluster) failing(ctx context.Context, namespace string, s *metav1.LabelSelector) ([]corev1.Pod, error) {
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return nil, target{resource: "pods", namespace: namespace}.fail(Invalid, err, "mend the selector", "the workload's selector cannot be read: %s", clip(err.Error()))
	}
	var out []corev1.Pod
	err = pages(ctx, c, c.core, target{resource: "pods", namespace: namespace}, query{labels: selector.String()}, newPods, func(l *corev1.PodList) error {
		for i := range l.Items {
			if stuck(&l.Items[i]) {
				out = append(out, l.Items[i])
			}
		}
		slices.SortStableFunc(out, func(a, b corev1.Pod) int { return b.CreationTimestamp.Compare(a.CreationTimestamp.Time) })
		out = out[:min(len(out), mostPods)]
		return nil
	})
	return out, err
}

// stuck says whether some image of a pod was not pulled.
func stuck(pod *corev1.Pod) bool {
	if pod.DeletionTimestamp != nil {
		return false // its successor tells more
	}
	switch pod.Status.Phase {
	case corev1.PodSucceeded:
		return false
	case corev1.PodPending:
		return true
	}
	for _, c := range podOf(pod).Containers {
		if c.Reason != "" && !c.Pulled() {
			return true
		}
	}
	return false
}
