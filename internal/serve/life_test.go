package serve_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/oci"
)

// TestRotation: a rotated operator token, and the registry tokens it gave, are
// refused within 2 seconds (and a second of slack).
func TestRotation(t *testing.T) {
	t.Parallel()
	r := launch(t, t.TempDir(), nil)
	token := r.token(t, r.secret(t), everything)
	r.do(t, "PUT", "/v2/acme/hello/manifests/v1", token, strings.NewReader(emptyIndex))
	res, _ := r.do(t, "POST", "/v2/acme/hello/blobs/uploads/", token, nil)
	upload := res.Header.Get("Location")
	if err := account.RotateOperator(filepath.Join(r.data, "operator.token")); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for {
		res, _ := r.do(t, "GET", "/v2/acme/hello/manifests/v1", token, nil)
		if res.StatusCode == 401 {
			break
		}
		if time.Since(start) > 3*time.Second {
			t.Fatalf("after 3 s the old registry token still gets %s", res.Status)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if res, _ := r.do(t, "PATCH", upload, token, strings.NewReader("x")); res.StatusCode != 401 {
		t.Errorf("the old token goes on with its upload: %s", res.Status)
	}
	again := r.token(t, r.secret(t), everything)
	if res, _ := r.do(t, "GET", "/v2/acme/hello/manifests/v1", again, nil); res.StatusCode != 200 {
		t.Errorf("the new token gets %s", res.Status)
	}
	if res, _ := r.do(t, "GET", upload, again, nil); res.StatusCode != 404 {
		t.Errorf("the new token sees the old one's upload: %s", res.Status)
	}
}

// TestGracefulStop: a push that is under way ends, new work is refused, and
// Run returns nil.
func TestGracefulStop(t *testing.T) {
	t.Parallel()
	r := launch(t, t.TempDir(), nil)
	token := r.token(t, r.secret(t), everything)
	res, _ := r.do(t, "POST", "/v2/acme/hello/blobs/uploads/", token, nil)
	upload := res.Header.Get("Location")
	body, feed := io.Pipe()
	patched := make(chan *http.Response, 1)
	go func() {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPatch, upload, body)
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := r.client.Do(req)
		if err != nil {
			t.Errorf("the running upload was cut: %v", err)
			patched <- nil
			return
		}
		res.Body.Close()
		patched <- res
	}()
	half := strings.Repeat("first half, ", 2<<20) // more than sockets hold: the server reads it
	if _, err := io.WriteString(feed, half); err != nil {
		t.Fatal(err)
	}
	r.stop()
	for range 200 {
		if res, _ := r.do(t, "GET", "/readyz", "", nil); res.StatusCode == 503 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, c := range [][2]string{{"GET", "/v2/acme/hello/tags/list"}, {"POST", "/v2/acme/hello/blobs/uploads/"}} {
		if res, _ := r.do(t, c[0], c[1], token, nil); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
			t.Errorf("new work while stopping: %s %s", c[1], res.Status)
		}
	}
	if _, err := io.WriteString(feed, "second half"); err != nil {
		t.Fatal(err)
	}
	if err := feed.Close(); err != nil {
		t.Fatal(err)
	}
	if res := <-patched; res == nil || res.StatusCode != 202 {
		t.Fatalf("PATCH: %v", res)
	}
	digest := oci.DigestOf(oci.SHA256, []byte(half+"second half"))
	if res, body := r.do(t, "PUT", upload+"?digest="+string(digest), token, nil); res.StatusCode != 201 {
		t.Errorf("PUT: %s %s", res.Status, body)
	}
	if res, body := r.do(t, "PUT", "/v2/acme/hello/manifests/v1", token, strings.NewReader(emptyIndex)); res.StatusCode != 201 {
		t.Errorf("manifest: %s %s", res.Status, body)
	}
	if err := r.end(t); err != nil {
		t.Errorf("Run: %v", err)
	}
}

// TestStopHasALimit: a client that never ends does not hold the server.
func TestStopHasALimit(t *testing.T) {
	t.Parallel()
	r := launch(t, t.TempDir(), settings{"SHUTDOWN_TIMEOUT": "1s"})
	token := r.token(t, r.secret(t), everything)
	res, _ := r.do(t, "POST", "/v2/acme/hello/blobs/uploads/", token, nil)
	body, feed := io.Pipe()
	defer func() { _ = feed.Close() }()
	go func() {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPatch, res.Header.Get("Location"), body)
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set("Authorization", "Bearer "+token)
		if res, err := r.client.Do(req); err == nil {
			res.Body.Close()
		}
	}()
	if _, err := io.WriteString(feed, "and then nothing"); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := r.end(t); err != nil {
		t.Errorf("Run: %v", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("stopping took %s", took)
	}
}

// TestCertificateReload: a new certificate is used without a restart, and a
// broken one leaves the former in use.
func TestCertificateReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	writePair(t, cert, key, 1)
	r := launch(t, t.TempDir(), settings{"TLS_CERT": cert, "TLS_KEY": key})
	if !strings.HasPrefix(r.url, "https://") {
		t.Fatal(r.url)
	}
	address := strings.TrimPrefix(r.url, "https://")
	serial := func() int64 {
		c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the certificate is what is looked at
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if got := serial(); got != 1 {
		t.Fatalf("certificate %d", got)
	}
	writePair(t, cert, key, 2)
	for start := time.Now(); serial() != 2; time.Sleep(50 * time.Millisecond) {
		if time.Since(start) > 10*time.Second {
			t.Fatal("the new certificate is not used")
		}
	}
	if err := os.WriteFile(cert, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); !strings.Contains(r.log.String(), "not usable"); time.Sleep(50 * time.Millisecond) {
		if time.Since(start) > 10*time.Second {
			t.Fatal("the broken certificate is not reported")
		}
	}
	if got := serial(); got != 2 {
		t.Errorf("certificate %d after a broken one", got)
	}
}

func writePair(t *testing.T, cert, key string, serial int64) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: raw},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
