package serve

import (
	"context"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/oci"
)

// noKeys stands in until Upkeep looks after the server's keys; a method of
// Upkeep's own takes precedence.
type noKeys struct{}

var errNoKeys error = oci.Errorf(oci.CodeUnsupported, "this server cannot show or change its keys yet")

func (noKeys) Keys(context.Context) (v1.ServerKeys, error) { return v1.ServerKeys{}, errNoKeys }

func (noKeys) RotateKeys(context.Context) (v1.ServerKeys, error) { return v1.ServerKeys{}, errNoKeys }

func (noKeys) RetireKey(context.Context, v1.RetireOptions) (v1.RetireReport, error) {
	return v1.RetireReport{}, errNoKeys
}
