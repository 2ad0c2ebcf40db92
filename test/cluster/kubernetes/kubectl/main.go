// Command kubectl is Kubernetes' own, for tests. They run it thousands of times:
// in the one program of all parts each run would take twice the time, for
// what the others need at their start.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
)

func main() { os.Exit(cli.Run(kubectl.NewDefaultKubectlCommand())) }
