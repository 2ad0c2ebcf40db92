package kube

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"fairlead.dev/fairlead/internal/pullsecret"
)

// These are answers that a real API server gives at its worst moments only;
// the rest is tested against one, in test/cluster/secret.

// behind opens a cluster whose API server is h.
func behind(t *testing.T, h http.HandlerFunc, change ...func(*Options)) *Cluster {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	o := Options{Kubeconfig: kubeconfig(t, s.URL), Version: "test"}
	for _, c := range change {
		c(&o)
	}
	c, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func kubeconfig(t *testing.T, server string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: %q}}]
users: [{name: jo, user: {}}, {name: exec, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: no-such-program, interactiveMode: Never}}}]
contexts: [{name: test, context: {cluster: test, user: jo, namespace: shop}}, {name: exec, context: {cluster: test, user: exec}}]
current-context: test
`, server)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}

func status(code int, reason, message string, more ...map[string]any) map[string]any {
	s := map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message}
	for _, m := range more {
		for k, v := range m {
			s[k] = v
		}
	}
	return s
}

// TestExpiredList: a list whose snapshot is gone goes on where it was, and
// gives nothing twice; without a place to go on, it is an error.
func TestExpiredList(t *testing.T) {
	t.Parallel()
	names := func(next string, names ...string) map[string]any {
		items := []any{}
		for _, n := range names {
			items = append(items, map[string]any{"metadata": map[string]string{"name": n}})
		}
		return map[string]any{"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": map[string]string{"continue": next}, "items": items}
	}
	for _, place := range []string{"behind b", ""} {
		c := behind(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("limit") != "2" {
				t.Errorf("asked %s", r.URL)
			}
			switch r.URL.Query().Get("continue") {
			case "":
				answer(w, http.StatusOK, names("two", "a", "b"))
			case "two":
				answer(w, http.StatusGone, status(http.StatusGone, "Expired", "too old", map[string]any{"metadata": map[string]string{"continue": place}}))
			case "behind b":
				answer(w, http.StatusOK, names("", "c"))
			}
		}, func(o *Options) { o.Page = 2 })
		var got []string
		var failure error
		for n, err := range c.Namespaces(t.Context(), "") {
			if failure = err; err == nil {
				got = append(got, n.Name)
			}
		}
		switch {
		case place != "" && (failure != nil || !slices.Equal(got, []string{"a", "b", "c"})):
			t.Errorf("%v, %v", got, failure)
		case place == "" && failure == nil:
			t.Errorf("%v without an error", got)
		}
	}
}

// TestAnswers: each kind of refusal is told, with what to do.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		code   int
		status map[string]any
		reason Reason
		text   string
	}{
		"unauthorised": {401, status(401, "Unauthorized", "Unauthorized"), Unauthorized, "does not take the kubeconfig's credentials"},
		"busy":         {429, status(429, "TooManyRequests", "slow down"), Busy, "too busy"},
		"webhook":      {400, status(400, "", `admission webhook "policy.example" denied the request: no`), Refused, `admission webhook "policy.example" denied`},
		"webhook 403":  {403, status(403, "Forbidden", `admission webhook "policy.example" denied the request: no`), Refused, `denied the request`},
		"webhook away": {500, status(500, "InternalError", `Internal error occurred: failed calling webhook "policy.example"`), Refused, "failed calling webhook"},
		"ending":       {403, status(403, "Forbidden", "unable to create new content", map[string]any{"details": map[string]any{"causes": []map[string]string{{"reason": "NamespaceTerminating"}}}}), Refused, "is being deleted"},
		"timeout":      {504, status(504, "Timeout", "took too long"), Timeout, "took too long"},
		"invalid":      {422, status(422, "Invalid", "metadata.labels: Invalid value"), Invalid, "does not take"},
		"broken":       {500, status(500, "InternalError", "etcd is on fire"), Other, "etcd is on fire"},
	} {
		k := behind(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, c.code, c.status) })
		_, err := k.Secret(t.Context(), "shop", "regcred")
		var e *Error
		if !errors.As(err, &e) || e.Reason != c.reason || !strings.Contains(e.Error(), c.text) || e.Hint() == "" {
			t.Errorf("%s: %#v", name, err)
		}
	}
	// A refusal without the authorizer's words is what was asked for.
	k := behind(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 403, status(403, "Forbidden", "Forbidden")) })
	_, err := k.Secret(t.Context(), "shop", "regcred")
	var f *Forbidden
	if !errors.As(err, &f) || *f != (Forbidden{Verb: "get", Resource: "secrets", Namespace: "shop"}) {
		t.Errorf("%#v", err)
	}
}

// TestConflictsEnd: somebody who writes again and again is not waited out for
// ever, and a context ends it at once.
func TestConflictsEnd(t *testing.T) {
	t.Parallel()
	var patches atomic.Int64
	k := behind(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			answer(w, 200, map[string]any{"kind": "ServiceAccount", "apiVersion": "v1", "metadata": map[string]string{"name": "default", "namespace": "shop", "resourceVersion": "7"}})
			return
		}
		var body struct {
			Metadata         struct{ ResourceVersion string }
			ImagePullSecrets []struct{ Name string }
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.Metadata.ResourceVersion != "7" || len(body.ImagePullSecrets) != 1 {
			t.Errorf("sent %+v, %v", body, err)
		}
		patches.Add(1)
		answer(w, 409, status(409, "Conflict", "the object has been modified"))
	})
	begun := time.Now()
	_, err := k.Use(t.Context(), "shop", "default", "regcred")
	var e *Error
	if !errors.As(err, &e) || e.Reason != Conflict || patches.Load() != tries || time.Since(begun) > 2*tries*longest {
		t.Errorf("%v after %d tries in %s", err, patches.Load(), time.Since(begun))
	}
}

// TestNoAnswer: what stands in the way is told, soon.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	slow := behind(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}, func(o *Options) { o.Timeout = 200 * time.Millisecond })
	text := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }))
	t.Cleanup(text.Close)
	untrusted := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(untrusted.Close)
	for name, c := range map[string]struct {
		options Options
		open    *Cluster
		reason  Reason
	}{
		"refused":   {Options{Kubeconfig: kubeconfig(t, "https://127.0.0.1:1")}, nil, Unreachable},
		"no host":   {Options{Kubeconfig: kubeconfig(t, "https://no-such-host.invalid")}, nil, Unreachable},
		"untrusted": {Options{Kubeconfig: kubeconfig(t, untrusted.URL)}, nil, Untrusted},
		"exec":      {Options{Kubeconfig: kubeconfig(t, untrusted.URL), Context: "exec"}, nil, BadConfig},
		"no API":    {Options{Kubeconfig: kubeconfig(t, text.URL)}, nil, Unreachable},
		"slow":      {Options{}, slow, Timeout},
	} {
		k, err := c.open, error(nil)
		if k == nil {
			k, err = Open(c.options)
		}
		if err == nil {
			_, err = k.Secret(t.Context(), "shop", "regcred")
		}
		var e *Error
		if !errors.As(err, &e) || e.Reason != c.reason || e.Hint() == "" {
			t.Errorf("%s: %v (%#v)", name, err, e)
		}
	}
}

// TestOpen: kubectl's rules, and what is said where nothing is named.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	a := kubeconfig(t, "https://a.example")
	second := filepath.Join(dir, "second")
	if err := os.WriteFile(second, []byte("clusters: [{name: b, cluster: {server: https://b.example}}]\ncontexts: [{name: b, context: {cluster: b, user: jo}}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(dir, "broken")
	if err := os.WriteFile(broken, []byte("clusters: {"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", a+string(os.PathListSeparator)+second)
	for name, c := range map[string]struct {
		o                 Options
		server, namespace string
		reason            Reason
	}{
		"current":       {Options{}, "https://a.example", "shop", ""},
		"namespace":     {Options{Namespace: "other"}, "https://a.example", "other", ""},
		"second file":   {Options{Context: "b"}, "https://b.example", "default", ""},
		"cluster":       {Options{Cluster: "b"}, "https://b.example", "shop", ""},
		"server":        {Options{Server: "https://c.example"}, "https://c.example", "shop", ""},
		"explicit":      {Options{Kubeconfig: a}, "https://a.example", "shop", ""},
		"no context":    {Options{Context: "x"}, "", "", NoContext},
		"no file":       {Options{Kubeconfig: filepath.Join(dir, "absent")}, "", "", NoConfig},
		"no cluster":    {Options{Cluster: "x"}, "", "", BadConfig},
		"no user":       {Options{User: "x"}, "", "", BadConfig},
		"broken":        {Options{Kubeconfig: broken}, "", "", BadConfig},
		"nothing in it": {Options{Kubeconfig: os.DevNull}, "", "", NoConfig},
	} {
		k, err := Open(c.o)
		var e *Error
		switch {
		case c.reason == "" && (err != nil || k.Server() != c.server || k.Namespace() != c.namespace):
			t.Errorf("%s: %+v, %v", name, k, err)
		case c.reason != "" && (!errors.As(err, &e) || e.Reason != c.reason || e.Hint() == ""):
			t.Errorf("%s: %v (%#v)", name, err, e)
		}
	}
	if got := Named(Options{}, "context"); !slices.Equal(got, []string{"b", "exec", "test"}) {
		t.Errorf("contexts %v", got)
	}
}

func TestParseKind(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Kind{
		"pod": Pod, "pods": Pod, "po": Pod, "Deployment": Deployment, "deployments.apps": Deployment, "deploy": Deployment,
		"rs": ReplicaSet, "sts": StatefulSet, "ds": DaemonSet, "daemonsets": DaemonSet, "job": Job, "jobs.batch": Job, "cj": CronJob, "rc": ReplicationController,
	} {
		if got, err := ParseKind(text); err != nil || got != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "service", "podss", "s"} {
		if got, err := ParseKind(text); err == nil {
			t.Errorf("%q: %s", text, got)
		}
	}
}

// TestNoSecretInErrors: what a secret holds is in no error about it.
func TestNoSecretInErrors(t *testing.T) {
	t.Parallel()
	k := behind(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			answer(w, 404, status(404, "NotFound", "not found"))
			return
		}
		answer(w, 500, status(500, "InternalError", "broken"))
	})
	s := pullsecret.Secret{Namespace: "shop", Name: "regcred", Type: pullsecret.TypeConfigJSON, Data: map[string][]byte{pullsecret.KeyConfigJSON: []byte(`{"auths":{"a":{"password":"s3cr3t"}}}`)}}
	_, err := k.Apply(t.Context(), s, false)
	if text := fmt.Sprintf("%v %+v %s", err, s, s); err == nil || strings.Contains(text, "s3cr3t") || strings.Contains(text, "czNjcjN0") {
		t.Error(text)
	}
}

// TestPodOf: what the kubelet says of a container that ran and cannot be
// pulled again, and of the images of volumes.
func TestPodOf(t *testing.T) {
	t.Parallel()
	waits := func(reason string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}
	}
	ended := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1}}
	for _, c := range []struct {
		name   string
		status corev1.ContainerStatus
		pulled bool
	}{
		{"running", corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}, ImageID: "x"}, true},
		{"ended", corev1.ContainerStatus{State: ended, ImageID: "x"}, true},
		{"crashes", corev1.ContainerStatus{State: waits("CrashLoopBackOff"), LastTerminationState: ended, ImageID: "x"}, true},
		{"first pull", corev1.ContainerStatus{State: waits("ErrImagePull")}, false},
		// imagePullPolicy Always, and the credential ended meanwhile.
		{"restarts", corev1.ContainerStatus{State: waits("ImagePullBackOff"), LastTerminationState: ended, ImageID: "x"}, false},
		{"restarts, with a malformed secret", corev1.ContainerStatus{State: waits("illegal base64 data at input byte 4"), LastTerminationState: ended, ImageID: "x"}, false},
	} {
		c.status.Name = "app"
		pod := &corev1.Pod{
			Spec: corev1.PodSpec{
				Containers: []corev1.Container{{Name: "app", Image: "a.io/b"}},
				Volumes:    []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: "a.io/c"}}}},
			},
			Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{c.status}},
		}
		p := podOf(pod)
		if app, data := p.Containers[0].Pulled(), p.Containers[1].Pulled(); app != c.pulled || data != c.pulled {
			t.Errorf("%s: pulled %t and %t, want %t", c.name, app, data, c.pulled)
		}
		if stuck(pod) == c.pulled {
			t.Errorf("%s: stuck %t", c.name, !c.pulled)
		}
	}
}

// TestActsAsInAPod: --as and --as-group hold for a pod's own cluster, too, which
// comes without them.
func TestActsAsInAPod(t *testing.T) {
	t.Parallel()
	own := func() (*rest.Config, error) {
		return &rest.Config{Host: "https://10.96.0.1", BearerToken: "the pod's own"}, nil
	}
	for _, o := range []Options{{}, {As: "jo"}, {As: "jo", AsGroup: []string{"dev", "ops"}}} {
		cfg, err := configOf(own, o)
		if err != nil || cfg.Impersonate.UserName != o.As || !slices.Equal(cfg.Impersonate.Groups, o.AsGroup) {
			t.Errorf("%+v: %+v, %v", o, cfg.Impersonate, err)
		}
	}
}
