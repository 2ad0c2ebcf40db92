package arch

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// floors: imports run down only. On one floor a package may import one that
// it lies below or above in the tree (oci/wire and oci), and no other.
var floors = map[string]int{
	"cmd/fairlead": 7,
	"internal/cli": 6,

	"internal/serve":   5,
	"internal/inquiry": 5,

	"internal/distribution":      4,
	"internal/admin":             4,
	"internal/management":        4,
	"internal/web":               4,
	"internal/kube":              4,
	"internal/kube/controller":   4,
	"internal/kubefile":          4,
	"internal/probe":             4,
	"internal/database":          4,
	"internal/database/sqlite":   4,
	"internal/database/postgres": 4,

	"internal/registry/local":  3,
	"internal/registry/remote": 3,
	"internal/registry/mirror": 3,
	"internal/registry/guard":  3,
	"internal/account":         3,
	"internal/backup":          3,
	"internal/token":           3,
	"internal/diagnosis":       3,
	"internal/pullplan":        3,
	"internal/advisor":         3,

	"internal/registry":          2,
	"internal/access":            2,
	"internal/audit":             2,
	"internal/tally":             2,
	"internal/advisor/inventory": 2,
	"internal/advisor/feed":      2,
	"internal/client":            2,
	"internal/pullsecret":        2,
	"internal/selfimage":         2,

	"internal/oci":        1,
	"internal/oci/wire":   1,
	"internal/blob":       1,
	"internal/blob/disk":  1,
	"internal/blob/s3":    1,
	"internal/config":     1,
	"internal/observe":    1,
	"internal/keyfile":    1,
	"internal/socket":     1,
	"internal/credhelper": 1,
	"dockerconfig":        1,
	"keyring":             1,
	"api/v1":              1,
	"api/v1alpha1":        1,
	"deploy":              1,

	"internal/certificate":               1,
	"internal/kube/controller/admission": 4,
}

// suites are imported by tests only; they may import what they test.
func suite(p string) bool { return strings.HasSuffix(path.Base(p), "test") && p != "test" }

// never is one line of the table: no package under from imports one under to.
type never struct {
	from, except []string
	to           []string
	deep         bool // not even through others
	why          string
}

var (
	pure     = []string{"internal/oci", "internal/access", "dockerconfig", "keyring", "internal/pullsecret", "internal/pullplan", "internal/diagnosis", "internal/kubefile"}
	surfaces = []string{"internal/distribution", "internal/admin", "internal/web"}
	domains  = []string{
		"internal/oci", "internal/access", "internal/blob", "internal/registry", "internal/account", "internal/token",
		"internal/advisor", "internal/backup", "internal/kube", "internal/kubefile", "internal/pullsecret", "internal/pullplan", "internal/diagnosis", "internal/probe", "internal/inquiry", "internal/keyfile", "internal/database", "internal/audit", "internal/tally", "dockerconfig", "keyring",
	}
)

var nevers = []never{
	{from: pure, to: []string{"os", "io/ioutil", "net", "math/rand", "math/rand/v2"}, why: "pure code is table-testable and fuzzable"},
	{from: pure, to: []string{"net/http", "database/sql"}, deep: true, why: "pure code is table-testable and fuzzable"},
	{from: surfaces, to: []string{"internal/database", "internal/blob", "internal/registry/local"}, why: "surfaces get what serve gives them, already guarded"},
	{from: domains, to: []string{"internal/config", "internal/serve", "internal/cli"}, deep: true, why: "each package has its own Options; serve translates"},
	{from: []string{"internal/advisor"}, to: []string{"internal/registry"}, why: "domains meet in serve, through small interfaces of the consumer"},
	{from: []string{"internal/registry"}, to: []string{"internal/advisor", "internal/account", "internal/token"}, why: "domains meet in serve, through small interfaces of the consumer"},
	{from: []string{"dockerconfig", "keyring", "api"}, to: []string{"internal"}, deep: true, why: "they are public"},
}

// door is a library that one place keeps for all; nobody else knows it.
type door struct {
	library string
	owners  []string
	why     string
}

var doors = []door{
	{"github.com/spf13", []string{"internal/cli"}, "swappable, and go list proves it"},
	{"modernc.org/sqlite", []string{"internal/database/sqlite"}, "swappable, and go list proves it"},
	{"github.com/jackc/pgx", []string{"internal/database/postgres"}, "swappable, and go list proves it"},
	{"database/sql", []string{"internal/database"}, "every store in SQL lies in one place"},
	{"github.com/aws", []string{"internal/blob/s3"}, "swappable, and go list proves it"},
	{"github.com/minio", []string{"internal/blob/s3"}, "swappable, and go list proves it"},
	{"k8s.io", []string{"internal/kube", "api/v1alpha1"}, "its weight stays behind one door"},
	{"sigs.k8s.io", []string{"internal/kube", "api/v1alpha1"}, "its weight stays behind one door"},
	{"github.com/prometheus", []string{"internal/observe", "internal/kube/controller"}, "swappable, and go list proves it"},
	{"github.com/schollz", []string{"internal/cli"}, "swappable, and go list proves it"},
	{"github.com/dustin", []string{"internal/cli"}, "swappable, and go list proves it"},
	{"go.yaml.in/yaml", []string{"internal/config", "internal/cli", "internal/kubefile"}, "people's files are read in one place"},
	{"github.com/danielgtaylor/huma", []string{"internal/admin"}, "it writes the API's document and serves nothing"},
	{"github.com/pb33f", nil, "for tests: the schema of OpenAPI"},
	{"github.com/santhosh-tekuri/jsonschema", nil, "for tests"},
	{"github.com/google/go-cmp", nil, "for tests"},
	{"github.com/rogpeppe/go-internal", nil, "for tests"},
	{"github.com/google/go-containerregistry", nil, "for tests: a foreign client"},
	{"testing", nil, "for tests"},
}

var badNames = []string{
	"util", "utils", "common", "helper", "helpers", "types", "misc", "shared", "base", "lib", "impl", "manager", "core", "interfaces", "models",
}

// violations checks every rule and says what is broken.
func violations(pkgs []pkg) []string {
	var out []string
	for _, p := range pkgs {
		if slices.Contains(badNames, path.Base(p.path)) {
			out = append(out, fmt.Sprintf("%s: a package is named by what it provides, one noun", p.path))
		}
		if p.path == "internal/arch" || suite(p.path) {
			continue
		}
		out = append(out, floorViolations(p)...)
		out = append(out, neverViolations(p)...)
		out = append(out, doorViolations(p)...)
	}
	return out
}

func floorViolations(p pkg) []string {
	floor, ok := floors[p.path]
	if !ok {
		return []string{p.path + ": stands on no floor; add it to floors in internal/arch and to CONTRIBUTING.md"}
	}
	var out []string
	for _, i := range p.imports {
		if suite(i) && !strings.HasPrefix(i, "testing/") && strings.HasPrefix(i, "internal/") {
			out = append(out, fmt.Sprintf("%s imports %s: fakes stay fakes", p.path, i))
			continue
		}
		below, ours := floors[i]
		if ours && (below > floor || below == floor && !under(i, p.path) && !under(p.path, i)) {
			out = append(out, fmt.Sprintf("%s (floor %d) imports %s (floor %d): imports run down only", p.path, floor, i, below))
		}
	}
	return out
}

func neverViolations(p pkg) []string {
	var out []string
	for _, n := range nevers {
		if !underAny(p.path, n.from) || underAny(p.path, n.except) {
			continue
		}
		reached := p.imports
		if n.deep {
			reached = p.deps
		}
		for _, i := range reached {
			if forbidden(i, n.to) {
				out = append(out, fmt.Sprintf("%s imports %s: %s", p.path, i, n.why))
			}
		}
	}
	if slices.Contains(surfaces, p.path) {
		for _, i := range p.imports {
			if slices.Contains(surfaces, i) && i != p.path {
				out = append(out, fmt.Sprintf("%s imports the surface %s: surfaces do not know each other", p.path, i))
			}
		}
	}
	return out
}

// forbidden compares the standard library's packages whole ("net" is not
// "net/url") and ours, which stand on a floor, with what lies below them: the
// standard library has a folder internal, too.
func forbidden(i string, to []string) bool {
	_, ours := floors[i]
	for _, t := range to {
		if i == t || ours && strings.HasPrefix(t, "internal") && under(i, t) {
			return true
		}
	}
	return false
}

func doorViolations(p pkg) []string {
	var out []string
	for _, d := range doors {
		for _, i := range p.imports {
			if under(i, d.library) && !underAny(p.path, d.owners) {
				out = append(out, fmt.Sprintf("%s imports %s: %s", p.path, i, d.why))
			}
		}
	}
	return out
}
