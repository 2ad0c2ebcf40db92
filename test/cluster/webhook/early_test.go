package webhook_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/fairlead/test/cluster/harness"
)

// In these tests no node looks after the pods: they stay Pending, and what a
// kubelet would say of them is written by the test.

// workloads makes one of each in a namespace; their pods have the label app.
func (s *site) workloads(namespace string, list ...string) {
	s.t.Helper()
	ctx := context.Background()
	template := func(app string) corev1.PodTemplateSpec {
		p := pod(list)
		return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": app}}, Spec: p.Spec}
	}
	selector := func(app string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
	}
	meta := func(app string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: app} }
	two := int32(2)
	if _, err := s.api.AppsV1().Deployments(namespace).Create(ctx, &appsv1.Deployment{ObjectMeta: meta("web"), Spec: appsv1.DeploymentSpec{Replicas: &two, Selector: selector("web"), Template: template("web")}}, metav1.CreateOptions{}); err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.api.AppsV1().StatefulSets(namespace).Create(ctx, &appsv1.StatefulSet{ObjectMeta: meta("store"), Spec: appsv1.StatefulSetSpec{Selector: selector("store"), Template: template("store")}}, metav1.CreateOptions{}); err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.api.AppsV1().ReplicaSets(namespace).Create(ctx, &appsv1.ReplicaSet{ObjectMeta: meta("alone"), Spec: appsv1.ReplicaSetSpec{Selector: selector("alone"), Template: template("alone")}}, metav1.CreateOptions{}); err != nil {
		s.t.Fatal(err)
	}
	for app, failures := range map[string]int32{"task": 0, "retry": 6} {
		job := template(app)
		job.Spec.RestartPolicy = corev1.RestartPolicyNever
		if _, err := s.api.BatchV1().Jobs(namespace).Create(ctx, &batchv1.Job{ObjectMeta: meta(app), Spec: batchv1.JobSpec{BackoffLimit: &failures, Template: job}}, metav1.CreateOptions{}); err != nil {
			s.t.Fatal(err)
		}
	}
	bare := pod(list)
	bare.GenerateName, bare.Name, bare.Labels = "", "bare", map[string]string{"app": "bare"}
	s.create(namespace, bare, metav1.CreateOptions{})
}

// pods of an app that are not being deleted, once there are so many.
func (s *site) pods(namespace, app string, n int) (out []corev1.Pod) {
	s.t.Helper()
	harness.Until(s.t, fmt.Sprintf("%d pods of %s", n, app), func() error {
		all, err := s.api.CoreV1().Pods(namespace).List(context.Background(), metav1.ListOptions{LabelSelector: "app=" + app})
		if err != nil {
			return err
		}
		out = slices.DeleteFunc(all.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
		if len(out) != n {
			return fmt.Errorf("there are %d", len(out))
		}
		return nil
	})
	return out
}

// stuck says what a kubelet would of pods that cannot pull.
func (s *site) stuck(pods ...corev1.Pod) {
	s.t.Helper()
	for _, p := range pods {
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "app", Image: p.Spec.Containers[0].Image, State: corev1.ContainerState{
			Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "Back-off pulling image"},
		}}}
		if _, err := s.api.CoreV1().Pods(p.Namespace).UpdateStatus(context.Background(), &p, metav1.UpdateOptions{}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// said are our events about a pod.
func (s *site) said(p corev1.Pod) (out []string) {
	s.t.Helper()
	all, err := s.api.CoreV1().Events(p.Namespace).List(context.Background(), metav1.ListOptions{FieldSelector: "involvedObject.uid=" + string(p.UID)})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range all.Items {
		if e.Reason == "PullSecretCameLater" {
			out = append(out, e.Message)
		}
	}
	return out
}

// says waits for an event about a pod.
func (s *site) says(p corev1.Pod, text string) {
	s.t.Helper()
	harness.Until(s.t, "an event of "+p.Name, func() error {
		if said := s.said(p); !slices.ContainsFunc(said, func(m string) bool { return strings.Contains(m, text) }) {
			return fmt.Errorf("%q, want %q", said, text)
		}
		return nil
	})
}

func (s *site) tooEarly(policy, want string) {
	s.t.Helper()
	harness.Until(s.t, "the status counts "+want, func() error {
		if got := s.Kubectl("get", "clusterpullsecret", policy, "-o", "jsonpath={.status.tooEarly}"); got != want {
			return fmt.Errorf("it is %q", got)
		}
		return nil
	})
}

// TestTooEarly: pods that were made before are named, once, with what to type;
// they stay.
func TestTooEarly(t *testing.T) {
	s := newSite(t, harness.Cluster(t))
	s.source("*")
	ns := s.space("early")
	s.workloads(ns)
	own := pod([]string{"mine"}, func(p *corev1.Pod) { p.GenerateName, p.Name, p.Labels = "", "own", map[string]string{"app": "own"} })
	s.create(ns, own, metav1.CreateOptions{})
	foreign := pod(nil, func(p *corev1.Pod) {
		p.GenerateName, p.Name, p.Labels, p.Spec.Containers[0].Image = "", "foreign", map[string]string{"app": "foreign"}, "elsewhere.example/app:v1"
	})
	s.create(ns, foreign, metav1.CreateOptions{})
	web, store, alone, task, retry, bare := s.pods(ns, "web", 2), s.pods(ns, "store", 1)[0], s.pods(ns, "alone", 1)[0], s.pods(ns, "task", 1)[0], s.pods(ns, "retry", 1)[0], s.pods(ns, "bare", 1)[0]
	s.stuck(append(web, store, alone, task, retry, bare, s.pods(ns, "own", 1)[0], s.pods(ns, "foreign", 1)[0])...)

	r := s.start()
	name := s.policy("")
	for _, p := range web {
		s.says(p, "make it anew: kubectl -n "+ns+" rollout restart deployment/web")
	}
	s.says(store, "kubectl -n "+ns+" rollout restart statefulset/store")
	s.says(alone, "kubectl -n "+ns+" delete pod "+alone.Name)
	s.says(task, "kubectl -n "+ns+" delete job task, and create it again")
	s.says(bare, "delete it, and create it again")
	s.tooEarly(name, "7")
	s.stuck(s.pods(ns, "web", 2)...) // the kubelet tries again
	for _, p := range []corev1.Pod{s.pods(ns, "own", 1)[0], s.pods(ns, "foreign", 1)[0]} {
		if said := s.said(p); len(said) > 0 {
			t.Errorf("%s: %q", p.Name, said)
		}
	}
	s.Kubectl("-n", ns, "rollout", "restart", "deployment/web")
	s.Kubectl("-n", ns, "delete", "pod", web[0].Name, web[1].Name, "--ignore-not-found", "--wait=false")
	s.tooEarly(name, "5")
	for _, p := range append(web, store, alone, task, retry, bare) {
		if said := s.said(p); len(said) != 1 {
			t.Errorf("%s: it was said %d times: %q", p.Name, len(said), said)
		}
	}
	if after := s.pods(ns, "store", 1)[0]; after.UID != store.UID {
		t.Error("a pod was deleted though no policy says so")
	}
	if strings.Contains(r.log.String(), `"level":"ERROR"`) {
		t.Error("there are errors in the log")
	}
}

// TestRecreate: with the right, pods with an owner that makes them again are
// deleted once; what came back has the name, and stays whatever happens.
func TestRecreate(t *testing.T) {
	s := newSite(t, harness.Cluster(t))
	s.Kubectl("apply", "-f", deployFile(t, "controller/recreate.yaml"))
	s.source("*")
	ns := s.space("recreate")
	s.workloads(ns)
	web, store, alone, task, retry, bare := s.pods(ns, "web", 2), s.pods(ns, "store", 1)[0], s.pods(ns, "alone", 1)[0], s.pods(ns, "task", 1)[0], s.pods(ns, "retry", 1)[0], s.pods(ns, "bare", 1)[0]
	s.stuck(append(web, store, alone, task, retry, bare)...)
	r := s.start()
	name := s.policy("  recreatePods: Stuck\n")
	fresh := func(app string, n int, before ...corev1.Pod) (after []corev1.Pod) {
		harness.Until(s.t, app+" is made again", func() error {
			after = s.pods(ns, app, n)
			for _, p := range after {
				if slices.ContainsFunc(before, func(b corev1.Pod) bool { return b.UID == p.UID }) || !slices.Contains(names(&p), secret) {
					return fmt.Errorf("%s has the list %q", p.Name, names(&p))
				}
			}
			return nil
		})
		return after
	}
	after := fresh("web", 2, web...)
	after = append(after, fresh("store", 1, store)...)
	after = append(after, fresh("alone", 1, alone)...)
	after = append(after, fresh("retry", 1, retry)...)
	s.says(web[0], "it was deleted, and the ReplicaSet "+web[0].OwnerReferences[0].Name+" makes it again")
	s.says(bare, "nobody would make it again, so it stays")
	s.says(task, "so it stays: kubectl -n "+ns+" delete job task, and create it again") // it has no failure to spare
	s.tooEarly(name, "2")
	s.stuck(after...) // with the name, and for another reason
	s.Kubectl("annotate", "clusterpullsecret", name, "test=again")
	s.Kubectl("patch", "clusterpullsecret", name, "--type=merge", "-p", `{"spec":{"appendToOwnList":true}}`)
	s.condition(name)
	for _, p := range after {
		if now, err := s.api.CoreV1().Pods(ns).Get(context.Background(), p.Name, metav1.GetOptions{}); err != nil || now.UID != p.UID || now.DeletionTimestamp != nil {
			t.Errorf("%s was deleted though it has the name", p.Name)
		}
	}
	if s.pods(ns, "bare", 1)[0].UID != bare.UID || s.pods(ns, "task", 1)[0].UID != task.UID {
		t.Error("a pod that nobody makes again was deleted")
	}
	if n := strings.Count(r.log.String(), `"pod deleted"`); n != 5 {
		t.Errorf("%d pods were deleted, want 5", n)
	}
}

// condition waits until the status is about the policy as it is.
func (s *site) condition(policy string) {
	s.t.Helper()
	harness.Until(s.t, "the status is of today", func() error {
		got := strings.Fields(s.Kubectl("get", "clusterpullsecret", policy, "-o", "jsonpath={.metadata.generation} {.status.observedGeneration}"))
		if len(got) != 2 || got[0] != got[1] {
			return fmt.Errorf("%q", got)
		}
		return nil
	})
}

// TestRecreateForbidden: without the right it is said what is missing, and
// that is all.
func TestRecreateForbidden(t *testing.T) {
	s := newSite(t, harness.Cluster(t))
	s.source("*")
	ns := s.space("forbidden")
	s.workloads(ns)
	web := s.pods(ns, "web", 2)
	s.stuck(web...)
	r := s.start()
	s.policy("  recreatePods: Stuck\n")
	for _, p := range web {
		s.says(p, "there is no right to delete pods (deploy/controller/recreate.yaml); until then: kubectl -n "+ns+" rollout restart deployment/web")
	}
	s.stuck(s.pods(ns, "web", 2)...)
	for _, p := range s.pods(ns, "web", 2) {
		if !slices.ContainsFunc(web, func(b corev1.Pod) bool { return b.UID == p.UID }) || len(s.said(p)) != 1 {
			t.Errorf("%s: %q", p.Name, s.said(p))
		}
	}
	if strings.Contains(r.log.String(), `"level":"ERROR"`) {
		t.Error("there are errors in the log")
	}
}

// TestCameBack: pods that come back without the name, for whatever reason,
// are not deleted again and again.
func TestCameBack(t *testing.T) {
	s := newSite(t, harness.Cluster(t))
	s.Kubectl("apply", "-f", deployFile(t, "controller/recreate.yaml"))
	s.source("*")
	ns := s.space("back")
	harness.Until(s.t, "the account is there", func() error {
		_, err := s.api.CoreV1().ServiceAccounts(ns).Get(context.Background(), "default", metav1.GetOptions{})
		return err
	})
	s.Kubectl("-n", ns, "patch", "serviceaccount", "default", "-p", `{"imagePullSecrets":[{"name":"theirs"}]}`)
	s.workloads(ns, "theirs") // their own list, and the account's as it was
	web := s.pods(ns, "web", 2)
	s.stuck(web...)
	time.Sleep(time.Second) // what comes back in the second of their making counts as one of them
	r := s.start()
	s.policy("  recreatePods: Stuck\n")
	for _, p := range web {
		s.says(p, "it was deleted")
	}
	again := s.pods(ns, "web", 2)
	s.stuck(again...)
	for _, p := range again {
		s.says(p, "it came back without the name, so it stays")
	}
	s.stuck(s.pods(ns, "web", 2)...)
	if n := strings.Count(r.log.String(), `"pod deleted"`); n != 2 {
		t.Errorf("%d pods were deleted, want 2", n)
	}
}
