// Package clients runs foreign registry clients, unmodified, against a real
// fairlead server: what they can do with the operator's token, and that
// nobody can do anything without it.
package clients

import (
	"os"
	"testing"

	"fairlead.dev/fairlead/test/clients/harness"
)

func TestMain(m *testing.M) {
	os.Exit(harness.Main(m))
}
