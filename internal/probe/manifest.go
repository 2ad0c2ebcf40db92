package probe

import (
	"context"
	"encoding/json"
	"net/http"

	"fairlead.dev/fairlead/internal/diagnosis"
	"fairlead.dev/fairlead/internal/oci"
)

// mostPlatforms of one image are shown.
const mostPlatforms = 100

// found is what a manifest says.
type found struct {
	digest oci.Digest
	list   bool
	// platforms are those that are named; open says that there are images
	// without a name of theirs, which may be for any.
	platforms []diagnosis.Platform
	open      bool
	config    oci.Digest
}

// describe finds the platforms of what can be pulled, each image once.
func (s *session) describe(ctx context.Context, a *diagnosis.Answer, wanted diagnosis.Platform) {
	known := map[oci.Digest]found{}
	for _, at := range attempts(a) {
		if at.Outcome != diagnosis.Pulls {
			continue
		}
		f, ok := known[at.Digest]
		if !ok {
			var outcome diagnosis.Outcome
			if f, outcome = s.inspect(ctx, at); outcome != "" {
				at.Outcome = outcome
				continue
			}
			known[at.Digest] = f
		}
		at.Platforms, at.List = f.platforms, f.list
		if !f.open && !runs(wanted, f.platforms) {
			at.Outcome = diagnosis.NoPlatform
		}
	}
}

// attempts are all of them, the anonymous one last.
func attempts(a *diagnosis.Answer) []*diagnosis.Attempt {
	var all []*diagnosis.Attempt
	for i := range a.Attempts {
		all = append(all, &a.Attempts[i])
	}
	return append(all, &a.Anonymous)
}

// inspect reads the manifest, and the config of a single one.
func (s *session) inspect(ctx context.Context, at *diagnosis.Attempt) (found, diagnosis.Outcome) {
	authorization := s.used[at.Index+1]
	f, outcome := s.manifest(ctx, at, authorization)
	if outcome != "" || f.config == "" {
		return f, outcome
	}
	r := s.send(ctx, &at.Exchanges, request{
		method: http.MethodGet, url: s.url(s.image.Repository + "/blobs/" + string(f.config)),
		authorization: authorization, most: mostManifest,
	})
	if r.outcome != "" {
		return f, r.outcome
	}
	last := &at.Exchanges[len(at.Exchanges)-1]
	switch o := statusOutcome(r.status); {
	case o == diagnosis.NotFound:
		last.Error = "the image's config is missing"
		return f, diagnosis.ServerError
	case o != "":
		return f, o
	case oci.DigestOf(f.config.Algorithm(), r.body) != f.config:
		last.Error = "the config's bytes do not have its digest"
		return f, diagnosis.ServerError
	}
	var p platform
	if json.Unmarshal(r.body, &p) == nil && p.OS != "" && p.Architecture != "" {
		f.platforms, f.open = []diagnosis.Platform{p.value()}, false
	}
	return f, ""
}

type platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant"`
}

func (p platform) value() diagnosis.Platform { return diagnosis.Platform(p) }

// manifest fetches the manifest and reads it. The outcome is "" if it is one.
func (s *session) manifest(ctx context.Context, at *diagnosis.Attempt, authorization string) (found, diagnosis.Outcome) {
	r := s.send(ctx, &at.Exchanges, request{
		method: http.MethodGet, url: s.manifestURL(), authorization: authorization, accept: accepted, most: mostManifest,
	})
	if r.outcome != "" {
		return found{}, r.outcome
	}
	if o := statusOutcome(r.status); o != "" {
		return found{}, o
	}
	last := &at.Exchanges[len(at.Exchanges)-1]
	want := at.Digest
	if want == "" {
		want = s.image.Reference.Digest
	}
	algorithm := oci.SHA256
	if want != "" {
		algorithm = want.Algorithm()
	}
	d := oci.DigestOf(algorithm, r.body)
	if want != "" && d != want {
		last.Error = "the manifest's bytes have the digest " + string(d)
		return found{}, diagnosis.ServerError
	}
	f, why := read(r)
	if why != "" {
		last.Error = why
		return found{}, diagnosis.ServerError
	}
	f.digest = d
	return f, ""
}

// mismatch says that an answer for one digest names another.
func (s *session) mismatch(d oci.Digest) string {
	if want := s.image.Reference.Digest; want != "" && want.Algorithm() == d.Algorithm() && want != d {
		return "it answers with the digest " + string(d)
	}
	return ""
}

// read reads an index or a manifest, or says why it is none.
func read(r reply) (found, string) {
	var m struct {
		MediaType     string `json:"mediaType"`
		SchemaVersion int    `json:"schemaVersion"`
		Config        *struct {
			Digest string `json:"digest"`
		} `json:"config"`
		Manifests *[]struct {
			Platform *platform `json:"platform"`
		} `json:"manifests"`
	}
	if err := json.Unmarshal(r.body, &m); err != nil {
		return found{}, "the answer is no manifest"
	}
	switch {
	case m.SchemaVersion == 1:
		return found{}, "the manifest is of Docker's schema 1, which container runtimes no longer pull"
	case m.Manifests != nil:
		f := found{list: true}
		for _, c := range *m.Manifests {
			switch {
			case c.Platform == nil:
				f.open = true
			case c.Platform.OS == "unknown": // an attestation
			case len(f.platforms) < mostPlatforms:
				f.platforms = append(f.platforms, c.Platform.value())
			default:
				f.open = true // there are more than are looked at
			}
		}
		return f, ""
	case m.Config != nil:
		d, err := oci.ParseDigest(m.Config.Digest)
		if err != nil {
			return found{}, "the manifest's config has no digest"
		}
		return found{config: d, open: true}, ""
	}
	return found{}, "the answer is no manifest"
}
