// Command prepare builds what the tests of this module need and take long to
// build themselves: make deps runs it in the module's folder.
package main

import (
	"context"
	"fmt"
	"os"

	"fairlead.dev/fairlead/test/cluster/program"
)

func main() {
	if _, err := program.Path(context.Background(), "kubernetes", os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "prepare:", err)
		os.Exit(1)
	}
}
