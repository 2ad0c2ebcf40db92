package keyring

import "slices"

// Reason says why an entry is tried or not.
type Reason string

// Reasons of Entry.
const (
	ReasonMatch     Reason = "match"       // host, port and path match
	ReasonHub       Reason = "docker-hub"  // no other key matches, and this is Docker Hub's
	ReasonHubHidden Reason = "hub-hidden"  // the key is Docker Hub's, but another key matches
	ReasonHubKey    Reason = "hub-key"     // it means Docker Hub in a way that the kubelet does not know
	ReasonPort      Reason = "port"        // the ports differ, or one has none
	ReasonLabels    Reason = "label-count" // the hosts have different numbers of labels
	ReasonHost      Reason = "host"        // another host
	ReasonCase      Reason = "case"        // only upper and lower case differ
	ReasonPath      Reason = "path"        // the path is no prefix of the repository's
	ReasonGlob      Reason = "glob"        // a glob stands where none works
	ReasonAddress   Reason = "ipv6"        // an IPv6 address without a port never matches
	ReasonBadKey    Reason = "bad-key"     // the key is no URL: it is dropped, alone
	ReasonNoLookUp  Reason = "no-look-up"  // the image's registry is no host: nothing is looked up
)

// Entry is one entry of a source and what becomes of it for an image.
type Entry struct {
	Source  string `json:"source"`
	Key     string `json:"key"`     // as written
	Pattern string `json:"pattern"` // what the kubelet makes of the key; empty if it cannot
	// Order is when the entry is considered, from 1; 0: never, as its key is
	// bad.
	Order    int    `json:"order"`
	Matched  bool   `json:"matched"`
	Reason   Reason `json:"reason"`
	Detail   string `json:"detail"` // one sentence
	Username string `json:"username"`
	// Unstable: another entry of the same document means the same and holds
	// another credential; the kubelet takes them in random order.
	Unstable bool `json:"unstable,omitempty"`
}

// Explanation is the kubelet's decision about one image.
type Explanation struct {
	Image      string `json:"image"`      // as given
	Repository string `json:"repository"` // what is looked up: no tag, no digest
	// Err is Ring.Err: if it is not nil nothing is tried, and Entries say what
	// would be if the bad entries were not there.
	Err     error        `json:"-"`
	Entries []Entry      `json:"entries"` // in the kubelet's order; bad keys last
	Matches []Credential `json:"matches"` // what Match gives
	Hint    *Hint        `json:"hint,omitempty"`
}

// Explain says of every entry whether it is tried for an image, and why.
func (r *Ring) Explain(image Image) Explanation {
	x := Explanation{Image: image.Name, Repository: image.Repository(), Err: r.bad, Matches: r.Match(image), Entries: []Entry{}}
	t, ok := image.target()
	for _, c := range []*chain{&r.secrets, &r.node} {
		direct := ok && slices.ContainsFunc(c.entries, func(e entry) bool { return e.matches(t) })
		for i := range c.entries {
			reason, detail := ReasonNoLookUp, "the image's registry is no host that the kubelet can look up"
			if ok {
				reason, detail = c.entries[i].judge(t, image.Domain, direct)
			}
			x.Entries = append(x.Entries, c.entries[i].explained(len(x.Entries)+1, reason, detail))
		}
	}
	for _, c := range []*chain{&r.secrets, &r.node} {
		for i := range c.bad {
			x.Entries = append(x.Entries, c.bad[i].explained(0, ReasonBadKey, badKey(c.bad[i].key)))
		}
	}
	if !slices.ContainsFunc(x.Entries, func(e Entry) bool { return e.Matched }) {
		x.Hint = r.hint(image)
	}
	return x
}

func (e *entry) explained(order int, reason Reason, detail string) Entry {
	if e.lost {
		detail += "; a user before @ in the key, and all from ? or # on, is dropped"
	}
	return Entry{
		Source: e.source, Key: e.key, Pattern: e.text, Order: order, Username: e.username, Unstable: e.unstable,
		Matched: reason == ReasonMatch || reason == ReasonHub, Reason: reason, Detail: detail,
	}
}
