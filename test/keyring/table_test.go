package keyring_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/kubernetes/pkg/credentialprovider"
	"k8s.io/kubernetes/pkg/credentialprovider/secrets"

	"fairlead.dev/fairlead/keyring"
)

// keys is a secret with these keys; the user of each is its key.
func keys(name string, keys ...string) keyring.Source {
	var members []string
	for _, k := range keys {
		members = append(members, fmt.Sprintf(`%s:{"username":%s,"password":"p"}`, quote(k), quote(k)))
	}
	return secret(name, `{"auths":{`+strings.Join(members, ",")+`}}`)
}

func secret(name, text string) keyring.Source {
	return keyring.Source{Name: name, Type: keyring.TypeDockerConfigJSON, Data: map[string][]byte{keyring.KeyDockerConfigJSON: []byte(text)}}
}

// TestTable: what is known of the kubelet, said once, and asked of both.
func TestTable(t *testing.T) {
	for _, c := range []struct {
		sources []keyring.Source
		image   string
		want    string // the users, in order
	}{
		{[]keyring.Source{keys("a", "reg.io", "*.io/team/app", "reg.io/te", "reg.io/team/app/")}, "reg.io/team/app", "reg.io/te reg.io *.io/team/app"},
		{[]keyring.Source{keys("a", "reg.io", "quay.io"), keys("b", "reg.io/team")}, "reg.io/team/app:v1", "reg.io/team reg.io"},
		{[]keyring.Source{keys("a", "https://reg.io"), keys("b", "reg.io/v1/")}, "reg.io/team/app", "https://reg.io reg.io/v1/"},
		{[]keyring.Source{keys("a", "reg.io:443", "Reg.io", "reg.io/Team", "*.reg.io", "reg.io:*", "reg.io/*")}, "reg.io/team/app", ""},
		{[]keyring.Source{keys("a", "https://index.docker.io/v1/")}, "nginx", "https://index.docker.io/v1/"},
		{[]keyring.Source{keys("a", "index.docker.io", "docker.io/team")}, "team/app", "docker.io/team"},
		{[]keyring.Source{keys("a", "https://index.docker.io/v1", "registry-1.docker.io", "hub.docker.com", "*.docker.io", "index.docker.io/team")}, "team/app", ""},
		// A registry without dot and port is taken for Docker Hub.
		{[]keyring.Source{keys("a", "index.docker.io")}, "localhost/app", "index.docker.io"},
		{[]keyring.Source{keys("a", "index.docker.io")}, "HOST/app", "index.docker.io"},
		{[]keyring.Source{keys("a", "index.docker.io", "localhost")}, "localhost:5000/app", ""},
		{[]keyring.Source{keys("a", "[::1]", "[::1]:5000")}, "[::1]:5000/app", "[::1]:5000"},
		{[]keyring.Source{keys("a", "[::1]")}, "[::1]/app", ""},
		{[]keyring.Source{keys("a", "[fe80::1%2525a.b]")}, "reg.io/app", ""}, // a broken glob
		{[]keyring.Source{keys("a", "reg.io/%25zz")}, "reg.io/app", ""},      // no URL in the second turn
		{[]keyring.Source{keys("a", "reg.io")}, "[1:2]/app", ""},             // an image that cannot be looked up
		{[]keyring.Source{keys("a", "reg.io", "quay.io")}, "team/app", ""},   // it could be either's
		{[]keyring.Source{keys("a", "registry:5000")}, "registry/app", ""},
		{[]keyring.Source{secret("a", `{"auths":{"reg.io":{}}}`)}, "reg.io/app", ""}, // an empty user counts as one
		{[]keyring.Source{secret("a", `{"auths":{"reg.io":{"username":"a"}},"Auths":{"reg.io":{"username":"b"}}}`)}, "reg.io/app", "b"},
		{[]keyring.Source{secret("a", `{"auths":{"reg.io":{"username":"a","password":"p"},"reg.io":{"username":"b"}}}`)}, "reg.io/app", "b"},
		{[]keyring.Source{secret("a", `{"auths":{"reg.io":{"username":"a","auth":"Yjpw"}}}`)}, "reg.io/app", "b"},
		{[]keyring.Source{secret("a", `{"auths":{"reg.io":{"username":"a"}},"auths":null}`)}, "reg.io/app", ""},
		{[]keyring.Source{secret("a", `{"auths":{"reg.io":{"username":"a"}}}`), secret("b", `{"auths":{"quay.io":{"auth":"!"}}}`)}, "reg.io/app", ""},
	} {
		image, ok, d := imageDifference(c.image)
		if !ok || d != "" {
			t.Fatalf("%s: %s", c.image, d)
		}
		if d := difference(c.sources, image); d != "" {
			t.Errorf("%s: %s\n%s", c.image, d, show(c.sources))
		}
		x := keyring.New(c.sources...).Explain(image)
		if d := hintDifference(x, image); d != "" {
			t.Errorf("%s: %s\n%s", c.image, d, show(c.sources))
		}
		var users []string
		for _, m := range x.Matches {
			users = append(users, m.Username)
		}
		if got := strings.Join(users, " "); got != c.want {
			t.Errorf("%s: %q, want %q\n%s", c.image, got, c.want, show(c.sources))
		}
	}
}

// TestNode: the kubelet's own reader of the node's files finds what a Source
// of the node gives, and passes over what it cannot read.
func TestNode(t *testing.T) {
	image, err := keyring.ParseImage("reg.io/team/app")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	t.Chdir(dir)
	credentialprovider.SetPreferredDockercfgPath(dir)
	for text, want := range map[string]int{
		`{"auths":{"reg.io":{"username":"u"},"*.io":{"auth":"dTpw"}}}`: 2,
		`{"auths":{"reg.io":{"auth":"!"}}}`:                            0,
		`x`:                                                            0,
		`{"HttpHeaders":3,"auths":{"reg.io":{}}}`:                      0,
	} {
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		ring, err := secrets.MakeDockerKeyring(nil, credentialprovider.NewDefaultDockerKeyring())
		if err != nil {
			t.Fatal(err)
		}
		theirs, _ := ring.Lookup(image.Repository())
		node := secret("node", text)
		node.Node = true
		r := keyring.New(node)
		ours := r.Match(image)
		if len(ours) != want || len(theirs) != want || r.Err() != nil {
			t.Errorf("%s: ours %v, the kubelet's %d, want %d; %v", text, ours, len(theirs), want, r.Err())
		}
		for i := range ours {
			if ours[i].Username != theirs[i].Username || ours[i].Password != theirs[i].Password {
				t.Errorf("%s: %d: ours %v, the kubelet's %q", text, i, ours[i], theirs[i].Username)
			}
		}
	}
}

// FuzzDifferential: any text, any image, both sides alike.
func FuzzDifferential(f *testing.F) {
	f.Add(`{"auths":{"reg.io":{"auth":"dTpw"},"*.io/te":{"username":"u"}}}`, "reg.io/team/app:v1", false, false)
	f.Add(`{"auths":{"https://index.docker.io/v1/":{},"docker.io":null}}`, "nginx", false, true)
	f.Add(`{"[::1]:5000/%25":{"auth":"!"},"a":[]}`, "[::1]:5000/app", true, false)
	f.Add(`{"auths":{"reg.io:*":{"auth":"dTp"}},"HttpHeaders":3}`, "localhost/app@sha256:00", false, false)
	f.Fuzz(func(t *testing.T, text, name string, legacy, node bool) {
		image, ok, d := imageDifference(name)
		if d != "" {
			t.Fatal(d)
		}
		if !ok {
			image = keyring.Image{Domain: "reg.io", Path: "team/app"}
		}
		s := secret("s", text)
		if legacy {
			s = keyring.Source{Name: "s", Type: keyring.TypeDockercfg, Data: map[string][]byte{keyring.KeyDockercfg: []byte(text)}}
		}
		s.Node = node
		if d := difference([]keyring.Source{s}, image); d != "" {
			t.Fatal(d)
		}
	})
}
