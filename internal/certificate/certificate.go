// Package certificate keeps a private authority and the certificate that it
// signs for one server, and renews both so that a client who trusts the bundle
// never meets a certificate that it does not trust. Nothing is kept here: what
// Renew gives is for the caller to keep.
//
// A server's certificate is renewed at once, since its authority stays. An
// authority is renewed in three steps: the next one joins the bundle; once all
// clients have that bundle the next one signs; a day later the old one leaves.
package certificate

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"time"
)

// How long things last. Each is renewed after two thirds of its life.
const (
	AuthorityLife = 5 * 365 * 24 * time.Hour
	ServerLife    = 90 * 24 * time.Hour
	// Overlap is how long the authority before stays in the bundle.
	Overlap = 24 * time.Hour
	// early is for clients whose clock is behind.
	early = time.Hour
)

// Pair is a certificate and its key (ECDSA P-256), in PEM. Printed it does not
// show the key.
type Pair struct{ Cert, Key []byte }

// Format writes nothing of the pair, whatever the verb.
func (p Pair) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("certificate and key")) }

// Kept is all that must be remembered. The zero value has nothing.
type Kept struct {
	// Authority signs, Next will, and Before did: of that only the certificate
	// is kept. Next and Before may be empty.
	Authority, Next Pair
	Before          []byte
	// Server is what the authority signed.
	Server Pair
}

// Options of Renew.
type Options struct {
	Now time.Time
	// Names that the server is called by: DNS names and IP addresses. A
	// certificate with others as well is good, until it is due.
	Names []string
	// Trusted says that all clients have the whole Bundle by now.
	Trusted bool
}

// Renew gives what is to be kept from now on, and what is new about it, for
// people; nothing is new if nothing was due. What cannot be read, or is not
// valid yet, is made anew.
func Renew(k Kept, o Options) (_ Kept, news []string, err error) {
	authority, problem := k.Authority.parse(o.Now)
	if problem != nil {
		news = append(news, "a new authority: "+problem.Error())
		if k, err = fresh(o.Now); err != nil {
			return k, nil, err
		}
		if authority, err = k.Authority.parse(o.Now); err != nil {
			return k, nil, err
		}
	}
	next, problem := k.Next.parse(o.Now)
	switch {
	case len(k.Next.Cert) == 0 && !due(authority.cert, o.Now):
	case problem != nil:
		news = append(news, "the next authority, which will sign once it is trusted")
		if k.Next, err = newAuthority(o.Now); err != nil {
			return k, nil, err
		}
	case o.Trusted:
		news = append(news, "the next authority signs")
		k.Authority, k.Next, k.Before, k.Server, authority = k.Next, Pair{}, k.Authority.Cert, Pair{}, next
	}
	if reason, others := k.Server.unfit(authority, o); reason != "" {
		news = append(news, "a new certificate: "+reason)
		o.Names = append(others, o.Names...)
		if k.Server, err = authority.issue(o); err != nil {
			return k, nil, err
		}
	}
	if len(k.Before) > 0 && k.over(o) {
		news = append(news, "the authority before is not trusted any more")
		k.Before = nil
	}
	return k, news, nil
}

// over says that nobody can meet a certificate of the authority before.
func (k Kept) over(o Options) bool {
	before, err := parseCert(k.Before)
	if err != nil || !before.NotAfter.After(o.Now) {
		return true
	}
	server, err := parseCert(k.Server.Cert)
	return err == nil && !o.Now.Before(server.NotBefore.Add(early+Overlap))
}

// Bundle is what clients must trust, in PEM.
func (k Kept) Bundle() []byte {
	return slices.Concat(k.Authority.Cert, k.Next.Cert, k.Before)
}

// TLS is what the server shows. Error: it cannot be read.
func (k Kept) TLS() (*tls.Certificate, error) {
	c, err := tls.X509KeyPair(k.Server.Cert, k.Server.Key)
	if err != nil {
		return nil, err
	}
	return &c, nil
}

// signer is a pair that was read.
type signer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// parse reads a pair. Its errors are short, and show no key.
func (p Pair) parse(now time.Time) (signer, error) {
	if len(p.Cert) == 0 && len(p.Key) == 0 {
		return signer{}, errors.New("there was none")
	}
	cert, err := parseCert(p.Cert)
	if err != nil {
		return signer{}, err
	}
	block, _ := pem.Decode(p.Key)
	if block == nil {
		return signer{}, errors.New("its key could not be read")
	}
	read, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, is := read.(*ecdsa.PrivateKey)
	switch {
	case err != nil || !is:
		return signer{}, errors.New("its key could not be read")
	case !key.PublicKey.Equal(cert.PublicKey):
		return signer{}, errors.New("its key was another's")
	case !cert.NotAfter.After(now):
		return signer{}, errors.New("it ended")
	case cert.NotBefore.After(now): // made by a clock that was ahead
		return signer{}, errors.New("it was not valid yet")
	}
	return signer{cert, key}, nil
}

func parseCert(text []byte) (*x509.Certificate, error) {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("it could not be read")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, errors.New("it could not be read")
	}
	return cert, nil
}

// due says that two thirds of a certificate's life are over.
func due(c *x509.Certificate, now time.Time) bool {
	return !now.Before(c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) / 3 * 2))
}

// unfit says why a server's certificate must be replaced, "" if it need not,
// and which names the next one keeps: while a server that is called otherwise
// takes over there are two, who would take theirs from each other.
func (p Pair) unfit(authority signer, o Options) (reason string, keep []string) {
	s, err := p.parse(o.Now)
	switch {
	case err != nil:
		return err.Error(), nil
	case s.cert.CheckSignatureFrom(authority.cert) != nil:
		return "its authority had not signed it", nil
	case due(s.cert, o.Now):
		return "two thirds of its life were over", nil
	case slices.ContainsFunc(o.Names, func(name string) bool { return s.cert.VerifyHostname(name) != nil }):
		return "it was for other names", namesOf(s.cert)
	}
	return "", nil
}

func namesOf(c *x509.Certificate) []string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

func sorted(names []string) []string { return slices.Compact(slices.Sorted(slices.Values(names))) }

func fresh(now time.Time) (k Kept, err error) {
	k.Authority, err = newAuthority(now)
	return k, err
}

func newAuthority(now time.Time) (Pair, error) {
	template := x509.Certificate{
		Subject:   pkix.Name{CommonName: "Fairlead webhook " + now.UTC().Format(time.RFC3339)},
		NotBefore: now.Add(-early), NotAfter: now.Add(AuthorityLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	return sign(&template, nil)
}

// issue signs a certificate for a server; it ends before its authority does.
func (s signer) issue(o Options) (Pair, error) {
	if len(o.Names) == 0 {
		return Pair{}, errors.New("a certificate needs a name")
	}
	end := o.Now.Add(ServerLife)
	if s.cert.NotAfter.Before(end) {
		end = s.cert.NotAfter
	}
	template := x509.Certificate{
		Subject:   pkix.Name{CommonName: o.Names[0]},
		NotBefore: o.Now.Add(-early), NotAfter: end,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range sorted(o.Names) {
		if ip, err := netip.ParseAddr(name); err == nil {
			template.IPAddresses = append(template.IPAddresses, ip.AsSlice())
			continue
		}
		template.DNSNames = append(template.DNSNames, name)
	}
	return sign(&template, &s)
}

// sign makes a certificate; without a signer it signs itself.
func sign(template *x509.Certificate, by *signer) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return Pair{}, err
	}
	if by == nil {
		by = &signer{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, &key.PublicKey, by.key)
	if err != nil {
		return Pair{}, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, err
	}
	return Pair{
		Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}, nil
}
