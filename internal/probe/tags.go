package probe

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"fairlead.dev/fairlead/internal/diagnosis"
	"fairlead.dev/fairlead/internal/oci"
)

const (
	listedTags  = 1000 // are asked for
	nearestTags = 5    // are shown
)

// whatElse looks at what is there where an image was not found: the tags, or
// not even the repository. It is not looked for if any attempt pulls: some
// registries say 404 to those without a right.
func (s *session) whatElse(ctx context.Context, a *diagnosis.Answer) {
	all := attempts(a)
	if slices.ContainsFunc(all, func(at *diagnosis.Attempt) bool { return at.Digest != "" }) {
		return
	}
	i := slices.IndexFunc(all, func(at *diagnosis.Attempt) bool { return at.Outcome == diagnosis.NotFound })
	if i < 0 {
		return
	}
	at := all[i]
	nameUnknown := at.Exchanges[len(at.Exchanges)-1].Code == string(oci.CodeNameUnknown)
	u := s.url(s.image.Repository + "/tags/list")
	u.RawQuery = "n=" + strconv.Itoa(listedTags)
	r := s.send(ctx, &at.Exchanges, request{method: http.MethodGet, url: u, authorization: s.used[at.Index+1], most: mostManifest})
	a.RepositoryUnknown = nameUnknown || r.outcome == "" && r.status == http.StatusNotFound
	if r.outcome != "" || r.status != http.StatusOK || s.image.Reference.Tag == "" {
		return
	}
	var list struct{ Tags []string }
	if json.Unmarshal(r.body, &list) == nil {
		a.Tags = nearest(string(s.image.Reference.Tag), list.Tags[:min(len(list.Tags), listedTags)])
	}
}

// nearest orders the tags by how far they are from the one that is not there,
// and keeps the first; what is no tag is left out.
func nearest(tag string, tags []string) []string {
	type near struct {
		tag      string
		distance int
	}
	var all []near
	for _, t := range tags {
		if _, err := oci.ParseTag(t); err == nil {
			all = append(all, near{t, distance(tag, t)})
		}
	}
	slices.SortFunc(all, func(a, b near) int { return cmp.Or(a.distance-b.distance, cmp.Compare(a.tag, b.tag)) })
	var out []string
	for _, n := range all[:min(len(all), nearestTags)] {
		out = append(out, n.tag)
	}
	return out
}

// distance is the number of letters to add, drop or change to get from a to b.
func distance(a, b string) int {
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
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
