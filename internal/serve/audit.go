package serve

import (
	"context"
	"log/slog"
	"strings"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/audit"
	"fairlead.dev/fairlead/internal/observe"
	"fairlead.dev/fairlead/internal/registry/guard"
)

// actions are the audit trail's names for calls to the registry.
var actions = map[string]string{
	"PutManifest": "manifest.push", "Commit": "blob.push", "Mount": "blob.mount", "Upload": "blob.push",
	"DeleteManifest": "manifest.delete", "DeleteBlob": "blob.delete", "DeleteRepository": "repository.delete",
	"Manifest": "manifest.pull", "Resolve": "manifest.pull", "StatBlob": "blob.pull", "OpenBlob": "blob.pull",
	"Tags": "tags.list", "Referrers": "referrers.list", "Repositories": "catalog.list",
}

// keep puts image changes and refusals into the audit trail. Blobs are no
// change of an image by themselves; every client's first request is without
// credentials, and no refusal to speak of.
func (s *server) keep(ctx context.Context, e guard.Event) {
	change := e.Method == "PutManifest" || e.Method == "DeleteManifest" || e.Method == "DeleteRepository" || e.Method == "DeleteBlob"
	if s.house == nil || e.Allowed && !change || !e.Allowed && e.Principal.Kind == access.Anonymous {
		return
	}
	l := account.Line(ctx, e.Principal, actions[e.Method])
	l.Repository, l.Namespace, l.Target = string(e.Repo), e.Repo.Namespace(), e.Ref.String()
	if n, ok := s.house.directory.Namespace(l.Namespace); ok && e.Allowed {
		l.AccountID = n.AccountID // a refusal is the business of who was refused
	}
	if len(e.Tags) > 0 {
		l.Detail = "tags " + strings.Join(texts(e.Tags), ", ")
	}
	if e.From != "" {
		l.Detail = "from " + string(e.From)
	}
	switch {
	case !e.Allowed:
		l.Outcome, l.Reason = audit.Denied, e.Reason
	case e.Err != nil:
		l.Outcome, l.Reason = audit.Failed, e.Err.Error()
	}
	s.house.audit.Record(ctx, l)
}

func texts[T ~string](in []T) []string {
	out := make([]string, len(in))
	for i, v := range in {
		out[i] = string(v)
	}
	return out
}

// recorded takes a line of the management API, and logs it.
func (s *server) recorded(ctx context.Context, l audit.Line) {
	s.house.audit.Record(ctx, l)
	s.log.LogAttrs(ctx, slog.LevelInfo, "audit", slog.String("action", l.Action), slog.String("principal", l.Actor),
		slog.String("token", l.TokenID), slog.String("outcome", string(l.Outcome)), slog.String("namespace", l.Namespace),
		slog.String("repo", l.Repository), slog.String("target", l.Target), slog.String("reason", l.Reason),
		slog.String("client", l.Address), slog.String("id", l.Request))
}

// audit writes who changed what, and who was refused, as log lines. Every
// client asks once without credentials to learn where to sign in: those
// refusals are of interest when debugging only.
func (s *server) audit(ctx context.Context, e guard.Event) {
	s.keep(ctx, e)
	level := slog.LevelInfo
	if !e.Allowed && e.Principal.Kind == access.Anonymous {
		level = slog.LevelDebug
	}
	if !s.log.Enabled(ctx, level) {
		return
	}
	rec := observe.FromContext(ctx)
	attrs := []slog.Attr{
		slog.String("action", e.Method), slog.String("repo", string(e.Repo)),
		slog.String("principal", e.Principal.Name), slog.String("token", e.Principal.TokenID),
		slog.Bool("allowed", e.Allowed), slog.String("id", rec.ID),
	}
	if rec.Client.IsValid() {
		attrs = append(attrs, slog.String("client", rec.Client.String()))
	}
	if !e.Ref.IsZero() {
		attrs = append(attrs, slog.String("ref", e.Ref.String()))
	}
	if len(e.Tags) > 0 {
		attrs = append(attrs, slog.Any("tags", e.Tags))
	}
	if e.From != "" {
		attrs = append(attrs, slog.String("from", string(e.From)))
	}
	if e.Reason != "" {
		attrs = append(attrs, slog.String("reason", e.Reason))
	}
	if e.Err != nil {
		attrs = append(attrs, slog.String("error", e.Err.Error()))
	}
	s.log.LogAttrs(ctx, level, "audit", attrs...)
}
