package why_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"fairlead.dev/fairlead/test/cluster/harness"
)

// report is what fairlead why -o json prints, as far as tests look at it.
type report struct {
	Reports []struct {
		Pod      string
		Verdicts []verdict
		Blind    []string
	}
}

type verdict struct {
	Container, Image, Cause, Sentence string
	Also, Evidence, Notes             []string
	Fix                               []struct {
		Say string
		Run []string
	}
}

// scene is a failing pull on the real cluster.
type scene struct {
	t  *testing.T
	c  *harness.Kubernetes
	ns *harness.Namespace
	s  *harness.Fairlead
	// image is a private one of the account acme, nobody else's in the cluster.
	image string
	// args are further ones for fairlead why.
	args []string
}

// password reads a token of acme that lasts.
func (s *scene) login() harness.Login {
	return harness.Holder(s.s, s.s.Mint(s.t, harness.Minting{Account: "acme"}).Value)
}

func auth(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

func entry(key, user, password string) string {
	return fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, key, auth(user, password))
}

// secret applies a secret of any shape.
func (s *scene) secret(name, kind, key, value string, more ...string) {
	s.t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		s.t.Fatal(err)
	}
	s.ns.Apply(fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s}\ntype: %s\n%s\nstringData: {%q: %s}\n", name, kind, strings.Join(more, "\n"), key, text))
}

// config applies a secret of the right type.
func (s *scene) config(name, value string, more ...string) {
	s.t.Helper()
	s.secret(name, "kubernetes.io/dockerconfigjson", ".dockerconfigjson", value, more...)
}

// fails applies a pod named app and waits until its image is not pulled.
func (s *scene) fails(image string, secrets ...string) {
	s.t.Helper()
	s.ns.Apply(harness.Pod("app", image, secrets...))
	s.stuck("app")
}

// stuck waits for a container that waits for more than its being made.
func (s *scene) stuck(pod string) {
	s.t.Helper()
	s.ns.Stuck(pod)
}

// why runs the command and gives its one report.
func (s *scene) why(want int, args ...string) report {
	s.t.Helper()
	r := s.ns.Run("", harness.FairleadBinary(), append(append([]string{"why"}, args...), "-o", "json")...)
	if r.Code != want {
		screen := s.ns.Run("", harness.FairleadBinary(), append([]string{"why"}, args...)...)
		s.t.Fatalf("exit code %d, want %d\n%s\n%s", r.Code, want, screen.Stdout, r.Stderr)
	}
	if strings.Contains(r.Stdout+r.Stderr, "flt_") {
		s.t.Fatalf("a token is printed: %s", r.Stdout)
	}
	var out report
	if err := json.Unmarshal([]byte(r.Stdout), &out); err != nil || len(out.Reports) == 0 || len(out.Reports[0].Verdicts) == 0 {
		s.t.Fatalf("no report: %v: %s%s", err, r.Stdout, r.Stderr)
	}
	return out
}

// paste runs the lines of a verdict's fix, as a person would.
func (s *scene) paste(v verdict) {
	s.t.Helper()
	ran := false
	for _, step := range v.Fix {
		for _, line := range step.Run {
			ran = true
			r := s.ns.Run("", "sh", "-c", `PATH="`+filepath.Dir(harness.FairleadBinary())+`:$PATH"; `+line)
			if r.Code != 0 {
				s.t.Fatalf("%s: exit code %d\n%s%s", line, r.Code, r.Stdout, r.Stderr)
			}
		}
	}
	if !ran {
		s.t.Fatal("the fix has nothing to paste")
	}
}

// signIn lets the commands of the fix speak for acme.
func (s *scene) signIn() {
	s.t.Helper()
	token := s.s.Mint(s.t, harness.Minting{Account: "acme", Access: "admin"})
	file := filepath.Join(s.t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token.Value), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if r := s.ns.Run("", harness.FairleadBinary(), "login", s.s.URL, "--token-file", file); r.Code != 0 {
		s.t.Fatalf("login: %s", r.Stderr)
	}
}

// judged checks a cause, and what it says.
func (s *scene) judged(v verdict, cause, also string) {
	s.t.Helper()
	if v.Cause != cause || also != "" && !slices.Contains(v.Also, also) {
		s.t.Errorf("cause %q beside %q, want %q beside %q: %s\n%s", v.Cause, v.Also, cause, also, v.Sentence, strings.Join(v.Evidence, "\n"))
	}
}

// use lets the default service account name a secret.
func (s *scene) use(secret string) {
	s.t.Helper()
	s.ns.Kubectl("patch", "serviceaccount", "default", "-p", `{"imagePullSecrets":[{"name":"`+secret+`"}]}`)
}

// pushFor pushes an index with an image of another architecture alone.
func (s *scene) pushFor(architecture string) string {
	s.t.Helper()
	image := s.c.App(s.t, s.t.Name()+architecture)
	config, err := image.ConfigFile()
	if err != nil {
		s.t.Fatal(err)
	}
	config = config.DeepCopy()
	config.Architecture = architecture
	if image, err = mutate.ConfigFile(image, config); err != nil {
		s.t.Fatal(err)
	}
	index := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), mutate.IndexAddendum{
		Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture}},
	})
	return harness.Operator(s.s).PushIndex(s.t, "acme-web/"+architecture+":v1", index)
}
