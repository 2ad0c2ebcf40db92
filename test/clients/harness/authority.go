package harness

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// Authority is a private certificate authority.
type Authority struct {
	// Dir holds ca.crt, and nothing else: what skopeo calls a --cert-dir.
	Dir string
	// File is that ca.crt.
	File string

	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes an authority that nobody trusts yet.
func NewAuthority(t testing.TB, name string) *Authority {
	t.Helper()
	template := certificate(name)
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign
	key := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	check(t, err)
	cert, err := x509.ParseCertificate(der)
	check(t, err)
	dir := t.TempDir()
	file := filepath.Join(dir, "ca.crt")
	writePEM(t, file, "CERTIFICATE", der)
	return &Authority{Dir: dir, File: file, cert: cert, key: key}
}

// Issue writes a certificate for 127.0.0.1 with its key over the two files,
// each at once.
func (a *Authority) Issue(t testing.TB, certFile, keyFile string, names ...string) {
	t.Helper()
	template := certificate("127.0.0.1")
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	template.DNSNames = slices.Concat(names, []string{"localhost"})
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	key := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	check(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	check(t, err)
	writePEM(t, keyFile, "PRIVATE KEY", encoded)
	writePEM(t, certFile, "CERTIFICATE", der)
}

// Signed tells whether the server shows a certificate of this authority.
func (a *Authority) Signed(s *Server) bool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	dialer := &tls.Dialer{Config: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(s.t.Context(), "tcp", s.Host)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

func certificate(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	return key
}

func writePEM(t testing.TB, path, kind string, der []byte) {
	t.Helper()
	next := path + ".next"
	check(t, os.WriteFile(next, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	check(t, os.Rename(next, path))
}
