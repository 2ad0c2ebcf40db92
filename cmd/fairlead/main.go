// Command fairlead keeps private container images and says who may fetch them.
package main

import (
	"context"
	"os"

	"fairlead.dev/fairlead/internal/cli"
)

func main() {
	os.Exit(cli.Run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ()))
}
