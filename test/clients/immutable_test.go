package clients

import (
	"fmt"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"fairlead.dev/fairlead/test/clients/harness"
)

// kept is our sentence about a tag that a rule protects.
const kept = "is immutable, it can neither move nor be deleted"

// writer pushes the first or the second image, and removes; nil if it cannot.
type writer struct {
	push   func(which int, ref string) (said string, ok bool)
	remove func(ref string) (said string, ok bool)
}

// pair is two images that go under one tag.
type pair [2]v1.Image

var writers = map[string]func(t *testing.T, s *harness.Server, home *harness.Home, images pair) writer{
	"docker": func(t *testing.T, _ *harness.Server, home *harness.Home, images pair) writer {
		c := docker(t, home)
		for i, img := range images {
			c.Run("load", "-i", harness.Tarball(t, fmt.Sprintf("mine:v%d", i), img))
		}
		return writer{push: func(which int, ref string) (string, bool) {
			return c.Try(nil, "push", retag(c, fmt.Sprintf("mine:v%d", which), ref))
		}}
	},
	"crane": func(t *testing.T, _ *harness.Server, home *harness.Home, images pair) writer {
		c := home.Tool("crane")
		return writer{
			push: func(which int, ref string) (string, bool) {
				return c.Try(nil, "push", harness.Layout(t, images[which]), ref)
			},
			remove: func(ref string) (string, bool) { return c.Try(nil, "delete", ref) },
		}
	},
	"regctl": func(t *testing.T, s *harness.Server, home *harness.Home, images pair) writer {
		home.Setenv("REGCTL_CONFIG", home.Path("regctl.json"))
		c := home.Tool("regctl")
		c.Run("registry", "set", "--skip-check", "--tls", "disabled", s.Host)
		return writer{
			push: func(which int, ref string) (string, bool) {
				return c.Try(nil, "image", "copy", "ocidir://"+harness.Layout(t, images[which])+":v1", ref)
			},
			remove: func(ref string) (string, bool) {
				if strings.Contains(ref, "@") {
					return c.Try(nil, "manifest", "delete", ref)
				}
				return c.Try(nil, "tag", "delete", ref)
			},
		}
	},
}

// TestImmutableTags: under a protected tag nothing else can be pushed, and it
// cannot be deleted, neither by its name nor with its manifest. The same image
// may be pushed again, and other tags move.
func TestImmutableTags(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	s.Account(t, "acme", "acme")
	s.Immutable(t, "acme", "v.*")
	token := s.Mint(t, harness.Minting{Account: "acme", Access: "readwrite"})
	images := pair{harness.Image(t, 240, 1, 1000), harness.Image(t, 241, 1, 1000)}

	for name, prepare := range writers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home := s.Home(t)
			login(t, home, s.Host, token.Value)
			c := prepare(t, s, home, images)
			repo := "acme/" + name
			ref := s.Ref(repo)
			works := judge(t, true)
			refused := judge(t, false)
			works(c.push(0, ref+":v1"))
			held := s.Has(t, repo, "v1")
			refused(c.push(1, ref+":v1"))
			works(c.push(0, ref+":v1"))
			works(c.push(0, ref+":latest"))
			works(c.push(1, ref+":latest"))
			if c.remove != nil {
				refused(c.remove(ref + ":v1"))
				refused(c.remove(ref + "@" + held))
				works(c.remove(ref + "@" + harness.Digest(t, images[1])))
			}
			if got := s.Has(t, repo, "v1"); got != held {
				t.Errorf("the tag moved from %s to %s", held, got)
			}
		})
	}
}

// judge checks that a client succeeded, or that it was refused in our words.
func judge(t *testing.T, want bool) func(said string, ok bool) {
	return func(said string, ok bool) {
		t.Helper()
		if ok != want || !ok && !strings.Contains(said, kept) {
			t.Errorf("success is %v, want %v; a refusal says that the tag %s:\n%s", ok, want, kept, said)
		}
	}
}
