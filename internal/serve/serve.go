// Package serve builds the graph of the server, runs it and stops it.
package serve

import (
	"context"
	"errors"
	"io"

	"fairlead.dev/fairlead/internal/config"
)

// Options is what a server is started with.
type Options struct {
	Config  config.Config
	Version string
	Commit  string
	// Out takes the log, and the greeting when Interactive.
	Out io.Writer
	// Interactive says that Out is a terminal.
	Interactive bool
}

// Run serves until ctx is cancelled, then stops gracefully.
func Run(ctx context.Context, o Options) error {
	return errors.New("not wired")
}
