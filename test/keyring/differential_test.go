// Package keyring_test runs package keyring against the kubelet's own
// package, with the same secrets and the same images, and dockerconfig against
// docker's and the containers tools'. It is a module of its own: nothing else
// of Fairlead depends on their sources.
package keyring_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/credentialprovider"
	"k8s.io/kubernetes/pkg/credentialprovider/secrets"
	"k8s.io/kubernetes/pkg/util/parsers"

	"fairlead.dev/fairlead/keyring"
)

// want is the kubelet's decision.
type want struct {
	err   error
	creds []credentialprovider.TrackedAuthConfig
}

// kubelet asks the kubelet's package. The node's file goes into the ring that
// it looks into last, if it can be read.
func kubelet(sources []keyring.Source, repository string) want {
	var pod []corev1.Secret
	var node *credentialprovider.BasicDockerKeyring
	for _, s := range sources {
		secret := corev1.Secret{Type: corev1.SecretType(s.Type), Data: s.Data}
		secret.Name = s.Name
		if !s.Node {
			pod = append(pod, secret)
			continue
		}
		if node == nil {
			node = &credentialprovider.BasicDockerKeyring{}
		}
		if config, ok := nodeConfig(s); ok {
			node.Add(&credentialprovider.CredentialSource{Secret: &credentialprovider.SecretCoordinates{Name: s.Name}}, config)
		}
	}
	var last credentialprovider.DockerKeyring
	if node != nil {
		last = node
	}
	ring, err := secrets.MakeDockerKeyring(pod, last)
	if err != nil || ring == nil {
		return want{err: err}
	}
	creds, _ := ring.Lookup(repository)
	return want{creds: creds}
}

// nodeConfig reads a file of the node. The kubelet's function for config.json
// wants a path and does only this.
func nodeConfig(s keyring.Source) (credentialprovider.DockerConfig, bool) {
	if s.Type == keyring.TypeDockercfg {
		config, err := credentialprovider.ReadDockerConfigFileFromBytes(s.Data[keyring.KeyDockercfg])
		return config, err == nil
	}
	var file credentialprovider.DockerConfigJSON
	err := json.Unmarshal(s.Data[keyring.KeyDockerConfigJSON], &file)
	return file.Auths, err == nil && s.Type == keyring.TypeDockerConfigJSON
}

// difference says how our decision differs from the kubelet's; empty if it
// does not.
func difference(sources []keyring.Source, image keyring.Image) string {
	ring := keyring.New(sources...)
	theirs := kubelet(sources, image.Repository())
	if d := errorDifference(ring, theirs.err); d != "" {
		return d
	}
	ours, x := ring.Match(image), ring.Explain(image)
	if !slices.Equal(ours, x.Matches) {
		return fmt.Sprintf("Match gives %v, Explain %v", ours, x.Matches)
	}
	if theirs.err != nil {
		if ours != nil {
			return fmt.Sprintf("the ring is bad, but Match gives %v", ours)
		}
		return ""
	}
	if d := projection(x); d != "" {
		return d
	}
	if len(ours) != len(theirs.creds) {
		return fmt.Sprintf("ours %v, the kubelet's %d", ours, len(theirs.creds))
	}
	return orderDifference(x, theirs.creds)
}

func errorDifference(ring *keyring.Ring, theirs error) string {
	ours, _ := ring.Err().(*keyring.Error) //nolint:errorlint // Err gives no other
	switch {
	case (ours == nil) != (theirs == nil):
		return fmt.Sprintf("our error %v, the kubelet's %v", ours, theirs)
	case ours != nil && ours.Text != theirs.Error():
		return fmt.Sprintf("our text %q, the kubelet's %q", ours.Text, theirs)
	}
	return ""
}

// projection says whether the entries that are said to match are those that
// Match gives, in the same order.
func projection(x keyring.Explanation) string {
	i, order := 0, 0
	for _, e := range x.Entries {
		if e.Order != 0 {
			if order++; e.Order != order {
				return fmt.Sprintf("entry %d has the order %d", order, e.Order)
			}
		}
		if e.Detail == "" || e.Reason == "" {
			return fmt.Sprintf("entry %+v has no reason", e)
		}
		if !e.Matched {
			continue
		}
		if i == len(x.Matches) || x.Matches[i].Key != e.Key || x.Matches[i].Source != e.Source || x.Matches[i].Username != e.Username {
			return fmt.Sprintf("entry %+v is not match %d of %v", e, i, x.Matches)
		}
		i++
	}
	if i != len(x.Matches) {
		return fmt.Sprintf("%d entries match, %d credentials", i, len(x.Matches))
	}
	return ""
}

// orderDifference compares one by one; entries of one document that mean the
// same are compared as sets, because the kubelet ranges over a map.
func orderDifference(x keyring.Explanation, theirs []credentialprovider.TrackedAuthConfig) string {
	var matched []keyring.Entry
	for _, e := range x.Entries {
		if e.Matched {
			matched = append(matched, e)
		}
	}
	for i := 0; i < len(matched); {
		end := i + 1
		for end < len(matched) && matched[end].Source == matched[i].Source && matched[end].Pattern == matched[i].Pattern {
			end++
		}
		var a, b []string
		for j := i; j < end; j++ {
			a = append(a, fmt.Sprintf("%s %q %q", x.Matches[j].Source, x.Matches[j].Username, x.Matches[j].Password))
			b = append(b, fmt.Sprintf("%s %q %q", theirs[j].Source.Secret.Name, theirs[j].Username, theirs[j].Password))
		}
		slices.Sort(a)
		slices.Sort(b)
		if !slices.Equal(a, b) {
			return fmt.Sprintf("from %d on ours %q, the kubelet's %q", i, a, b)
		}
		if differ := len(slices.Compact(a)) > 1; differ != matched[i].Unstable {
			return fmt.Sprintf("%q: unstable is %v", a, matched[i].Unstable)
		}
		i = end
	}
	return ""
}

// imageDifference compares how a name is read.
func imageDifference(name string) (keyring.Image, bool, string) {
	ours, err := keyring.ParseImage(name)
	repository, tag, digest, theirs := parsers.ParseImageName(name)
	switch {
	case (err == nil) != (theirs == nil):
		return ours, false, fmt.Sprintf("our error %v, the kubelet's %v", err, theirs)
	case err != nil:
		if e, ok := err.(*keyring.ImageError); !ok || e.Text != theirs.Error() || e.Hint == "" { //nolint:errorlint // no other is made
			return ours, false, fmt.Sprintf("our error %q, the kubelet's %q", err, theirs)
		}
		return ours, false, ""
	case ours.Repository() != repository || ours.Tag != tag || ours.Digest != digest:
		return ours, false, fmt.Sprintf("ours %+v, the kubelet's %q %q %q", ours, repository, tag, digest)
	}
	return ours, true, ""
}

// hintDifference checks that what a hint says to write works in the kubelet.
func hintDifference(x keyring.Explanation, image keyring.Image) string {
	if x.Hint == nil {
		return ""
	}
	key, repository := x.Hint.Want, image.Repository()
	if x.Hint.Image != "" {
		named, _, _, err := parsers.ParseImageName(x.Hint.Image)
		if err != nil {
			return fmt.Sprintf("the image of the hint: %v", err)
		}
		key, repository = x.Hint.Key, named
	}
	doc := fmt.Sprintf(`{"auths":{%s:{"username":"u","password":"p"}}}`, quote(key))
	theirs := kubelet([]keyring.Source{{Name: "hint", Type: keyring.TypeDockerConfigJSON, Data: map[string][]byte{keyring.KeyDockerConfigJSON: []byte(doc)}}}, repository)
	if len(theirs.creds) != 1 {
		return fmt.Sprintf("the hint %+v does not match %s", *x.Hint, repository)
	}
	return ""
}

// TestDifferential runs 20,000 random cases, or 1,000,000 with FAIRLEAD_LONG.
// FAIRLEAD_SEED repeats a run.
func TestDifferential(t *testing.T) {
	n := 20_000
	if os.Getenv("FAIRLEAD_LONG") != "" {
		n = 1_000_000
	}
	seed := seeded(t)
	g := generator{rand.New(rand.NewPCG(seed, 0))}
	var matched, malformed, unnamed, unstable, hinted int
	for i := range n {
		name := g.image()
		image, ok, d := imageDifference(name)
		if d != "" {
			t.Fatalf("seed %d, case %d, image %q: %s", seed, i, name, d)
		}
		if !ok {
			unnamed++
			image, _ = keyring.ParseImage("reg.io/team/app")
		}
		broken := g.chance(14)
		sources := make([]keyring.Source, 1+g.IntN(4))
		worst := g.IntN(len(sources))
		for j := range sources {
			sources[j] = g.source(j, image.Repository(), broken && j == worst)
		}
		if d := difference(sources, image); d != "" {
			t.Fatalf("seed %d, case %d, image %q: %s\n%s", seed, i, name, d, show(sources))
		}
		x := keyring.New(sources...).Explain(image)
		if d := hintDifference(x, image); d != "" {
			t.Fatalf("seed %d, case %d, image %q: %s\n%s", seed, i, name, d, show(sources))
		}
		count(&matched, len(x.Matches) > 0)
		count(&malformed, len(keyring.New(sources...).Errors()) > 0)
		count(&unstable, slices.ContainsFunc(x.Entries, func(e keyring.Entry) bool { return e.Matched && e.Unstable }))
		count(&hinted, x.Hint != nil)
	}
	share := func(k int) float64 { return 100 * float64(k) / float64(n) }
	t.Logf("seed %d: %d cases; %.1f %% match, %.1f %% have a malformed document, %.1f %% a name that is none, %.1f %% come in random order, %.1f %% get a hint",
		seed, n, share(matched), share(malformed), share(unnamed), share(unstable), share(hinted))
	if share(matched) < 30 || share(malformed) < 10 {
		t.Error("too few cases match (30 % wanted) or are malformed (10 %): the run proves little")
	}
}

// seeded is a new seed, or FAIRLEAD_SEED.
func seeded(t *testing.T) uint64 {
	s := os.Getenv("FAIRLEAD_SEED")
	if s == "" {
		return uint64(time.Now().UnixNano())
	}
	seed, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("FAIRLEAD_SEED: %v", err)
	}
	return seed
}

func count(n *int, yes bool) {
	if yes {
		*n++
	}
}

func show(sources []keyring.Source) string {
	s := ""
	for _, x := range sources {
		s += fmt.Sprintf("%s node=%v %s %q\n", x.Name, x.Node, x.Type, x.Data)
	}
	return s
}
