package clients

import (
	"strings"
	"testing"

	"fairlead.dev/fairlead/test/clients/harness"
)

// kept is our sentence about a tag that a rule protects.
const kept = "is immutable, it can neither move nor be deleted"

// TestImmutableTags: under a protected tag nothing else can be pushed, and it
// cannot be deleted, neither by its name nor with its manifest. The same image
// may be pushed again, and other tags move.
func TestImmutableTags(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	s.Account(t, "acme", "acme")
	s.Immutable(t, "acme", "v.*")
	token := s.Mint(t, harness.Minting{Account: "acme", Access: "readwrite"})
	first, second := harness.Image(t, 240, 1, 1000), harness.Image(t, 241, 1, 1000)
	want, other := harness.Digest(t, first), harness.Digest(t, second)

	for name, prepare := range map[string]func(t *testing.T, home *harness.Home) (push, remove func(which int, ref string) (string, bool)){
		"docker": func(t *testing.T, home *harness.Home) (push, remove func(int, string) (string, bool)) {
			c := docker(t, home)
			c.Run("load", "-i", harness.Tarball(t, "mine:v0", first))
			c.Run("load", "-i", harness.Tarball(t, "mine:v1", second))
			return func(which int, ref string) (string, bool) {
				c.Run("tag", "mine:v"+string(rune('0'+which)), ref)
				return c.Try(nil, "push", ref)
			}, nil
		},
		"crane": func(t *testing.T, home *harness.Home) (push, remove func(int, string) (string, bool)) {
			c := home.Tool("crane")
			layouts := []string{harness.Layout(t, first), harness.Layout(t, second)}
			return func(which int, ref string) (string, bool) { return c.Try(nil, "push", layouts[which], ref) },
				func(_ int, ref string) (string, bool) { return c.Try(nil, "delete", ref) }
		},
		"regctl": func(t *testing.T, home *harness.Home) (push, remove func(int, string) (string, bool)) {
			home.Setenv("REGCTL_CONFIG", home.Path("regctl.json"))
			c := home.Tool("regctl")
			c.Run("registry", "set", "--skip-check", "--tls", "disabled", s.Host)
			layouts := []string{harness.Layout(t, first), harness.Layout(t, second)}
			return func(which int, ref string) (string, bool) {
					return c.Try(nil, "image", "copy", "ocidir://"+layouts[which]+":v1", ref)
				}, func(_ int, ref string) (string, bool) {
					if strings.Contains(ref, "@") {
						return c.Try(nil, "manifest", "delete", ref)
					}
					return c.Try(nil, "tag", "delete", ref)
				}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home := s.Home(t)
			login(t, home, s.Host, token.Value)
			push, remove := prepare(t, home)
			repo := "acme/" + name
			works := func(said string, ok bool) {
				t.Helper()
				if !ok {
					t.Errorf("it should work: %s", said)
				}
			}
			refused := func(said string, ok bool) {
				t.Helper()
				if ok || !strings.Contains(said, kept) {
					t.Errorf("success is %v, want a refusal that says it %s:\n%s", ok, kept, said)
				}
			}
			works(push(0, s.Ref(repo)+":v1"))
			held := s.Has(t, repo, "v1") // docker writes a manifest of its own
			refused(push(1, s.Ref(repo)+":v1"))
			works(push(0, s.Ref(repo)+":v1"))
			works(push(1, s.Ref(repo)+":latest"))
			works(push(0, s.Ref(repo)+":latest"))
			if remove != nil {
				if held != want {
					t.Errorf("pushed %s, want %s", held, want)
				}
				refused(remove(0, s.Ref(repo)+":v1"))
				refused(remove(0, s.Ref(repo)+"@"+want))
				works(remove(0, s.Ref(repo)+"@"+other))
			}
			if got := s.Has(t, repo, "v1"); got != held {
				t.Errorf("the tag moved from %s to %s", held, got)
			}
		})
	}
}
