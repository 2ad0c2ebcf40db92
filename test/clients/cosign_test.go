package clients

import (
	"encoding/json"
	"strings"
	"testing"

	"oras.land/oras-go/v2/registry/remote"

	"fairlead.dev/fairlead/test/clients/harness"
)

// keyed gives a cosign with a key pair and a signing configuration that
// publishes nothing: no transparency log, no timestamps, no authority.
func keyed(home *harness.Home) *harness.Tool {
	home.Setenv("COSIGN_PASSWORD", "only for this test's key")
	tool := home.Tool("cosign")
	tool.Run("generate-key-pair")
	tool.Run("signing-config", "create", "--out", "signing.json")
	return tool
}

// cosign has its keys and is logged in.
func cosign(t *testing.T, s *harness.Server) *harness.Tool {
	t.Helper()
	tool := keyed(s.Home(t))
	tool.Input(strings.NewReader(s.Token), "login", s.Host, "-u", harness.User, "--password-stdin")
	return tool
}

func TestCosignReferrer(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	c := cosign(t, s)
	digest := harness.Digest(t, pushImage(t, s, "team/cosign", "v1", 90))
	image := s.Ref("team/cosign") + "@" + digest

	c.Fails(nil, "verify", "--key", "cosign.pub", "--insecure-ignore-tlog", image)
	c.Run("sign", "--yes", "--key", "cosign.key", "--signing-config", "signing.json", "-a", "by=test", image)
	signed(t, c.Run("verify", "--key", "cosign.pub", "--insecure-ignore-tlog", "-a", "by=test", image), digest)
	c.Fails(nil, "verify", "--key", otherKey(t, s), "--insecure-ignore-tlog", image)

	repo := s.Repository(t, "team/cosign")
	subject, err := repo.Resolve(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(referrers(t, repo, subject, "")); n != 1 {
		t.Errorf("the image has %d referrers, want the signature", n)
	}
	if tags := tagList(t, repo); len(tags) != 1 {
		t.Errorf("signing left the tags %v, want v1 only", tags)
	}
	if tree := c.Run("tree", image); !strings.Contains(tree, digest) {
		t.Errorf("cosign tree = %q", tree)
	}
}

func TestCosignTag(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	c := cosign(t, s)
	digest := harness.Digest(t, pushImage(t, s, "team/cosign", "v1", 91))
	image := s.Ref("team/cosign") + "@" + digest

	c.Run("sign", "--yes", "--key", "cosign.key", "--new-bundle-format=false", "--use-signing-config=false", "--tlog-upload=false", image)
	s.Has(t, "team/cosign", strings.Replace(digest, ":", "-", 1)+".sig")
	signed(t, c.Run("verify", "--key", "cosign.pub", "--new-bundle-format=false", "--insecure-ignore-tlog", image), digest)
	c.Fails(nil, "verify", "--key", otherKey(t, s), "--new-bundle-format=false", "--insecure-ignore-tlog", image)
	// A second signature changes the manifest under the tag.
	c.Run("sign", "--yes", "--key", "cosign.key", "--new-bundle-format=false", "--use-signing-config=false", "--tlog-upload=false", "-a", "second=yes", image)
	signed(t, c.Run("verify", "--key", "cosign.pub", "--new-bundle-format=false", "--insecure-ignore-tlog", "-a", "second=yes", image), digest)
}

// TestCosignAttestation: an attestation is a referrer, too.
func TestCosignAttestation(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	c := cosign(t, s)
	digest := harness.Digest(t, pushImage(t, s, "team/cosign", "v1", 92))
	image := s.Ref("team/cosign") + "@" + digest
	predicate := c.Home().Write("predicate.json", `{"scanned":"yes"}`)

	c.Run("attest", "--yes", "--key", "cosign.key", "--signing-config", "signing.json", "--type", "custom", "--predicate", predicate, image)
	c.Run("verify-attestation", "--key", "cosign.pub", "--insecure-ignore-tlog", "--type", "custom", image)
	s.Lacks(t, "team/cosign", strings.Replace(digest, ":", "-", 1)+".att")
}

// signed checks that what cosign verified is this image.
func signed(t *testing.T, output, digest string) {
	t.Helper()
	var claims []struct {
		Critical struct {
			Image struct {
				Digest string `json:"docker-manifest-digest"`
			}
		}
	}
	if err := json.Unmarshal([]byte(output), &claims); err != nil {
		t.Fatalf("cosign verify said %q: %v", output, err)
	}
	for _, claim := range claims {
		if claim.Critical.Image.Digest == digest {
			return
		}
	}
	t.Errorf("cosign verified %s, want %s", output, digest)
}

// otherKey is a public key that signed nothing.
func otherKey(t *testing.T, s *harness.Server) string {
	t.Helper()
	return keyed(s.Home(t)).Home().Path("cosign.pub")
}

func tagList(t *testing.T, repo *remote.Repository) []string {
	t.Helper()
	var tags []string
	if err := repo.Tags(t.Context(), "", func(page []string) error {
		tags = append(tags, page...)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return tags
}
