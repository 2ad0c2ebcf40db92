package secret_test

import (
	"slices"
	"strings"
	"testing"

	"fairlead.dev/fairlead/internal/diagnosis"
	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/test/cluster/harness"
)

// template is a pod that a workload makes: every place that names an image.
const template = `    metadata: {labels: {app: APP}}
    spec:
      serviceAccountName: default
      hostNetwork: true
      RESTART
      terminationGracePeriodSeconds: 1
      imagePullSecrets: [{name: regcred}]
      nodeSelector: {kubernetes.io/os: linux}
      initContainers: [{name: init, image: "127.0.0.1:1/team/init:v1", imagePullPolicy: IfNotPresent}]
      containers: [{name: app, image: "127.0.0.1:1/team/app:v1", imagePullPolicy: Always}]
`

func workload(kind, api, name, more string) string {
	body := strings.NewReplacer("APP", name, "RESTART", "restartPolicy: "+map[bool]string{true: "Never", false: "Always"}[kind == "Job" || kind == "CronJob"]).Replace(template)
	if kind == "CronJob" {
		return "apiVersion: " + api + "\nkind: " + kind + "\nmetadata: {name: " + name + "}\nspec:\n" + more + "  jobTemplate:\n    spec:\n      template:\n" + strings.ReplaceAll("    "+strings.TrimSuffix(body, "\n"), "\n", "\n    ") + "\n"
	}
	return "apiVersion: " + api + "\nkind: " + kind + "\nmetadata: {name: " + name + "}\nspec:\n" + more + "  template:\n" + body
}

// TestWorkload: the template, the failing pods with their events, and what is
// to be restarted.
func TestWorkload(t *testing.T) {
	t.Parallel()
	c := harness.Node(t)
	ns := c.Namespace(t)
	k := open(t, ns.Kubeconfig)
	ns.Apply(workload("Deployment", "apps/v1", "web", "  selector: {matchLabels: {app: web}}\n"))
	ns.Apply(workload("StatefulSet", "apps/v1", "db", "  serviceName: db\n  selector: {matchLabels: {app: db}}\n"))
	ns.Apply(workload("CronJob", "batch/v1", "nightly", "  schedule: \"0 0 1 1 *\"\n"))
	ns.Kubectl("create", "job", "--from=cronjob/nightly", "nightly-1")
	kinds := map[string]string{"deploy": "web", "sts": "db", "cronjobs": "nightly"}
	pods := map[string]string{}
	for text, name := range kinds {
		pods[text] = podOf(t, ns, name)
		ns.Waiting(pods[text], "ErrImagePull", "ImagePullBackOff")
	}
	for text, name := range kinds {
		kind, err := kube.ParseKind(text)
		if err != nil {
			t.Fatal(err)
		}
		w, blind, err := k.Workload(t.Context(), kind, ns.Name, name)
		if err != nil || len(blind) > 0 || len(w.Pods) != 1 {
			t.Fatalf("%s/%s: %d pods, %v, %v", kind, name, len(w.Pods), blind, err)
		}
		owner := string(kind) + "/" + name
		if w.Template.Owner != owner || !w.Template.Template || w.Pods[0].Owner != owner || w.Pods[0].Template || w.Pods[0].Name != pods[text] {
			t.Errorf("%s: template of %s, pod %s of %s", owner, w.Template.Owner, w.Pods[0].Name, w.Pods[0].Owner)
		}
		for _, p := range []diagnosis.Pod{w.Template, w.Pods[0]} {
			if !slices.Equal(p.PullSecrets, []string{"regcred"}) || p.AccountName != "default" || p.NodeSelector["kubernetes.io/os"] != "linux" || len(p.Containers) != 2 {
				t.Errorf("%s: %+v", owner, p)
			}
		}
		seen := w.Pods[0].Containers
		if i := seen[0]; i.Kind != diagnosis.Init || i.Name != "init" || i.Image != "127.0.0.1:1/team/init:v1" || i.PullPolicy != "IfNotPresent" || i.Running || !strings.Contains(i.Reason, "Pull") {
			t.Errorf("%s: init container %+v", owner, i)
		}
		if i := seen[1]; i.Kind != diagnosis.Normal || i.PullPolicy != "Always" || i.Running {
			t.Errorf("%s: container %+v", owner, i)
		}
		if !slices.ContainsFunc(w.Pods[0].Events, func(e diagnosis.Event) bool {
			return e.Component == "kubelet" && e.FieldPath == "spec.initContainers{init}" && strings.Contains(e.Message, "connection refused") && !e.Last.IsZero() && e.Count > 0
		}) {
			t.Errorf("%s: events %+v", owner, w.Pods[0].Events)
		}
		if w.Pods[0].NodeName == "" || w.Pods[0].UID == "" || w.Pods[0].Created.IsZero() {
			t.Errorf("%s: pod %+v", owner, w.Pods[0])
		}
		if text == "deploy" {
			node, err := k.Node(t.Context(), w.Pods[0].NodeName)
			if err != nil || node.OS != "linux" || node.Architecture == "" || !strings.HasPrefix(node.KubeletVersion, "v1.") || !strings.HasPrefix(node.Runtime, "containerd://") || len(node.Images) == 0 {
				t.Errorf("the node is %+v, %v", node, err)
			}
		}
	}
}

// TestPodAlone: one that nobody made, without rights on its events.
func TestPodAlone(t *testing.T) {
	t.Parallel()
	c := harness.Cluster(t)
	ns := c.Namespace(t)
	ns.Apply(`apiVersion: v1
kind: Pod
metadata: {name: alone}
spec:
  nodeName: nowhere
  containers: [{name: app, image: "registry.example/app:v1"}]
  volumes: [{name: model, image: {reference: "registry.example/model:v1", pullPolicy: Always}}]
`)
	user := ns.User("- apiGroups: [\"\"]\n  resources: [pods]\n  verbs: [get]")
	p, blind, err := open(t, user.Kubeconfig).Pod(t.Context(), ns.Name, "alone")
	if err != nil || p.Owner != "" || len(p.Containers) != 2 || p.Containers[1] != (diagnosis.Container{Kind: diagnosis.ImageVolume, Name: "model", Image: "registry.example/model:v1", PullPolicy: "Always"}) {
		t.Errorf("%+v, %v", p, err)
	}
	if len(blind) != 1 || !strings.Contains(blind[0].Error(), "may not list events in the namespace "+ns.Name) {
		t.Errorf("it could not see %v", blind)
	}
	// The cluster of the tests makes no pods of this kind: one with its labels
	// is as good.
	ns.Apply(workload("ReplicationController", "v1", "old", "  replicas: 1\n  selector: {app: old}\n"))
	ns.Kubectl("label", "pod", "alone", "app=old")
	w, blind, err := open(t, ns.Kubeconfig).Workload(t.Context(), kube.ReplicationController, ns.Name, "old")
	if err != nil || len(blind) > 0 || len(w.Pods) != 1 || w.Pods[0].Name != "alone" || w.Template.Owner != "replicationcontroller/old" || len(w.Template.Containers) != 2 {
		t.Errorf("%+v, %v, %v", w, blind, err)
	}
	if _, _, err := open(t, ns.Kubeconfig).Workload(t.Context(), kube.StatefulSet, ns.Name, "absent"); reason(err) != kube.NotFound || err.Error() != "there is no statefulset absent in the namespace "+ns.Name {
		t.Errorf("absent: %v", err)
	}
}

// podOf waits until a workload has a pod.
func podOf(t *testing.T, ns *harness.Namespace, app string) string {
	t.Helper()
	shell := ns.Run("", "sh", "-c", `i=0; while [ $i -lt 300 ]; do p=$(kubectl get pods -l app=`+app+` -o jsonpath='{.items[*].metadata.name}'); if [ -n "$p" ]; then echo "$p"; exit 0; fi; i=$((i+1)); sleep 0.2; done; exit 1`)
	if shell.Code != 0 {
		t.Fatalf("%s has no pod: %s", app, shell.Stderr)
	}
	return strings.Fields(shell.Stdout)[0]
}
