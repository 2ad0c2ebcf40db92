// Package inquiry completes what was gathered about a pod by what registries
// say: for each of its images it replays the kubelet's choice of credentials,
// asks the registry with each in the kubelet's order and once without, and
// looks the credentials up in the records of our own registry. The judgement
// is diagnosis.Diagnose's.
package inquiry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"fairlead.dev/fairlead/internal/diagnosis"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/probe"
	"fairlead.dev/fairlead/keyring"
)

// Registry asks a registry about one image; probe.Prober does.
type Registry interface {
	Ask(context.Context, diagnosis.Image, []probe.Credential, diagnosis.Platform) diagnosis.Answer
}

// Records is what a registry of ours knows about a credential.
type Records interface {
	// Record of the token that a password is the value of, at the registry on
	// this host, and what it lacks to pull the repository. Errors:
	// ErrNoRecord if the password is no token of ours, ErrNobody if nobody is
	// signed in there to ask; any other says why the registry did not tell.
	Record(ctx context.Context, host, password string, repo oci.Repo) (diagnosis.Record, error)
}

// The errors of Records.
var (
	ErrNoRecord = errors.New("no record")
	ErrNobody   = errors.New("nobody is signed in there")
)

// Inquiry asks. Either may be nil: then it is not asked.
type Inquiry struct {
	Registry Registry
	Records  Records
}

// most is how many images are asked about at once.
const most = 4

// Complete fills in e.Answers and e.Records, and adds to e.Blind what could
// not be seen. It gives no error: what fails is evidence as well.
func (q Inquiry) Complete(ctx context.Context, e *diagnosis.Evidence) {
	if e.Pod == nil {
		return
	}
	if q.Registry == nil {
		e.Blind = append(e.Blind, "what the registry answers: it was not asked")
		return
	}
	ring := keyring.New(diagnosis.Sources(e.Secrets)...)
	e.Answers = map[string]diagnosis.Answer{}
	e.Records = map[diagnosis.RecordKey]diagnosis.Record{}
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(most)
	for _, image := range images(e.Pod) {
		g.Go(func() error {
			q.one(ctx, e, &mu, image, ring)
			return nil
		})
	}
	_ = g.Wait() // no goroutine gives an error
	slices.Sort(e.Blind)
	e.Blind = slices.Compact(e.Blind)
	if len(e.Answers) > 0 {
		e.Blind = append(e.Blind, "the node's own DNS, trusted certificates, registry mirrors and credential plugins: the registry was asked from here, and not from the node")
	}
}

// images of the containers that have not run, each once.
func images(p *diagnosis.Pod) []string {
	var out []string
	for _, c := range p.Containers {
		if !c.Pulled() && !slices.Contains(out, c.Image) {
			out = append(out, c.Image)
		}
	}
	return out
}

func (q Inquiry) one(ctx context.Context, e *diagnosis.Evidence, mu *sync.Mutex, name string, ring *keyring.Ring) {
	image, err := keyring.ParseImage(name)
	if err != nil {
		return
	}
	ref, err := refOf(image)
	if err != nil {
		return
	}
	matches := ring.Match(image)
	creds := make([]probe.Credential, len(matches))
	for i, m := range matches {
		creds[i] = probe.Credential{Username: m.Username, Password: m.Password}
	}
	at := diagnosis.Image{Host: probe.HostOf(image.Domain), Repository: image.Path, Reference: ref}
	answer := q.Registry.Ask(ctx, at, creds, platform(e.Node))
	records, blind := q.records(ctx, at, matches, answer)
	mu.Lock()
	defer mu.Unlock()
	e.Answers[name] = answer
	for i, r := range records {
		e.Records[diagnosis.RecordKey{Image: name, Index: i}] = r
	}
	e.Blind = append(e.Blind, blind...)
}

func refOf(image keyring.Image) (oci.Ref, error) {
	if image.Digest != "" {
		return oci.ParseRef(image.Digest)
	}
	return oci.ParseRef(image.Tag)
}

func platform(n *diagnosis.Node) diagnosis.Platform {
	if n == nil {
		return diagnosis.Platform{}
	}
	return diagnosis.Platform{OS: n.OS, Architecture: n.Architecture}
}

// records looks up the credentials that were refused.
func (q Inquiry) records(ctx context.Context, at diagnosis.Image, matches []keyring.Credential, answer diagnosis.Answer) (map[int]diagnosis.Record, []string) {
	out := map[int]diagnosis.Record{}
	var blind []string
	if q.Records == nil {
		return out, nil
	}
	for _, a := range answer.Attempts {
		if a.Index < 0 || a.Index >= len(matches) || a.Outcome == diagnosis.Pulls || a.Outcome == diagnosis.Skipped {
			continue
		}
		repo, err := oci.ParseRepo(at.Repository)
		if err != nil {
			continue
		}
		r, err := q.Records.Record(ctx, at.Host, matches[a.Index].Password, repo)
		switch {
		case err == nil:
			out[a.Index] = r
		case errors.Is(err, ErrNobody) && answer.Fairlead:
			blind = append(blind, fmt.Sprintf("the record of the registry %s about the credential: nobody is signed in there (fairlead login)", at.Host))
		case !errors.Is(err, ErrNoRecord) && !errors.Is(err, ErrNobody):
			blind = append(blind, fmt.Sprintf("the record of the registry %s about the credential: %v", at.Host, err))
		}
	}
	return out, blind
}
