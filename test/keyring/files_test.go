package keyring_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/cli/cli/config/configfile"
	"go.podman.io/image/v5/pkg/docker/config"
	"go.podman.io/image/v5/types"

	"fairlead.dev/fairlead/dockerconfig"
)

// file is a config.json whose entries docker reads, mostly.
func (g generator) file() string {
	var members []string
	used := map[string]bool{}
	for range g.IntN(5) {
		key := pick(g, "", "", "https://", "http://", "oci://") +
			pick(g, "reg.io", "reg.io:5000", "quay.io", "docker.io", "index.docker.io", "registry-1.docker.io", "[::1]:5000", "::1:5000", "[::1]", "") +
			pick(g, "", "", "/", "/v1/", "/v2/", "/team", "/team/app", "/team/", "/te")
		if g.chance(12) {
			key = dockerconfig.HubKey
		}
		if used[key] {
			continue
		}
		used[key] = true
		user := fmt.Sprint("u", g.IntN(100_000))
		auth := base64.StdEncoding.EncodeToString([]byte(user + ":" + pick(g, "p", "p:q", "p\x00", "")))
		members = append(members, quote(key)+":"+pick(g, fmt.Sprintf(`{"auth":%q}`, auth), fmt.Sprintf(`{"auth":%q}`, auth),
			fmt.Sprintf(`{"Auth":%q,"identitytoken":"t%s"}`, auth, user), fmt.Sprintf(`{"username":%q,"password":"x"}`, user), "{}", "null",
			fmt.Sprintf(`{"auth":%q}`, pick(g, auth, auth, auth+"\n", strings.TrimRight(auth, "="), "OnA=", "dXNlcg==", "!")), `{"auth":"dTpw","auth":null}`))
	}
	return `{"auths":{` + strings.Join(members, ",") + `}}`
}

// TestFiles runs package dockerconfig beside docker's own reader and that of
// podman, skopeo and CRI-O.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "auth.json")
	t.Setenv("DOCKER_CONFIG", dir)
	t.Setenv("DOCKER_AUTH_CONFIG", "")
	const n = 10_000
	seed := seeded(t)
	g := generator{rand.New(rand.NewPCG(seed, 1))}
	var bad, docker, containers int
	for i := range n {
		text := g.file()
		f, err := dockerconfig.Parse([]byte(text))
		theirs := configfile.New("")
		if theirErr := theirs.LoadFromReader(strings.NewReader(text)); (err == nil) != (theirErr == nil) {
			t.Fatalf("seed %d, case %d, %s: our error %v, docker's %v", seed, i, text, err, theirErr)
		}
		if err != nil {
			bad++
			continue
		}
		host := pick(g, "reg.io", "reg.io:5000", "quay.io", "docker.io", "index.docker.io", "registry-1.docker.io", "[::1]:5000", "::1", "[::1]", "https:", "oci:")
		if found, _ := f.Docker(host); !found.Unstable {
			got, err := theirs.GetAuthConfig(host)
			if e := found.Entry; err != nil || got.Username != e.Username || got.Password != e.Password || got.IdentityToken != e.IdentityToken {
				t.Fatalf("seed %d, case %d, %s in %s: docker %+v, %v; ours %v", seed, i, host, text, got, err, e)
			}
			count(&docker, found.Entry.Key != "")
		}
		if i%5 != 0 { // theirs reads a file
			continue
		}
		repository := host + pick(g, "", "/team/app", "/team", "/library/nginx")
		found, _ := f.Containers(repository)
		if found.Unstable {
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := config.GetCredentials(&types.SystemContext{AuthFilePath: path}, repository)
		want := types.DockerAuthConfig{Username: found.Entry.Username, Password: found.Entry.Password, IdentityToken: found.Entry.IdentityToken}
		if err != nil || got != want {
			t.Fatalf("seed %d, case %d, %s in %s: containers %+v, %v; ours %v", seed, i, repository, text, got, err, found.Entry)
		}
		count(&containers, found.Entry.Key != "")
	}
	t.Logf("seed %d: %d files, %d bad; docker found %d entries, the containers tools %d", seed, n, bad, docker, containers)
	if bad < n/20 || docker < n/20 || containers < n/100 {
		t.Error("too few files are bad, or too few entries found: the run proves little")
	}
}
