package why_test

import (
	"os"
	"testing"

	"fairlead.dev/fairlead/test/cluster/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
