// Package client speaks the management API to a server: over HTTP with a
// token, or as the operator over the control socket in a data folder. Its
// methods are those of the services that the API is a surface of, without the
// principal, so the command line need not know which of the two it holds.
package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/socket"
)

// ErrNoServer says that no server listens on the socket.
var ErrNoServer = errors.New("no server runs")

const (
	// dialTime is how long a server may take to accept a connection.
	dialTime = 10 * time.Second
	// answerTime is how long a server that is far away may take to begin its
	// answer.
	answerTime = 2 * time.Minute
)

// Error is what a server answered instead of what was asked for. Its text is
// the server's sentence.
type Error struct{ v1.Problem }

func (e *Error) Error() string {
	if e.Detail != "" {
		return e.Detail
	}
	return "the server answered " + strconv.Itoa(e.Status) + " " + e.Title
}

// Client is safe for use by several goroutines. Errors of its methods:
// *Error, ErrNoServer, and those of the context and the network.
type Client struct {
	path  string // of the socket, if it is one
	base  url.URL
	agent string
	token func() (string, error)
	http  *http.Client
}

// Options of New.
type Options struct {
	// Server is its URL, as ParseServer gives it.
	Server string
	// Token gives the token's value, when it is needed; nil sends none.
	Token func() (string, error)
	// CA are PEM certificates to trust instead of the system's.
	CA []byte
	// InsecureHTTP lets the token travel in clear to another machine.
	InsecureHTTP bool
	// Version of the program, told to the server.
	Version string
}

// New makes a client of the server at a URL. It touches nothing. Errors: the
// URL is none of a server; it is plain http to another machine and that is
// not allowed; CA holds no certificate.
func New(o Options) (*Client, error) {
	base, err := ParseServer(o.Server)
	if err != nil {
		return nil, err
	}
	if base.Scheme == "http" && !o.InsecureHTTP && !Loopback(base.Hostname()) {
		return nil, fmt.Errorf("%s is plain http, and the token would travel in clear: use https, or allow it with --insecure-http", base)
	}
	c := &Client{base: *base, token: o.Token, agent: "fairlead/" + o.Version}
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTime}).DialContext,
		TLSHandshakeTimeout:   dialTime,
		ResponseHeaderTimeout: answerTime,
		IdleConnTimeout:       time.Minute,
		ForceAttemptHTTP2:     true,
	}
	if len(o.CA) > 0 {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(o.CA) {
			return nil, errors.New("the CA file holds no certificate in PEM")
		}
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	c.http = &http.Client{Transport: t, CheckRedirect: stay}
	return c, nil
}

// ParseServer reads the URL of a server: scheme, host and port. Without a
// scheme it is https, and http on this machine. Error: what is wrong with it;
// it does not repeat what may be a secret.
func ParseServer(text string) (*url.URL, error) {
	if text == "" {
		return nil, errors.New("the server's URL is empty: write it as https://HOST")
	}
	if strings.HasPrefix(text, "flt_") {
		return nil, errors.New("this is a token, not the URL of a server")
	}
	bare := !strings.Contains(text, "://")
	if bare {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("the server's URL cannot be read: write it as https://HOST")
	}
	switch {
	case u.User != nil:
		return nil, errors.New("the server's URL holds a user or a password: leave them out")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("the server's URL begins with %s://: it must be https:// or http://", u.Scheme)
	case u.Hostname() == "":
		return nil, errors.New("the server's URL has no host: write it as https://HOST")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("the server's URL has more than a host: write it as %s://%s", u.Scheme, u.Host)
	}
	if bare && Loopback(u.Hostname()) {
		u.Scheme = "http"
	}
	host := strings.ToLower(u.Host)
	if u.Scheme == "https" {
		host = strings.TrimSuffix(host, ":443") // images are named without it
	}
	return &url.URL{Scheme: u.Scheme, Host: host}, nil
}

// Loopback says whether a host is this machine.
func Loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// stay refuses to be sent to another host: the token is for this one.
func stay(req *http.Request, via []*http.Request) error {
	from := via[0].URL
	switch {
	case req.URL.Host != from.Host || from.Scheme == "https" && req.URL.Scheme != "https":
		return fmt.Errorf("the server sends on to %s://%s, where the token is not sent", req.URL.Scheme, req.URL.Host)
	case via[0].Method != http.MethodGet:
		return errors.New("the server sends on a request that changes something")
	case len(via) > 5:
		return errors.New("the server sends on and on")
	}
	return nil
}

// Socket makes a client of the server that listens on the socket at path. It
// touches nothing.
func Socket(path string) *Client {
	c := &Client{path: path, base: url.URL{Scheme: "http", Host: "fairlead"}}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return c.dial(ctx) },
	}}
	return c
}

// Ping says whether a server listens on the socket. Errors: ErrNoServer;
// fs.ErrPermission when the socket is another user's.
func (c *Client) Ping(ctx context.Context) error {
	conn, err := c.dial(ctx)
	if err != nil {
		return err
	}
	return conn.Close()
}

// Close lets go of idle connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	conn, err := socket.Dial(ctx, c.path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("%w: %w", ErrNoServer, err)
	case err != nil:
		return nil, fmt.Errorf("reach the server: %w", err)
	}
	return conn, nil
}
