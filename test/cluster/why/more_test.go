package why_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead.dev/fairlead/test/cluster/harness"
)

// begin is a scene with a server of its own.
func begin(t *testing.T) *scene {
	t.Helper()
	c := harness.Node(t)
	s := harness.StartFairlead(t)
	s.Account(t, "acme", "acme-web")
	at := &scene{t: t, c: c, ns: c.Namespace(t), s: s}
	at.image = harness.Operator(s).Push(t, "acme-web/app:v1", c.App(t, t.Name()))
	return at
}

// TestOrder: a credential that fails before the one that pulls costs every
// pull a failed sign-in, and is said although the pod runs.
func TestOrder(t *testing.T) {
	t.Parallel()
	s := begin(t)
	l := s.login()
	s.config("pull", fmt.Sprintf(`{"auths":{%q:{"auth":%q},%q:{"auth":%q}}}`, l.Host+"/acme-web/", auth("token", "wrong"), l.Host, auth(l.User, l.Password)))
	s.ns.Apply(deployment("app", s.image, "pull"))
	s.ns.Kubectl("rollout", "status", "deployment/app", "--timeout=90s")
	file := filepath.Join(t.TempDir(), "app.yaml")
	if err := os.WriteFile(file, []byte(deployment("app", s.image, "pull")), 0o600); err != nil {
		t.Fatal(err)
	}
	v := s.why(0, "-f", file).Reports[0].Verdicts[0]
	if notes := strings.Join(v.Notes, "\n"); !strings.Contains(notes, "wrong-order") || !strings.Contains(notes, "/acme-web/") {
		t.Errorf("the notes are %q", notes)
	}
}

func deployment(name, image string, secrets ...string) string {
	list := ""
	for _, s := range secrets {
		list += "{name: " + s + "},"
	}
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      hostNetwork: true
      terminationGracePeriodSeconds: 1
      imagePullSecrets: [%[3]s]
      containers: [{name: app, image: %[2]q}]
`, name, image, list)
}

// TestOldVersion: what clusters refuse is said before what registries do.
func TestOldVersion(t *testing.T) {
	t.Parallel()
	s := begin(t)
	file := filepath.Join(t.TempDir(), "app.yaml")
	text := strings.Replace(deployment("app", s.image, "pull"), "apps/v1", "extensions/v1beta1", 1)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := s.ns.Run("", "kubectl", "apply", "-f", file); r.Code == 0 {
		t.Error("the cluster takes extensions/v1beta1")
	}
	s.judged(s.why(1, "-f", file).Reports[0].Verdicts[0], "old-api-version", "")
}

// TestOwners: a workload leads to its failing pods, and to what is restarted.
func TestOwners(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.ns.PullSecret("pull", s.login())
	s.ns.Apply(deployment("app", s.image))
	job := `apiVersion: batch/v1
kind: Job
metadata: {name: job}
spec:
  template:
    spec: {hostNetwork: true, restartPolicy: Never, containers: [{name: app, image: "` + s.image + `"}]}
`
	s.ns.Apply(job)
	s.ns.Apply(strings.NewReplacer("Deployment", "StatefulSet", "name: app}\nspec:", "name: set}\nspec:\n  serviceName: set", "app: app", "app: set").Replace(deployment("app", s.image)))
	pod := s.podOf("app=app")
	s.stuck(pod)
	s.stuck("set-0")
	s.stuck(s.podOf("job-name=job"))
	for _, target := range []string{"deployment/app", "deploy/app", "statefulset/set", "job/job", pod, "pods/" + pod} {
		r := s.why(1, target)
		s.judged(r.Reports[0].Verdicts[0], "secret-not-referenced", "")
		if !strings.HasPrefix(r.Reports[0].Pod, s.ns.Name+"/") {
			t.Errorf("%s: the pod is %q", target, r.Reports[0].Pod)
		}
	}
	v := s.why(1, pod).Reports[0].Verdicts[0]
	s.paste(v)
	s.ns.Kubectl("rollout", "status", "deployment/app", "--timeout=90s")
	s.why(0, "deployment/app")
}

// podOf waits for a pod with a label.
func (s *scene) podOf(label string) string {
	s.t.Helper()
	for range 100 {
		if name := s.ns.Kubectl("get", "pods", "-l", label, "-o", "jsonpath={.items[0:1].metadata.name}"); name != "" {
			return name
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.t.Fatalf("no pod has the label %s", label)
	return ""
}

// TestContainers: init and ephemeral containers and image volumes are told
// apart, and those that run are left alone.
func TestContainers(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.ns.PullSecret("pull", s.login())
	missing := strings.TrimSuffix(s.image, "v1") + "none"
	s.ns.Apply(`apiVersion: v1
kind: Pod
metadata: {name: init}
spec:
  hostNetwork: true
  imagePullSecrets: [{name: pull}]
  initContainers: [{name: first, image: "` + missing + `"}]
  containers: [{name: app, image: "` + s.image + `"}]
`)
	s.stuck("init")
	r := s.why(1, "pod/init")
	if v := r.Reports[0].Verdicts; len(v) != 2 || v[0].Container != "first" || v[0].Cause != "not-found" || v[1].Cause != "" {
		t.Errorf("verdicts %+v", v)
	}
	s.why(0, "pod/init", "--container", "app")

	s.ns.Apply(harness.Pod("app", s.image, "pull"))
	s.ns.Running("app")
	s.ns.Kubectl("patch", "pod", "app", "--subresource=ephemeralcontainers", "-p", `{"spec":{"ephemeralContainers":[{"name":"probe","image":"`+missing+`"}]}}`)
	s.ns.Event("app", "Failed to pull image")
	v := s.why(1, "pod/app").Reports[0].Verdicts
	i := slices.IndexFunc(v, func(v verdict) bool { return v.Container == "probe" })
	if i < 0 || v[i].Cause != "not-found" || v[0].Cause != "" {
		t.Errorf("verdicts %+v", v)
	}

	s.ns.Apply(`apiVersion: v1
kind: Pod
metadata: {name: volume}
spec:
  hostNetwork: true
  imagePullSecrets: [{name: pull}]
  containers: [{name: app, image: "` + s.image + `", volumeMounts: [{name: data, mountPath: /data}]}]
  volumes: [{name: data, image: {reference: "` + missing + `"}}]
`)
	s.ns.Event("volume", "not found")
	v = s.why(1, "pod/volume").Reports[0].Verdicts
	if i := slices.IndexFunc(v, func(v verdict) bool { return v.Container == "data" }); i < 0 || v[i].Cause != "not-found" {
		t.Errorf("verdicts %+v", v)
	}
}

// TestWatch: --watch ends when the pod runs.
func TestWatch(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.fails(s.image, "late")
	done := make(chan harness.Result, 1)
	go func() { done <- s.ns.Run("", harness.FairleadBinary(), "why", "pod/app", "--watch") }()
	time.Sleep(2 * time.Second)
	s.ns.PullSecret("late", s.login())
	r := <-done
	if r.Code != 0 || !strings.Contains(r.Stdout, `names the pull secret "late"`) || !strings.Contains(r.Stdout, "would pull now") && !strings.Contains(r.Stdout, "was pulled") {
		t.Errorf("exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
}

// TestLittleRights: who may read pods alone is told what could not be seen,
// with the verb and the resource.
func TestLittleRights(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.fails(s.image, "pull")
	u := s.ns.User(`- {apiGroups: [""], resources: [pods, events], verbs: [get, list]}`)
	r := u.Run("", harness.FairleadBinary(), "why", "pod/app")
	if r.Code == 0 || !strings.Contains(r.Stdout, "not get secrets in the namespace "+s.ns.Name) {
		t.Errorf("exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	none := s.ns.User(`[]`)
	r = none.Run("", harness.FairleadBinary(), "why", "pod/app")
	if r.Code != 2 || !strings.Contains(r.Stderr, "not get pods in the namespace "+s.ns.Name) || !strings.Contains(r.Stderr, "kubectl create role") {
		t.Errorf("exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	if r := s.ns.Run("", harness.FairleadBinary(), "why", "pod/none"); r.Code != 2 || !strings.Contains(r.Stderr, "none") {
		t.Errorf("exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
}

// TestSpeed: beside the registry's own time, why takes 300 ms at most. The
// median of five, with slack for a busy machine.
func TestSpeed(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.ns.PullSecret("pull", s.login())
	s.fails(strings.TrimSuffix(s.image, "v1")+"v9", "pull")
	var took []time.Duration
	for range 5 {
		start := time.Now()
		s.why(1, "pod/app")
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	t.Logf("why pod/app with the registry's time, five runs: %v", took)
	const promised, slack = 300 * time.Millisecond, 5
	if took[2] > slack*promised {
		t.Errorf("the median is %v, promised are %v", took[2], promised)
	}
}

// TestPlugin: kubectl fairlead is the same program.
func TestPlugin(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.fails(s.image)
	bin := t.TempDir()
	if err := os.Symlink(harness.FairleadBinary(), filepath.Join(bin, "kubectl-fairlead")); err != nil {
		t.Fatal(err)
	}
	r := s.ns.Run("", "sh", "-c", `PATH="`+bin+`:$PATH" kubectl fairlead why pod/app -o json`)
	var out report
	if err := json.Unmarshal([]byte(r.Stdout), &out); err != nil || r.Code != 1 || out.Reports[0].Verdicts[0].Cause != "no-credentials" {
		t.Errorf("exit code %d: %v\n%s%s", r.Code, err, r.Stdout, r.Stderr)
	}
}
