package why_test

import (
	"slices"
	"testing"

	"fairlead.dev/fairlead/internal/diagnosis"
	"fairlead.dev/fairlead/test/cluster/harness"
)

// TestCatalogue lets a pull fail in every way, and wants its cause.
func TestCatalogue(t *testing.T) {
	t.Parallel()
	c := harness.Node(t)
	s := harness.StartFairlead(t, "--anonymous-public")
	s.Account(t, "acme", "acme-web", "acme-lib", "acme-open")
	s.Account(t, "other", "other-web")
	s.Public(t, "acme-open")
	for _, r := range rows() {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			at := &scene{t: t, c: c, ns: c.Namespace(t), s: s}
			at.image = harness.Operator(s).Push(t, "acme-web/"+r.name+":v1", c.App(t, t.Name()))
			r.arrange(at)
			v := at.why(1, append([]string{"pod/app"}, at.args...)...).Reports[0].Verdicts[0]
			at.judged(v, r.cause, r.also)
			if r.heals && !t.Failed() {
				at.paste(v)
				at.ns.Running("app")
				at.why(0, "pod/app")
			}
		})
	}
}

// elsewhere are the causes that a test of their own brings about.
var elsewhere = map[string]func(*testing.T){"wrong-order": TestOrder, "old-api-version": TestOldVersion}

// TestWholeCatalogue: every cause has a row, or a reason why it has none.
func TestWholeCatalogue(t *testing.T) {
	t.Parallel()
	all := rows()
	for _, c := range diagnosis.Causes() {
		cause := string(c)
		if unreal[cause] != "" || elsewhere[cause] != nil || slices.ContainsFunc(all, func(r row) bool { return r.cause == cause || r.also == cause }) {
			continue
		}
		t.Errorf("no row for %s", cause)
	}
}
