package arch

import (
	"slices"
	"strings"
	"testing"
)

// TestImports holds the module against the rules.
func TestImports(t *testing.T) {
	t.Parallel()
	for _, v := range violations(graph(t)) {
		t.Error(v)
	}
}

// TestTheRulesBite breaks each rule in a graph of its own: a checker that
// finds nothing proves nothing.
func TestTheRulesBite(t *testing.T) {
	t.Parallel()
	one := func(path string, imports ...string) pkg { return pkg{path: path, imports: imports, deps: imports} }
	for name, c := range map[string]struct {
		broken pkg
		want   string
	}{
		"no floor":                        {one("internal/attic"), "stands on no floor"},
		"up":                              {one("internal/registry/local", "internal/serve"), "imports run down only"},
		"across":                          {one("internal/account", "internal/token"), "imports run down only"},
		"across among siblings":           {one("internal/registry/local", "internal/registry/guard"), "imports run down only"},
		"pure room, HTTP":                 {one("internal/access", "net/http"), "table-testable"},
		"pure room, SQL":                  {one("internal/oci", "database/sql"), "table-testable"},
		"pure room, os":                   {one("internal/oci/wire", "os"), "table-testable"},
		"pure room, HTTP through another": {pkg{path: "internal/oci", imports: []string{"mime/multipart"}, deps: []string{"mime/multipart", "net/http"}}, "imports net/http"},
		"pure plan, HTTP":                 {one("internal/pullsecret", "net/http"), "table-testable"},
		"surface, database":               {one("internal/distribution", "internal/database"), "already guarded"},
		"surface, a dialect":              {one("internal/distribution", "internal/database/sqlite"), "already guarded"},
		"surface, blobs":                  {one("internal/web", "internal/blob/disk"), "already guarded"},
		"surface, local":                  {one("internal/admin", "internal/registry/local"), "already guarded"},
		"surface, surface":                {one("internal/web", "internal/admin"), "do not know each other"},
		"domain, config":                  {one("internal/token", "internal/config"), "serve translates"},
		"domain, config through another":  {pkg{path: "internal/database", deps: []string{"internal/config"}}, "serve translates"},
		"registry, account":               {one("internal/registry/guard", "internal/account"), "domains meet in serve"},
		"registry, token":                 {one("internal/registry", "internal/token"), "domains meet in serve"},
		"registry, advisor":               {one("internal/registry/local", "internal/advisor"), "domains meet in serve"},
		"advisor, registry":               {one("internal/advisor", "internal/registry"), "domains meet in serve"},
		"public, internal":                {one("keyring", "internal/oci"), "they are public"},
		"cobra":                           {one("internal/serve", "github.com/spf13/cobra"), "swappable"},
		"sqlite":                          {one("internal/database", "modernc.org/sqlite"), "swappable"},
		"pgx":                             {one("internal/database/sqlite", "github.com/jackc/pgx/v5"), "swappable"},
		"S3":                              {one("internal/blob/disk", "github.com/minio/minio-go/v7"), "swappable"},
		"kubernetes":                      {one("internal/cli", "k8s.io/client-go/kubernetes"), "one door"},
		"controller-runtime":              {one("internal/serve", "sigs.k8s.io/controller-runtime"), "one door"},
		"prometheus":                      {one("internal/distribution", "github.com/prometheus/client_golang/prometheus"), "swappable"},
		"progress bars":                   {one("internal/client", "github.com/schollz/progressbar/v3"), "swappable"},
		"the API's document":              {one("internal/distribution", "github.com/danielgtaylor/huma/v2"), "serves nothing"},
		"a library for tests":             {one("internal/serve", "github.com/google/go-containerregistry/pkg/name"), "for tests"},
		"testing":                         {one("internal/blob/disk", "testing"), "for tests"},
		"a suite":                         {one("internal/serve", "internal/blob/blobtest"), "fakes stay fakes"},
		"a name that says nothing":        {one("internal/util"), "one noun"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := violations([]pkg{c.broken})
			if !slices.ContainsFunc(got, func(v string) bool { return strings.Contains(v, c.want) }) {
				t.Errorf("%+v: reported %q, want %q", c.broken, got, c.want)
			}
		})
	}
}

// TestTheRulesLetLive: what is meant to be allowed is.
func TestTheRulesLetLive(t *testing.T) {
	t.Parallel()
	for _, p := range []pkg{
		{path: "internal/oci/wire", imports: []string{"internal/oci", "net/url"}, deps: []string{"internal/oci", "net/url", "os"}},
		{path: "internal/database/sqlite", imports: []string{"internal/database", "modernc.org/sqlite", "database/sql"}},
		{path: "internal/blob/blobtest", imports: []string{"testing", "internal/blob"}},
		{path: "internal/registry/guard", imports: []string{"internal/registry", "internal/access", "internal/oci"}},
		{path: "internal/serve", imports: []string{"internal/distribution", "internal/database/sqlite", "internal/config", "net/http"}},
		{path: "internal/cli", imports: []string{"github.com/spf13/cobra", "internal/serve"}},
	} {
		if got := violations([]pkg{p}); len(got) > 0 {
			t.Errorf("%s: %q", p.path, got)
		}
	}
}
