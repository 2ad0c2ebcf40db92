package client

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"net/http"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// Authority gives, in PEM, the certificate of the authority by which this
// machine trusts the server, if it is none of the public ones: other machines
// must be told of it. It is nil for a public one, and for plain http. Errors:
// as for any request.
func (c *Client) Authority(ctx context.Context) ([]byte, error) {
	if c.base.Scheme != "https" {
		return nil, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base.String()+"/v2/", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", c.agent)
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.TLS == nil || len(res.TLS.VerifiedChains) == 0 {
		return nil, nil
	}
	var root *x509.Certificate
	for _, chain := range res.TLS.VerifiedChains {
		if root = chain[len(chain)-1]; public(root) {
			return nil, nil
		}
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}), nil
}

// public says whether a root is in the program, and so in every pod of it. One
// authority has several certificates: its name and its key count.
func public(root *x509.Certificate) bool {
	for known := range bundle.Roots() {
		c, err := x509.ParseCertificate(known.Certificate)
		if err == nil && bytes.Equal(c.RawSubject, root.RawSubject) && bytes.Equal(c.RawSubjectPublicKeyInfo, root.RawSubjectPublicKeyInfo) {
			return true
		}
	}
	return false
}
