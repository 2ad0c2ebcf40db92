package sqlite

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/audit"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
)

// crowd makes rows in bulk: 10 accounts with 100,000 namespaces, 1,000,000
// tokens and as many lines, and 1,000 repositories of 10 images of 10 blobs
// with 10 tags each.
var crowd = []string{
	`INSERT INTO accounts (id, name, description, created_at, created_by, changed)
	SELECT i, 'a' || i, '', 1, 'operator', 1 FROM n WHERE i <= 10`,
	`INSERT INTO namespaces (name, account_id, incarnation, public, immutable, created_at, created_by, removed_at, version, changed)
	SELECT printf('n%06d', i), i % 10 + 1, 'life', 0, '[]', 1, 'alice', CASE WHEN i % 3 = 0 THEN 1 END, 1, i FROM n WHERE i <= 100000`,
	`INSERT INTO tokens (id, account_id, level, reach, description, cluster, created_at, created_by, expires_at, revoked_by, ended_at,
	generation, key_id, former_key_id, request_key, last_address, last_client, pulls)
	SELECT printf('t%011d', i), i % 10 + 1, 'readonly', '{"all":true}', 'of the build', CASE WHEN i % 5 = 0 THEN 'prod' ELSE '' END, 1, 'alice',
	i, '', CASE WHEN i % 2 = 0 THEN i END, 1, 'k' || (i % 3), '', '', '', '', 0 FROM n WHERE i <= 1000000`,
	`INSERT INTO audit (happened_at, account_id, actor, token_id, action, namespace, repository, target, outcome, reason, detail, address, client, request, times)
	SELECT i * 1000000, i % 10 + 1, 'alice', printf('t%011d', i % 1000), 'action' || (i % 20), printf('n%06d', i % 500), printf('n%06d/web', i % 500), 'latest',
	CASE WHEN i % 1000 = 0 THEN 'denied' ELSE 'allowed' END, '', '', '192.0.2.1', 'containerd/2.0', 'request', 1 FROM n WHERE i <= 1000000`,
	`INSERT INTO repositories (id, name, incarnation, created_at) SELECT i, printf('n%06d/web', i), '', 1 FROM n WHERE i <= 1000`,
	`INSERT INTO blobs (id, digest, size, key, created_at) SELECT i, 'sha256:b' || i, 1000, 'key' || i, 1 FROM n WHERE i <= 100000`,
	`INSERT INTO repository_blobs (blob_id, repository_id, created_at) SELECT i, (i - 1) / 100 + 1, 1 FROM n WHERE i <= 100000`,
	`INSERT INTO manifest_contents (id, digest, body) SELECT i, 'sha256:m' || i, x'00' FROM n WHERE i <= 10000`,
	`INSERT INTO manifests (id, repository_id, content_id, digest, media_type, artifact_type, size, annotations, created_at)
	SELECT i, (i - 1) / 10 + 1, i, 'sha256:m' || i, 'm', '', 500, '', 1 FROM n WHERE i <= 10000`,
	`INSERT INTO manifest_blobs (blob_id, repository_id, manifest_id) SELECT i, (i - 1) / 100 + 1, (i - 1) / 10 + 1 FROM n WHERE i <= 100000`,
	`INSERT INTO tags (repository_id, name, manifest_id, updated_at) SELECT (i - 1) / 100 + 1, printf('v%03d', (i - 1) % 100), (i - 1) / 10 + 1, 1 FROM n WHERE i <= 100000`,
	`INSERT INTO pulls (repository, kind, name, total, last_at) SELECT printf('n%06d/web', i), 'repository', '', 5, 5 FROM n WHERE i <= 1000`,
}

const counted = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000) `

// TestAtSize: a page of whatever there is takes less than 5 ms, however much
// there is, and a token is found as fast as among few.
func TestAtSize(t *testing.T) { //nolint:paralleltest // it measures
	if os.Getenv("FAIRLEAD_LONG") != "1" {
		t.Skip("FAIRLEAD_LONG=1 runs it")
	}
	db := open(t, Options{Now: func() time.Time { return time.UnixMicro(500_000) }})
	ctx := t.Context()
	few := crowd[2]
	for _, text := range slices.Concat(crowd[:1], []string{few + ` AND i <= 10`}) {
		if _, err := db.writer.tx.conn.ExecContext(ctx, counted+text); err != nil {
			t.Fatal(err)
		}
	}
	token := func(i int) error {
		_, err := db.Accounts.Token(ctx, 0, fmt.Sprintf("t%011d", i%10+1))
		return err
	}
	among := measured(t, "token among 10", 5000, token)
	for i, text := range crowd[1:] {
		if i == 1 {
			text += ` AND i > 10`
		}
		if _, err := db.writer.tx.conn.ExecContext(ctx, counted+text); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
	}
	if d := measured(t, "token among 1,000,000", 5000, token); d > 3*among {
		t.Errorf("a token takes %s among many, %s among few", d, among)
	}
	for name, page := range pages(t, db) {
		if d := measured(t, name, 200, page); d > 5*time.Millisecond {
			t.Errorf("%s takes %s", name, d)
		}
	}
	usage := func(i int) error { _, err := db.Overview.Usage(ctx, fmt.Sprintf("n%06d", i%1000+1)); return err }
	measured(t, "usage", 50, usage)
}

// pages of 100.
func pages(t *testing.T, db *DB) map[string]func(i int) error {
	ctx := t.Context()
	tokens := func(f account.TokenFilter) func(i int) error {
		return func(i int) error {
			page, _, err := db.Accounts.TokenPage(ctx, f, fmt.Sprint(900_000-i*100), 100)
			return full(len(page), err)
		}
	}
	lines := func(f audit.Filter, few bool) func(i int) error {
		return func(i int) error {
			page, _, err := db.Audit.Lines(ctx, f, int64(900_000-i*100), 100)
			if few {
				return err
			}
			return full(len(page), err)
		}
	}
	return map[string]func(i int) error{
		"tokens":               tokens(account.TokenFilter{}),
		"tokens, ended":        tokens(account.TokenFilter{Ended: true}),
		"tokens of an account": tokens(account.TokenFilter{Scoped: true, AccountID: 2}),
		"tokens of a cluster":  tokens(account.TokenFilter{Cluster: "prod", Scoped: true, AccountID: 6}),
		"namespaces": func(i int) error {
			page, err := db.Accounts.NamespacePage(ctx, 0, fmt.Sprintf("n%06d", i*1000), 100)
			return full(len(page), err)
		},
		"namespaces of an account": func(i int) error {
			page, err := db.Accounts.NamespacePage(ctx, 3, fmt.Sprintf("n%06d", i*1000), 100)
			return full(len(page), err)
		},
		"audit":                  lines(audit.Filter{}, false),
		"audit of an account":    lines(audit.Filter{Scoped: true, AccountID: 3}, false),
		"audit of a token":       lines(audit.Filter{TokenID: "t00000000007"}, false),
		"audit of a repository":  lines(audit.Filter{Repository: "n000007/web"}, false),
		"audit of an action":     lines(audit.Filter{Action: "action7"}, false),
		"audit, what is seldom":  lines(audit.Filter{Scoped: true, AccountID: 1, Outcome: audit.Denied, ActionPrefix: "action"}, true),
		"audit, of an hour":      lines(audit.Filter{Since: time.Unix(400_000, 0), Until: time.Unix(403_600, 0)}, false),
		"audit, what is nowhere": lines(audit.Filter{Namespace: "n000007", Outcome: audit.Failed}, true),
		"images": func(i int) error {
			page, err := db.Overview.ImagePage(ctx, local.Place{}, oci.Repo(fmt.Sprintf("n%06d/web", i*10+1)), "v050", 100)
			return full(len(page), err)
		},
		"repositories, 10": func(i int) error {
			page, err := db.Overview.RepositoryPage(ctx, local.Place{}, oci.Repo(fmt.Sprintf("n%06d/web", i*10+1)), 10)
			return full(10*len(page), err)
		},
		"digests": func(i int) error {
			page, _, err := db.Overview.DigestPage(ctx, oci.Repo(fmt.Sprintf("n%06d/web", i*10+1)), 0, 100)
			return full(10*len(page), err)
		},
	}
}

func full(n int, err error) error {
	if err == nil && n != 100 {
		err = fmt.Errorf("the page has %d", n)
	}
	return err
}

// measured is the median.
func measured(t *testing.T, name string, times int, run func(i int) error) time.Duration {
	t.Helper()
	all := make([]time.Duration, times)
	for i := range times {
		begin := time.Now()
		if err := run(i % 50); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all[i] = time.Since(begin)
	}
	slices.Sort(all)
	t.Logf("%-24s %8s, 99th percentile %s", name, all[times/2].Round(time.Microsecond), all[times*99/100].Round(time.Microsecond))
	return all[times/2]
}
