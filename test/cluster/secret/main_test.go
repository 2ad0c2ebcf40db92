// Package secret_test runs the commands and the package that write pull
// secrets against a real API server.
package secret_test

import (
	"os"
	"testing"

	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/test/cluster/harness"
)

func TestMain(m *testing.M) {
	os.Exit(harness.Main(m))
}

// open gives the cluster as the package sees it, as somebody.
func open(t testing.TB, kubeconfig string, change ...func(*kube.Options)) *kube.Cluster {
	t.Helper()
	o := kube.Options{Kubeconfig: kubeconfig, Version: "test"}
	for _, c := range change {
		c(&o)
	}
	k, err := kube.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}
