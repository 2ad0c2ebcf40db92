package config

import (
	"regexp"
	"slices"
	"strings"
)

// link matches what Kubernetes puts into the pods beside a Service that is
// named fairlead or fairlead-something: they are nobody's mistake.
var link = regexp.MustCompile(`^FAIRLEAD_(?:[A-Z0-9_]+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)$`)

func serviceLink(name string) bool { return link.MatchString(name) }

// suggest names the known words that are close to word, or nothing.
func suggest(word string, known []string) string {
	type candidate struct {
		word     string
		distance int
	}
	normal := func(s string) string {
		s = strings.TrimPrefix(strings.ToLower(s), strings.ToLower(EnvPrefix))
		return strings.ReplaceAll(s, "_", "-")
	}
	var close []candidate
	w := normal(word)
	for _, k := range known {
		n := normal(k)
		d := distance(w, n)
		if d <= max(1, len(n)/3) || (len(w) > 3 && strings.Contains(n, w)) {
			close = append(close, candidate{k, d})
		}
	}
	if len(close) == 0 {
		return ""
	}
	slices.SortStableFunc(close, func(a, b candidate) int { return a.distance - b.distance })
	words := []string{}
	for _, c := range close[:min(3, len(close))] {
		words = append(words, c.word)
	}
	return ": did you mean " + strings.Join(words, ", ") + "?"
}

// distance is the number of letters to add, drop or change to get from a to b.
func distance(a, b string) int {
	if len(a) > 64 { // no setting is that long
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
