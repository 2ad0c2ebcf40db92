package serve

import (
	"context"
	"log/slog"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/observe"
	"fairlead.dev/fairlead/internal/registry/guard"
)

// audit writes who changed what, and who was refused, as log lines. Every
// client asks once without credentials to learn where to sign in: those
// refusals are of interest when debugging only.
func (s *server) audit(ctx context.Context, e guard.Event) {
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
