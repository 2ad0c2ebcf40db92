package kube

import (
	"cmp"
	"context"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/fairlead/internal/diagnosis"
)

// Pod reads a pod, with its events and the workload that owns it. blind is
// what could not be read beside it. Errors: NotFound, *Forbidden, ….
func (c *Cluster) Pod(ctx context.Context, namespace, name string) (p diagnosis.Pod, blind []error, err error) {
	var pod corev1.Pod
	if err := get(ctx, c.core, target{resource: "pods", namespace: namespace, name: name}, &pod); err != nil {
		return diagnosis.Pod{}, nil, err
	}
	p, blind = c.whole(ctx, &pod)
	return p, blind, nil
}

// whole adds to a pod what stands elsewhere.
func (c *Cluster) whole(ctx context.Context, pod *corev1.Pod) (p diagnosis.Pod, blind []error) {
	p = podOf(pod)
	var err error
	if p.Owner, err = c.owner(ctx, pod.Namespace, pod.OwnerReferences); err != nil {
		blind = append(blind, err)
	}
	if p.Events, err = c.events(ctx, pod); err != nil {
		blind = append(blind, err)
	}
	return p, blind
}

func newPods() *corev1.PodList { return &corev1.PodList{} }

func podOf(pod *corev1.Pod) diagnosis.Pod {
	p := templateOf(pod.Namespace, pod.Name, &pod.Spec)
	p.Template = false
	p.UID, p.Created = string(pod.UID), pod.CreationTimestamp.Time
	states := map[diagnosis.ContainerKind][]corev1.ContainerStatus{
		diagnosis.Init:      pod.Status.InitContainerStatuses,
		diagnosis.Normal:    pod.Status.ContainerStatuses,
		diagnosis.Ephemeral: pod.Status.EphemeralContainerStatuses,
	}
	for i := range p.Containers {
		for _, s := range states[p.Containers[i].Kind] {
			if s.Name == p.Containers[i].Name {
				addState(&p.Containers[i], s)
			}
		}
	}
	mounted(&p)
	return p
}

// mounted: where all containers have what they pull, they have the images of
// the volumes, too. These have no state of their own.
func mounted(p *diagnosis.Pod) {
	for _, c := range p.Containers {
		if c.Kind == diagnosis.Normal && !c.Pulled() {
			return
		}
	}
	for i := range p.Containers {
		if p.Containers[i].Kind == diagnosis.ImageVolume {
			p.Containers[i].Running = true
		}
	}
}

// addState adds what the kubelet says of a container. One that ended, or has
// an image's id, was pulled.
func addState(c *diagnosis.Container, s corev1.ContainerStatus) {
	c.Running = s.State.Running != nil || s.State.Terminated != nil || s.LastTerminationState.Terminated != nil || s.ImageID != ""
	if w := s.State.Waiting; w != nil {
		c.Reason, c.Message = w.Reason, w.Message
	}
}

// templateOf is a pod that may not exist yet.
func templateOf(namespace, name string, s *corev1.PodSpec) diagnosis.Pod {
	p := diagnosis.Pod{
		Namespace: namespace, Name: name, AccountName: cmp.Or(s.ServiceAccountName, "default"), PullSecrets: refNames(s.ImagePullSecrets),
		NodeName: s.NodeName, NodeSelector: s.NodeSelector, Template: true,
	}
	add := func(kind diagnosis.ContainerKind, name, image string, policy corev1.PullPolicy) {
		p.Containers = append(p.Containers, diagnosis.Container{Kind: kind, Name: name, Image: image, PullPolicy: string(policy)})
	}
	for _, c := range s.InitContainers {
		add(diagnosis.Init, c.Name, c.Image, c.ImagePullPolicy)
	}
	for _, c := range s.Containers {
		add(diagnosis.Normal, c.Name, c.Image, c.ImagePullPolicy)
	}
	for _, c := range s.EphemeralContainers {
		add(diagnosis.Ephemeral, c.Name, c.Image, c.ImagePullPolicy)
	}
	for _, v := range s.Volumes {
		if v.Image != nil {
			add(diagnosis.ImageVolume, v.Name, v.Image.Reference, v.Image.PullPolicy)
		}
	}
	return p
}

// owner is the workload that is restarted to make a new pod, such as
// deployment/web; "" if nobody made this one. What may not be read ends the
// chain, with an error beside what is known.
func (c *Cluster) owner(ctx context.Context, namespace string, refs []metav1.OwnerReference) (string, error) {
	ref := metav1.GetControllerOfNoCopy(&metav1.ObjectMeta{OwnerReferences: refs})
	if ref == nil {
		return "", nil
	}
	own := strings.ToLower(ref.Kind) + "/" + ref.Name
	var next []metav1.OwnerReference
	var err error
	switch ref.Kind {
	case "ReplicaSet":
		var rs appsv1.ReplicaSet
		err = get(ctx, c.apps, target{resource: "replicasets", namespace: namespace, name: ref.Name}, &rs)
		next = rs.OwnerReferences
	case "Job":
		var j batchv1.Job
		err = get(ctx, c.batch, target{resource: "jobs", namespace: namespace, name: ref.Name}, &j)
		next = j.OwnerReferences
	}
	if IsMissing(err) || err == nil && metav1.GetControllerOfNoCopy(&metav1.ObjectMeta{OwnerReferences: next}) == nil {
		return own, nil
	}
	if err != nil {
		return own, err
	}
	return c.owner(ctx, namespace, next)
}

// events are those about a pod, newest last.
func (c *Cluster) events(ctx context.Context, pod *corev1.Pod) ([]diagnosis.Event, error) {
	var out []diagnosis.Event
	err := pages(ctx, c, c.core, target{resource: "events", namespace: pod.Namespace}, query{fields: "involvedObject.uid=" + string(pod.UID)},
		func() *corev1.EventList { return &corev1.EventList{} },
		func(l *corev1.EventList) error {
			for i := range l.Items {
				out = append(out, eventOf(&l.Items[i]))
			}
			return errEnough // a page is more than one pod's
		})
	slices.SortStableFunc(out, func(a, b diagnosis.Event) int { return a.Last.Compare(b.Last) })
	return out, err
}

// eventOf reads both shapes: with a count of its own, and with a series.
func eventOf(e *corev1.Event) diagnosis.Event {
	out := diagnosis.Event{
		Reason: e.Reason, Message: e.Message, Component: cmp.Or(e.Source.Component, e.ReportingController),
		FieldPath: e.InvolvedObject.FieldPath, Count: int(e.Count), Last: e.LastTimestamp.Time,
	}
	if e.Series != nil {
		out.Count, out.Last = int(e.Series.Count), e.Series.LastObservedTime.Time
	}
	if out.Last.IsZero() {
		out.Last = e.EventTime.Time
	}
	if out.Last.IsZero() {
		out.Last = e.CreationTimestamp.Time
	}
	out.Count = max(out.Count, 1)
	return out
}

// Node reads a node. Errors: NotFound, *Forbidden, ….
func (c *Cluster) Node(ctx context.Context, name string) (diagnosis.Node, error) {
	var n corev1.Node
	if err := get(ctx, c.core, target{resource: "nodes", name: name}, &n); err != nil {
		return diagnosis.Node{}, err
	}
	i := n.Status.NodeInfo
	out := diagnosis.Node{
		Name: n.Name, OS: i.OperatingSystem, Architecture: i.Architecture, KubeletVersion: i.KubeletVersion, Runtime: i.ContainerRuntimeVersion,
		Images: map[string]bool{}, Labels: n.Labels,
	}
	for _, image := range n.Status.Images {
		for _, name := range image.Names {
			out.Images[name] = true
		}
	}
	return out, nil
}
