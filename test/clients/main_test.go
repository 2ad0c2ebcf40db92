// Package clients runs foreign registry clients, unmodified, against a real
// fairlead server: what they can do with the operator's token and with those
// of accounts, and that nobody can do anything without one.
package clients

import (
	"os"
	"testing"

	"fairlead.dev/fairlead/test/clients/harness"
)

func TestMain(m *testing.M) {
	os.Exit(harness.Main(m))
}
