package harness

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// authority is the cluster's: it signs for its servers and for its users, who
// are what their certificates say.
type authority struct {
	file string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// pair is a certificate and its key, in files.
type pair struct{ cert, key string }

func newAuthority(dir string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template, err := certificate(pkix.Name{CommonName: "fairlead-test-cluster"})
	if err != nil {
		return nil, err
	}
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	a := &authority{file: filepath.Join(dir, "ca.crt"), cert: cert, key: key}
	return a, writePEM(a.file, "CERTIFICATE", der)
}

// issue writes a certificate that serves 127.0.0.1 and localhost, and that
// makes its bearer the user with these groups.
func (a *authority) issue(dir, file, user string, groups ...string) (pair, error) {
	return a.issueFor(nil, dir, file, user, groups...)
}

// issueFor is issue for one more address.
func (a *authority) issueFor(address net.IP, dir, file, user string, groups ...string) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	template, err := certificate(pkix.Name{CommonName: user, Organization: groups})
	if err != nil {
		return pair{}, err
	}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	if address != nil {
		template.IPAddresses = append(template.IPAddresses, address)
	}
	template.DNSNames = []string{"localhost"}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return pair{}, err
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return pair{}, err
	}
	p := pair{cert: filepath.Join(dir, file+".crt"), key: filepath.Join(dir, file+".key")}
	if err := writePEM(p.cert, "CERTIFICATE", der); err != nil {
		return pair{}, err
	}
	return p, writePEM(p.key, "PRIVATE KEY", encoded)
}

func certificate(subject pkix.Name) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      subject,
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}, nil
}

// accountKey writes the key that service accounts' tokens are signed with:
// RSA, as kubeadm and the clouds have it.
func accountKey(path string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(path, "PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

// kubeconfig writes what kubectl and Fairlead reach the cluster by.
func (c *Kubernetes) kubeconfig(path string, p pair, namespace string) error {
	cert, err := os.ReadFile(p.cert)
	if err != nil {
		return err
	}
	key, err := os.ReadFile(p.key)
	if err != nil {
		return err
	}
	encode := base64.StdEncoding.EncodeToString
	return c.kubeconfigOf(path, fmt.Sprintf("{client-certificate-data: %s, client-key-data: %s}", encode(cert), encode(key)), namespace)
}

// kubeconfigOf is kubeconfig for any user, in YAML.
func (c *Kubernetes) kubeconfigOf(path, user, namespace string) error {
	ca, err := os.ReadFile(c.ca.file)
	if err != nil {
		return err
	}
	const form = `apiVersion: v1
kind: Config
clusters:
- name: test
  cluster:
    server: %s
    certificate-authority-data: %s
users:
- name: user
  user: %s
contexts:
- name: test
  context:
    cluster: test
    user: user
    namespace: %s
current-context: test
`
	return os.WriteFile(path, fmt.Appendf(nil, form, c.URL, base64.StdEncoding.EncodeToString(ca), user, namespace), 0o600)
}
