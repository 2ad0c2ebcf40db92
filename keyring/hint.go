package keyring

import (
	"fmt"
	"strings"
)

// hubKey is the key that works everywhere for Docker Hub.
const hubKey = "https://index.docker.io/v1/"

// Hint is the entry that comes nearest, and what would make it match.
type Hint struct {
	Source string `json:"source"`
	Key    string `json:"key"` // as written
	// Want is the key to write instead, Image the image's name to write
	// instead; one of them is empty.
	Want   string `json:"want,omitempty"`
	Image  string `json:"image,omitempty"`
	Detail string `json:"detail"` // one sentence
}

// distances say how near a reason is to a match; what is absent is far.
var distances = map[Reason]int{ReasonHubKey: 1, ReasonCase: 1, ReasonGlob: 2, ReasonPort: 2, ReasonPath: 3, ReasonLabels: 4, ReasonBadKey: 5, ReasonHost: 6}

// hint finds the nearest entry of a ring in which nothing matches.
func (r *Ring) hint(image Image) *Hint {
	t, ok := image.target()
	if !ok {
		return nil
	}
	var best *Hint
	nearest := len(distances) + 1
	for _, entries := range [][]entry{r.secrets.entries, r.node.entries, r.secrets.bad, r.node.bad} {
		for i := range entries {
			e := &entries[i]
			reason := ReasonBadKey
			if e.labels != nil {
				reason, _ = e.judge(t, image.Domain, false)
			}
			want := e.want(t, image.Domain, reason)
			if far, ok := distances[reason]; !ok || far >= nearest || !t.takes(want) {
				continue
			}
			nearest = distances[reason]
			best = &Hint{Source: e.source, Key: e.key, Want: want, Detail: fmt.Sprintf("write the key %s instead of %s", want, e.key)}
		}
	}
	if best == nil || nearest >= distances[ReasonLabels] {
		if h := r.imageHint(image); h != nil {
			return h
		}
	}
	return best
}

// takes says whether a key would be tried for the target. Some have none: the
// address in brackets without a port.
func (t target) takes(key string) bool {
	p, ok := compile(key)
	return ok && key != "" && (p.matches(t) || p.text == hubHost && t.hub)
}

// want is the key that would match in the place of e's; empty if e is about
// something else.
func (e *entry) want(t target, domain string, reason Reason) string {
	path := ""
	if strings.HasPrefix(t.path, e.path) {
		path = e.path
	}
	switch reason {
	case ReasonHubKey:
		return hubKey
	case ReasonCase:
		if n := len(e.path); n <= len(t.path) && strings.EqualFold(e.path, t.path[:n]) {
			path = t.path[:n]
		}
		return domain + path
	case ReasonGlob, ReasonPath:
		if cut := strings.TrimRight(e.path, "/*"); strings.HasPrefix(t.path, cut) {
			return domain + cut
		}
		if i := strings.LastIndexByte(t.path, '/'); i > 0 {
			return domain + t.path[:i+1]
		}
		return domain + t.path
	case ReasonPort, ReasonLabels:
		return domain + path
	case ReasonHost:
		if domain != hub && near(strings.Join(e.labels, "."), t.host) {
			return domain + path
		}
	case ReasonBadKey:
		if strings.Contains(strings.ToLower(e.key), t.host) {
			return domain
		}
	}
	return ""
}

// imageHint is for an image without a registry, which is therefore Docker
// Hub's, when an entry would match if its registry were written before it.
func (r *Ring) imageHint(image Image) *Hint {
	if image.Domain != hub || strings.HasPrefix(image.Name, hub+"/") || strings.HasPrefix(image.Name, hubHost+"/") {
		return nil
	}
	first, rest, _ := strings.Cut(image.Name, "/")
	var best *Hint
	for _, c := range []*chain{&r.secrets, &r.node} {
		for i := range c.entries {
			e := &c.entries[i]
			if e.labels == nil || !e.plain || e.meansHub() || e.text == hub {
				continue
			}
			at, _, _ := strings.Cut(e.text, "/")
			name := at + "/" + image.Name
			exact := len(e.labels) == 1 && e.labels[0] == first && rest != ""
			if exact {
				name = at + "/" + rest
			}
			if !e.takes(name) {
				continue
			}
			h := &Hint{Source: e.source, Key: e.key, Image: name, Detail: fmt.Sprintf("an image without a registry is Docker Hub's: write %s in the pod", name)}
			if exact {
				return h
			}
			if best != nil && best.Image != h.Image {
				return nil // two registries: it could be any
			}
			best = h
		}
	}
	return best
}

// takes says whether an image of this name would match the entry.
func (e *entry) takes(name string) bool {
	image, err := ParseImage(name)
	if err != nil {
		return false
	}
	t, ok := image.target()
	return ok && e.matches(t)
}

// near says whether two hosts differ by at most two typing errors.
func near(a, b string) bool {
	const most = 2
	if len(a) > 253 || len(a)-len(b) > most || len(b)-len(a) > most || len(b) < 6 {
		return false
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)] <= most
}
