package management

import (
	"context"
	"slices"
	"strings"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
	"fairlead.dev/fairlead/internal/registry/local"
)

// mostProvided bounds how many provided images one list begins with; what is
// beyond is on the next page.
const mostProvided = 1000

// places are where a list looks, in the order of the repositories in them:
// what p may see and q selects.
func (d *Desk) places(ctx context.Context, p access.Principal, q v1.PlaceQuery, after oci.Repo) ([]local.Place, error) {
	switch {
	case q.Repository != "" && q.Namespace != "":
		return nil, invalid("give a repository or a namespace, not both")
	case q.Repository != "":
		repo, err := oci.ParseRepo(q.Repository)
		if err != nil {
			return nil, err
		}
		if !d.o.Policy.Visible(p, repo) {
			return nil, nil // as if nothing were there
		}
		return []local.Place{{Prefix: q.Repository}}, nil
	case q.Namespace != "":
		return d.within(p, []string{q.Namespace}), nil
	case p.Kind == access.Operator:
		return []local.Place{{}}, nil
	}
	out := d.within(p, d.o.Directory.Names(p, q.IncludePublic))
	if !q.IncludePublic || !d.o.Policy.Visible(p, "x") { // any repository of one element
		return out, nil
	}
	var provided []oci.Repo
	for repo, err := range d.o.Registry.Repositories(ctx, registry.Within{}, after) {
		if err != nil || len(provided) == mostProvided {
			return merge(out, provided), err
		}
		provided = append(provided, repo)
	}
	return merge(out, provided), nil
}

// merge puts provided images between the places, in the order of names.
func merge(places []local.Place, provided []oci.Repo) []local.Place {
	out := make([]local.Place, 0, len(places)+len(provided))
	for _, p := range places {
		for len(provided) > 0 && string(provided[0]) < first(p) {
			out, provided = append(out, local.Place{Prefix: string(provided[0])}), provided[1:]
		}
		out = append(out, p)
	}
	for _, repo := range provided {
		out = append(out, local.Place{Prefix: string(repo)})
	}
	return out
}

// within gives the parts of the namespaces that p may see.
func (d *Desk) within(p access.Principal, names []string) []local.Place {
	var out []local.Place
	for _, name := range names {
		if !d.o.Policy.VisibleIn(p, name) {
			continue
		}
		n, _ := d.o.Directory.Namespace(name)
		if p.Kind == access.Operator || p.Reach.All || n.Public {
			out = append(out, local.Place{Prefix: name})
			continue
		}
		for _, part := range p.Reach.Parts {
			if part.Namespace() == name && part.Incarnation == n.Incarnation {
				out = append(out, local.Place{Prefix: part.Path})
			}
		}
	}
	slices.SortFunc(out, func(a, b local.Place) int { return strings.Compare(first(a), first(b)) })
	return slices.CompactFunc(out, func(a, b local.Place) bool {
		return a == b || strings.HasPrefix(b.Prefix, a.Prefix+"/")
	})
}

// first is where the repositories of a namespace or below a repository begin
// in the order of names.
func first(p local.Place) string {
	if strings.Contains(p.Prefix, "/") {
		return p.Prefix
	}
	return p.Prefix + "/"
}

// behind tells whether all of the place lies before what comes after repo.
func behind(p local.Place, after oci.Repo) bool {
	return after != "" && p.Prefix != "" && p.Prefix+"/\xff" < string(after)
}
