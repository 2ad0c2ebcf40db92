// Command kubernetes is a Kubernetes in one program, for tests: its first
// argument says which part it is. One program, because the parts share most
// of their code: four programs would be linked and kept four times. kubectl
// alone is its own.
//
// It is built and cached by package program.
package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/restclient" // kubelet's client metrics
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// parts are Kubernetes' own commands, as upstream's programs run them.
var parts = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllers.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
}

func main() {
	os.Exit(run(os.Args))
}

func run(args []string) int {
	// By a link of a part's name it is that part.
	if parts[filepath.Base(args[0])] == nil {
		args = args[1:]
	}
	if len(args) > 0 {
		if args[0] == "etcd" {
			return etcd(args[1:])
		}
		if part := parts[filepath.Base(args[0])]; part != nil {
			os.Args = args // the commands read it themselves
			return cli.Run(part())
		}
	}
	fmt.Fprintf(os.Stderr, "the first argument says what to run: etcd, %s\n", strings.Join(slices.Sorted(maps.Keys(parts)), ", "))
	return 2
}
