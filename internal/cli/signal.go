package cli

import (
	"context"
	"os/signal"
	"syscall"
)

// untilSignal gives a context that the first SIGINT or SIGTERM cancels. After
// it the signals mean again what they mean to any process: the second one ends
// it at once.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}
