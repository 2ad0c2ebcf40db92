// Command init is the first process of a node.
package main

import (
	"fmt"
	"os"

	"fairlead.dev/fairlead/test/cluster/boot"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "init PLAN: the file says what to do")
		os.Exit(2)
	}
	if err := boot.Run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "init:", err)
		os.Exit(1)
	}
}
