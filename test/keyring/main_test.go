package keyring_test

import (
	"flag"
	"io"
	"log"
	"os"
	"testing"

	"k8s.io/klog/v2"
)

// The kubelet's package tells every key that it drops on stderr, thousands of
// them.
func TestMain(m *testing.M) {
	flags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(flags)
	for name, value := range map[string]string{"logtostderr": "false", "stderrthreshold": "FATAL"} {
		if err := flags.Set(name, value); err != nil {
			log.Fatal(err)
		}
	}
	klog.SetOutput(io.Discard)
	os.Exit(m.Run())
}
