package client

import (
	"context"

	v1 "fairlead.dev/fairlead/api/v1"
)

// Keys lists the server's keys.
func (c *Client) Keys(ctx context.Context) (v1.ServerKeys, error) {
	return read[v1.ServerKeys](ctx, c, "/api/v1/upkeep/keys", nil)
}

// RotateKeys makes new keys.
func (c *Client) RotateKeys(ctx context.Context) (v1.ServerKeys, error) {
	return post[v1.ServerKeys](ctx, c, "/api/v1/upkeep/keys/rotate", struct{}{})
}

// RetireKey ends a key.
func (c *Client) RetireKey(ctx context.Context, o v1.RetireOptions) (v1.RetireReport, error) {
	return post[v1.RetireReport](ctx, c, "/api/v1/upkeep/keys/retire", o)
}
