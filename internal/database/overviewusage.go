package database

import (
	"context"

	"fairlead.dev/fairlead/internal/registry/local"
)

// A namespace is the repository of its name and those between two names. The
// sums cost what the namespace holds, whatever others do.
const (
	inNamespace = `(r.name = ? OR r.name > ? AND r.name < ?)`

	repositoriesUsed = `SELECT COUNT(*), CAST(COALESCE(SUM(p.total), 0) AS BIGINT), COALESCE(MAX(p.last_at), 0) FROM repositories r
LEFT JOIN pulls p ON p.repository = r.name AND p.kind = 'repository' AND p.name = '' WHERE ` + inNamespace

	tagsUsed = `SELECT COUNT(*) FROM repositories r CROSS JOIN tags t WHERE t.repository_id = r.id AND ` + inNamespace

	manifestsUsed = `SELECT COUNT(*), CAST(COALESCE(SUM(m.size), 0) AS BIGINT) FROM repositories r CROSS JOIN manifests m
WHERE m.repository_id = r.id AND ` + inNamespace

	blobsUsed = `SELECT CAST(COALESCE(SUM(b.size), 0) AS BIGINT) FROM blobs b WHERE b.id IN
	(SELECT l.blob_id FROM repositories r CROSS JOIN repository_blobs l
	WHERE l.repository_id = r.id AND ` + inNamespace + ` AND EXISTS
	(SELECT 1 FROM manifest_blobs n WHERE n.blob_id = l.blob_id AND n.repository_id = l.repository_id))`

	// Of the present owner's entries only.
	trashUsed = `SELECT CAST(COALESCE(SUM(b.size), 0) AS BIGINT) FROM blobs b WHERE b.id IN
	(SELECT x.blob_id FROM trash t CROSS JOIN trash_manifests m CROSS JOIN trash_blobs x
	WHERE m.trash_id = t.id AND x.manifest_id = m.id AND t.namespace = ?
	AND t.account_id = COALESCE((SELECT account_id FROM namespaces WHERE name = ?), 0))
AND NOT EXISTS (SELECT 1 FROM manifest_blobs n CROSS JOIN repositories r
	WHERE n.blob_id = b.id AND r.id = n.repository_id AND ` + inNamespace + `)`
)

// Usage sums up a namespace; one that is not there uses nothing.
func (o *Overview) Usage(ctx context.Context, namespace string) (local.UsageInfo, error) {
	u := local.UsageInfo{Namespace: namespace}
	own := []any{namespace, namespace + "/", namespace + "0"}
	var last, manifests, blobs int64
	for _, read := range []struct {
		text string
		args []any
		dest []any
	}{
		{repositoriesUsed, own, []any{&u.Repositories, &u.Pulls, &last}},
		{tagsUsed, own, []any{&u.Tags}},
		{manifestsUsed, own, []any{&u.Manifests, &manifests}},
		{blobsUsed, own, []any{&blobs}},
		{trashUsed, append([]any{namespace, namespace}, own...), []any{&u.Trash}},
	} {
		if _, err := o.db.Row(ctx, read.text, read.args, read.dest...); err != nil {
			return local.UsageInfo{}, failed(err, "sum up %s", namespace)
		}
	}
	if u.Bytes = manifests + blobs; u.Pulls > 0 {
		u.LastPull = moment(last)
	}
	return u, nil
}
