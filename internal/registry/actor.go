package registry

import "context"

type actorKey struct{}

// WithActor notes who acts, for tag histories and the trash. It is a note:
// nothing is decided by it.
func WithActor(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, actorKey{}, name)
}

// Actor is who acts, "" if nobody said.
func Actor(ctx context.Context) string {
	name, _ := ctx.Value(actorKey{}).(string)
	return name
}
