package client

import (
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"testing"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// TestAuthority: one that is none of the public ones is told.
func TestAuthority(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(srv.Close)
	want := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	c, err := New(Options{Server: srv.URL, CA: want, Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Authority(t.Context()); err != nil || string(got) != string(want) {
		t.Errorf("of a private one it gives %q, %v", got, err)
	}
	plain, err := New(Options{Server: "http://127.0.0.1:1", Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := plain.Authority(t.Context()); err != nil || got != nil {
		t.Errorf("of plain http it gives %q, %v", got, err)
	}
	untold, err := New(Options{Server: srv.URL, Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := untold.Authority(t.Context()); err == nil {
		t.Errorf("of one that is not trusted it gives %q", got)
	}
}

// TestPublic knows the authorities that are in the program.
func TestPublic(t *testing.T) {
	t.Parallel()
	n := 0
	for r := range bundle.Roots() {
		c, err := x509.ParseCertificate(r.Certificate)
		if err != nil {
			t.Fatal(err)
		}
		if n++; !public(c) {
			t.Errorf("%s is none", c.Subject)
		}
		c.RawSubjectPublicKeyInfo = append([]byte{0}, c.RawSubjectPublicKeyInfo...)
		if public(c) {
			t.Errorf("%s with another key is one", c.Subject)
		}
	}
	if n < 50 {
		t.Errorf("there are %d", n)
	}
}
