package deploy_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"fairlead.dev/fairlead/deploy"
)

type object struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct{ Name, Namespace string }
}

func objects(t *testing.T, o deploy.Options) [][]byte {
	t.Helper()
	out, err := deploy.Objects(o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func read(t *testing.T, text []byte) (o object) {
	t.Helper()
	if err := yaml.Unmarshal(text, &o); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return o
}

// TestObjects: kinds and the namespace come first, and what may be left out is.
func TestObjects(t *testing.T) {
	t.Parallel()
	kinds := func(o deploy.Options) (out []string) {
		for _, text := range objects(t, o) {
			one := read(t, text)
			if one.APIVersion == "" || one.Kind == "" || one.Metadata.Name == "" {
				t.Errorf("this is no object:\n%s", text)
			}
			out = append(out, one.Kind+" "+one.Metadata.Name)
		}
		return out
	}
	all := kinds(deploy.Options{Webhook: true, Recreate: true})
	if first := []string{"CustomResourceDefinition clusterpullsecrets.fairlead.dev", "CustomResourceDefinition pullsecrets.fairlead.dev", "Namespace " + deploy.Namespace}; !slices.Equal(all[:3], first) {
		t.Errorf("the first are %q", all[:3])
	}
	if last := all[len(all)-1]; last != "Deployment "+deploy.Controller {
		t.Errorf("the last is %s", last)
	}
	// Nobody has the right to change the webhook's configuration before there is
	// the rule of what may change.
	rule, right := slices.Index(all, "ValidatingAdmissionPolicyBinding fairlead-controller-webhook"), slices.Index(all, "ClusterRoleBinding fairlead-controller-webhook")
	if rule < 0 || right < rule {
		t.Errorf("the rule about the webhook is object %d, the right %d", rule, right)
	}
	bare := kinds(deploy.Options{})
	for _, optional := range []string{"MutatingWebhookConfiguration fairlead-pull-secrets", "ClusterRole fairlead-controller-recreate"} {
		if !slices.Contains(all, optional) || slices.Contains(bare, optional) {
			t.Errorf("%s: asked for %t, not asked for %t", optional, slices.Contains(all, optional), slices.Contains(bare, optional))
		}
	}
}

// TestKustomization: kustomize builds of the folder what Objects gives, and no
// file of it lies there unused.
func TestKustomization(t *testing.T) {
	t.Parallel()
	var k struct{ Resources []string }
	text, err := os.ReadFile("controller/kustomization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &k); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, o := range objects(t, deploy.Options{Webhook: true}) {
		want = append(want, strings.TrimSpace(string(o)))
	}
	var got []string
	for _, file := range k.Resources {
		files := []string{filepath.Join("controller", file)}
		if file == "../crds" {
			if files, err = filepath.Glob("crds/*.yaml"); err != nil {
				t.Fatal(err)
			}
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for part := range strings.SplitSeq(string(text), "\n---\n") {
				got = append(got, strings.TrimSpace(strings.TrimPrefix(part, "---\n")))
			}
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("Objects (-) and kustomization.yaml (+) differ:\n%s", d)
	}
	_ = filepath.WalkDir("controller", func(path string, _ fs.DirEntry, err error) error {
		name := filepath.Base(path)
		if err == nil && strings.HasSuffix(name, ".yaml") && name != "kustomization.yaml" && name != "recreate.yaml" && !slices.Contains(k.Resources, name) {
			t.Errorf("%s is in no list", path)
		}
		return err
	})
}
