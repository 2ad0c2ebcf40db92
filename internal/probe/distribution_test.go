package probe_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/diagnosis"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/probe"
)

const (
	foreignPassword = "a-good-password"
	htpasswd        = user + ":$2b$04$PTMb.1Iubc.J4E4hHTb9/uHNeAqDGAfxPLHwkPOo1Y9EBl4bmX5i2\n" // of foreignPassword
)

// foreign runs Debian's docker-registry, whose users stand in a file, and
// pushes one image to acme/web:v1.
func foreign(t *testing.T, p diagnosis.Platform) (host string, m content) {
	t.Helper()
	path, err := exec.LookPath("docker-registry")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("docker-registry is missing: make deps")
		}
		t.Skip("docker-registry is missing: make deps")
	}
	l := listen(t)
	host = l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"users": htpasswd,
		"config.yml": fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %s}\nauth: {htpasswd: {realm: house, path: %s}}\n",
			filepath.Join(dir, "data"), host, filepath.Join(dir, "users")),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(t.Context(), path, "serve", filepath.Join(dir, "config.yml"))
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	do := func(method, target, mediaType string, body []byte) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), method, target, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", mediaType)
		req.SetBasicAuth(user, foreignPassword)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return nil
		}
		defer res.Body.Close()
		_, _ = io.Copy(io.Discard, res.Body)
		return res
	}
	for begun := time.Now(); do("GET", "http://"+host+"/v2/", "", nil) == nil; time.Sleep(20 * time.Millisecond) {
		if time.Since(begun) > 10*time.Second {
			t.Fatalf("docker-registry does not come up: %s", said.String())
		}
	}
	m, config := single(p)
	m.body = strings.Replace(m.body, `"config":{`, fmt.Sprintf(`"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":%d,`, m.mediaType, len(config)), 1)
	up := do("POST", "http://"+host+"/v2/acme/web/blobs/uploads/", "", nil)
	if up == nil || up.StatusCode != 202 {
		t.Fatalf("begin an upload: %v", up)
	}
	if res := do("PUT", up.Header.Get("Location")+"&digest="+string(oci.DigestOf(oci.SHA256, config)), "application/octet-stream", config); res == nil || res.StatusCode != 201 {
		t.Fatalf("upload: %v", res)
	}
	if res := do("PUT", "http://"+host+"/v2/acme/web/manifests/v1", m.mediaType, []byte(m.body)); res == nil || res.StatusCode != 201 {
		t.Fatalf("push: %v", res)
	}
	return host, m
}

// TestDistribution: the registry that most people run, with Basic sign-in.
func TestDistribution(t *testing.T) {
	t.Parallel()
	amd := diagnosis.Platform{OS: "linux", Architecture: "amd64"}
	host, m := foreign(t, amd)
	p := probe.New(probe.Options{})
	defer p.Close()
	right, wrong := probe.Credential{Username: user, Password: foreignPassword}, probe.Credential{Username: user, Password: "a-bad-password"}
	a := p.Ask(t.Context(), image(t, host, "v1"), []probe.Credential{wrong, right, {}}, amd)
	want := []diagnosis.Outcome{diagnosis.Unauthorized, diagnosis.Pulls, diagnosis.Unauthorized, diagnosis.Unauthorized}
	if diff := cmp.Diff(want, outcomes(a)); diff != "" {
		t.Fatalf("%s\n%+v", diff, a)
	}
	if at := a.Attempts[1]; string(at.Digest) != m.digest() || !cmp.Equal(at.Platforms, []diagnosis.Platform{amd}) {
		t.Errorf("%+v", at)
	}
	if a.Fairlead || a.Scheme != "http" || a.Ping.Challenge != `Basic realm="house"` || a.Ping.Code != "UNAUTHORIZED" {
		t.Errorf("%+v", a)
	}
	a = p.Ask(t.Context(), image(t, host, "v2"), []probe.Credential{right}, amd)
	if at := a.Attempts[0]; at.Outcome != diagnosis.NotFound || at.Exchanges[1].Code != "MANIFEST_UNKNOWN" || !cmp.Equal(a.Tags, []string{"v1"}) {
		t.Errorf("%+v", a)
	}
	i := image(t, host, "v1")
	i.Repository = "acme/wep"
	if a = p.Ask(t.Context(), i, []probe.Credential{right}, amd); a.Attempts[0].Outcome != diagnosis.NotFound || !a.RepositoryUnknown {
		t.Errorf("%+v", a)
	}
	if all := fmt.Sprintf("%+v", a); strings.Contains(all, "good-password") {
		t.Error(all)
	}
}
