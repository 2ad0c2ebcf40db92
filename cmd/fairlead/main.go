// Command fairlead keeps private container images and says who may fetch them.
package main

import (
	"context"
	"os"
	"runtime/debug"

	// The public authorities, for where the system has none: an image of the
	// program alone.
	_ "golang.org/x/crypto/x509roots/fallback"

	"fairlead.dev/fairlead/internal/cli"
)

// garbageTarget makes the collector run at five times the live heap, which is
// small (some 10 MB): by default it would take a tenth of the processor under
// load. GOGC decides where it is set.
const garbageTarget = 400

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbageTarget)
	}
	os.Exit(cli.Run(context.Background(), os.Args, os.Stdin, os.Stdout, os.Stderr, os.Environ()))
}
