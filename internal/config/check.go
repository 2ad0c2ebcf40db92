package config

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
)

// check reports what is wrong with values that are well formed one by one.
func (l *load) check(c Config) {
	if c.Data == "" {
		l.bad("data", "must name a folder")
	}
	if text := addressProblem(c.Listen); text != "" {
		l.bad("listen", text)
	}
	if c.PprofListen != "" {
		if text := addressProblem(c.PprofListen); text != "" {
			l.bad("pprof-listen", text)
		} else if host, _, _ := net.SplitHostPort(c.PprofListen); !loopback(host) {
			l.bad("pprof-listen", "must be a loopback address such as 127.0.0.1:6060: profiles show the memory, secrets included")
		}
	}
	if c.TLSCert != "" && c.TLSKey == "" {
		l.bad("tls-cert", "needs tls-key beside it")
	}
	if c.TLSKey != "" && c.TLSCert == "" {
		l.bad("tls-key", "needs tls-cert beside it")
	}
	seen := map[string]bool{}
	for _, o := range c.PublicURL {
		if seen[o.Host] {
			l.bad("public-url", "names the host "+o.Host+" twice: the host that was asked must tell which URL is meant")
		}
		seen[o.Host] = true
	}
}

func addressProblem(address string) string {
	const form = "write host:port, such as 127.0.0.1:5000 or :5000"
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return "is no address: " + form
	}
	if !validPort(port, "0") {
		return "has a bad port: " + form
	}
	return ""
}

// Warnings gives what is allowed and probably not meant.
func (c Config) Warnings() []string {
	var out []string
	host, _, _ := net.SplitHostPort(c.Listen)
	secure := len(c.PublicURL) > 0 && c.PublicURL[0].Scheme == "https"
	if !c.TLS() && !loopback(host) && !secure {
		out = append(out, fmt.Sprintf("listen: %s is reachable from other machines without TLS: docker and kubelet refuse plain HTTP there, and tokens travel in clear; set tls-cert and tls-key, or public-url with the https address of the proxy in front", c.Listen))
	}
	if !c.TLS() && secure && len(c.TrustedProxies) == 0 {
		out = append(out, "trusted-proxies: the https public-url says that a proxy ends TLS, but no proxy is trusted, so every request seems to come from it; set trusted-proxies to its address")
	}
	if c.TLS() && len(c.PublicURL) > 0 && !secure {
		out = append(out, fmt.Sprintf("public-url: %s is plain http while the server speaks TLS: clients sent there will fail", c.PublicURL[0]))
	}
	for _, n := range c.TrustedProxies {
		if n.Bits() == 0 {
			out = append(out, fmt.Sprintf("trusted-proxies: %s trusts everybody, so anybody may claim any client address", n))
		}
	}
	if c.UploadExpiry < c.SweepInterval {
		out = append(out, "upload-expiry: is shorter than sweep-interval, so abandoned uploads live until the next sweep")
	}
	return out
}

// CheckFiles reads the files that the configuration names and reports those
// that are missing or do not fit, as an *Error.
func (c Config) CheckFiles() error {
	if c.TLS() {
		if _, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey); err != nil {
			return errOne("tls-cert, tls-key", fmt.Errorf("cannot be used: %w", err))
		}
	}
	if c.OperatorTokenFile != "" {
		f, err := os.Open(c.OperatorTokenFile)
		if err != nil {
			return errOne("operator-token-file", fmt.Errorf("cannot be read: %w", err))
		}
		return f.Close()
	}
	return nil
}
