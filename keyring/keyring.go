// Package keyring answers what the kubelet would answer: which of a pod's
// pull secrets it would try for an image, in which order, and why it would
// not try the others.
//
// A Ring is made of Sources: the secrets in the order of the pod's
// imagePullSecrets, and the node's own config.json. It repeats Kubernetes'
// package pkg/credentialprovider, faults and all: one bad entry spoils the
// whole ring, keys are considered in reverse lexicographic order, paths are
// prefixes of bytes, and two keys of one document that mean the same come in
// random order. Explain lists every entry with its reason; Match gives the
// credentials alone. Both read one verdict, so they cannot disagree.
//
// The package is pure: it reads no file, asks no network and knows no time.
package keyring

import (
	"cmp"
	"slices"
	"strings"
)

// The types of secrets that the kubelet reads, and the key of each.
const (
	TypeDockerConfigJSON = "kubernetes.io/dockerconfigjson"
	KeyDockerConfigJSON  = ".dockerconfigjson"
	TypeDockercfg        = "kubernetes.io/dockercfg"
	KeyDockercfg         = ".dockercfg"
)

// Source is a secret as the kubelet sees it, or the node's own file.
type Source struct {
	// Name is repeated in every answer: "namespace/name", or a path.
	Name string
	// Type and Data are those of the secret; the values are decoded. A node's
	// file uses the same types and keys.
	Type string
	Data map[string][]byte
	// Node says that it is the node's own file: the kubelet looks into it
	// after all secrets, wherever it stands here, and passes over it in
	// silence if it cannot be read.
	Node bool
}

// Ring is all that the kubelet would look at for one pod. It never changes
// and is safe for concurrent use.
type Ring struct {
	secrets, node chain
	errors        []*Error
	skipped       []Skip
	bad           error // what Err gives
}

// New reads the sources. What is wrong with them is in Err, Errors and
// Skipped.
func New(sources ...Source) *Ring {
	r := &Ring{}
	for i, s := range sources {
		r.add(i, s)
	}
	r.secrets.sort()
	r.node.sort()
	return r
}

// add puts the entries of one source into its chain.
func (r *Ring) add(number int, s Source) {
	doc, skip := s.document()
	if skip != nil {
		r.skipped = append(r.skipped, *skip)
		return
	}
	read := doc.read()
	for _, e := range read.errors {
		e.Source, e.Node = s.Name, s.Node
		r.errors = append(r.errors, e)
	}
	if len(read.errors) > 0 {
		if s.Node {
			r.skipped = append(r.skipped, Skip{s.Name, SkipUnreadable, "the kubelet cannot read this file of the node and goes on without it"})
			return
		}
		if r.bad == nil {
			r.bad = read.errors[0]
		}
	}
	c := &r.secrets
	if s.Node {
		c = &r.node
	}
	for _, e := range read.entries {
		c.add(number, s.Name, e)
	}
}

// Err is what the kubelet says instead of pulling: the *Error of the first
// bad secret. One bad entry rejects the whole ring, for every host. Nil if
// the kubelet goes on.
func (r *Ring) Err() error { return r.bad }

// Errors are all bad entries of all sources, source by source; the kubelet
// stops at the first.
func (r *Ring) Errors() []*Error { return slices.Clone(r.errors) }

// Skipped are the sources that the kubelet passes over in silence.
func (r *Ring) Skipped() []Skip { return slices.Clone(r.skipped) }

// Match gives the credentials that the kubelet tries for an image, in its
// order. None means that it pulls once without; with some it never does.
// Nil, too, if Err is not: then it does not pull at all.
func (r *Ring) Match(image Image) []Credential {
	if r.bad != nil {
		return nil
	}
	t, ok := image.target()
	if !ok {
		return nil
	}
	return r.node.match(t, r.secrets.match(t, nil))
}

// chain is one keyring of the kubelet's: it has one for the secrets and one
// for the node, each with its own turn for Docker Hub.
type chain struct {
	entries []entry // in the order in which they are considered
	hub     int     // how many entries have the key of Docker Hub
	bad     []entry // those whose key is no URL; never considered
}

// entry is one entry of a source with its key made ready.
type entry struct {
	pattern
	number             int // of the source, from 0
	source, key        string
	username, password string
	unstable           bool
}

func (c *chain) add(number int, source string, f found) {
	p, ok := compile(f.key)
	e := entry{pattern: p, number: number, source: source, key: f.key, username: f.username, password: f.password}
	if !ok {
		c.bad = append(c.bad, e)
		return
	}
	if e.text == hubHost {
		c.hub++
	}
	c.entries = append(c.entries, e)
}

// sort puts the entries into the kubelet's order: patterns in reverse
// lexicographic order, one pattern in the order of the sources. Within one
// document the kubelet's order is that of a Go map, which is random; here it
// is that of the keys.
func (c *chain) sort() {
	slices.SortStableFunc(c.entries, func(a, b entry) int {
		return cmp.Or(strings.Compare(b.text, a.text), cmp.Compare(a.number, b.number), strings.Compare(a.key, b.key))
	})
	for i := 0; i < len(c.entries); {
		end := i + 1
		same := true // it does not matter which of two equal credentials comes first
		for ; end < len(c.entries) && c.entries[end].text == c.entries[i].text && c.entries[end].number == c.entries[i].number; end++ {
			same = same && c.entries[end].username == c.entries[i].username && c.entries[end].password == c.entries[i].password
		}
		for j := i; j < end; j++ {
			c.entries[j].unstable = !same
		}
		i = end
	}
}

// match appends the credentials of a chain for a target.
func (c *chain) match(t target, out []Credential) []Credential {
	before := len(out)
	for i := range c.entries {
		if e := &c.entries[i]; e.matches(t) {
			out = append(out, e.credential())
		}
	}
	if len(out) > before || c.hub == 0 || !t.hub {
		return out
	}
	for i := range c.entries {
		if e := &c.entries[i]; e.text == hubHost {
			out = append(out, e.credential())
		}
	}
	return out
}

func (e *entry) credential() Credential {
	return Credential{Username: e.username, Password: e.password, Source: e.source, Key: e.key}
}
