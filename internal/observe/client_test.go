package observe

import (
	"net/http"
	"net/netip"
	"testing"
)

func TestClient(t *testing.T) {
	t.Parallel()
	trusted := Proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("127.0.0.1/32")}
	for name, c := range map[string]struct {
		proxies Proxies
		remote  string
		header  []string
		want    string
	}{
		"no proxy":                              {nil, "192.0.2.1:1234", nil, "192.0.2.1"},
		"spoofed, no proxy configured":          {nil, "192.0.2.1:1234", []string{"198.51.100.9"}, "192.0.2.1"},
		"spoofed by an untrusted peer":          {trusted, "192.0.2.1:1234", []string{"198.51.100.9"}, "192.0.2.1"},
		"spoofed as a trusted address":          {trusted, "192.0.2.1:1234", []string{"10.1.1.1"}, "192.0.2.1"},
		"one trusted hop":                       {trusted, "10.0.0.1:1", []string{"198.51.100.9"}, "198.51.100.9"},
		"client's own header before the hop":    {trusted, "10.0.0.1:1", []string{"203.0.113.7, 198.51.100.9"}, "198.51.100.9"},
		"two trusted hops":                      {trusted, "10.0.0.1:1", []string{"198.51.100.9, 10.0.0.2"}, "198.51.100.9"},
		"spoof behind two hops":                 {trusted, "10.0.0.1:1", []string{"10.9.9.9, 198.51.100.9,10.0.0.2"}, "198.51.100.9"},
		"several header lines":                  {trusted, "10.0.0.1:1", []string{"203.0.113.7", "198.51.100.9", "10.0.0.2"}, "198.51.100.9"},
		"all hops trusted":                      {trusted, "10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		"no header from the proxy":              {trusted, "10.0.0.1:1", nil, "10.0.0.1"},
		"rubbish ends the search":               {trusted, "10.0.0.1:1", []string{"198.51.100.9, unknown, 10.0.0.2"}, "10.0.0.2"},
		"rubbish alone":                         {trusted, "10.0.0.1:1", []string{"<script>"}, "10.0.0.1"},
		"empty entry":                           {trusted, "10.0.0.1:1", []string{"198.51.100.9,"}, "10.0.0.1"},
		"empty header":                          {trusted, "10.0.0.1:1", []string{""}, "10.0.0.1"},
		"entry with a port":                     {trusted, "10.0.0.1:1", []string{"198.51.100.9:4711"}, "198.51.100.9"},
		"IPv6":                                  {trusted, "[fd00::1]:1", []string{"2001:db8::5"}, "2001:db8::5"},
		"IPv6 with a port":                      {trusted, "[fd00::1]:1", []string{"[2001:db8::5]:80"}, "2001:db8::5"},
		"mapped IPv4 peer":                      {trusted, "[::ffff:10.0.0.1]:1", []string{"198.51.100.9"}, "198.51.100.9"},
		"mapped IPv4 entry is the same address": {trusted, "10.0.0.1:1", []string{"198.51.100.9, ::ffff:10.0.0.2"}, "198.51.100.9"},
		"zone in an entry":                      {trusted, "10.0.0.1:1", []string{"fe80::1%eth0"}, "fe80::1"},
		"Unix socket":                           {trusted, "@", []string{"198.51.100.9"}, "invalid IP"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &http.Request{RemoteAddr: c.remote, Header: http.Header{}}
			for _, h := range c.header {
				r.Header.Add("X-Forwarded-For", h)
			}
			if got := c.proxies.Client(r).String(); got != c.want {
				t.Errorf("the client is %s, want %s", got, c.want)
			}
		})
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	o := New(Options{Proxies: Proxies{netip.MustParsePrefix("10.0.0.0/8")}})
	for name, c := range map[string]struct {
		remote, given string
		kept          bool
	}{
		"from a proxy":      {"10.0.0.1:1", "abc-1.2_3", true},
		"from a stranger":   {"192.0.2.1:1", "abc-1", false},
		"too long":          {"10.0.0.1:1", string(make([]byte, 65)), false},
		"with a line break": {"10.0.0.1:1", "a\nb", false},
		"empty":             {"10.0.0.1:1", "", false},
	} {
		r := &http.Request{RemoteAddr: c.remote, Header: http.Header{"X-Request-Id": {c.given}}}
		if got := o.id(r); (got == c.given) != c.kept || got == "" {
			t.Errorf("%s: %q became %q", name, c.given, got)
		}
	}
	r := &http.Request{RemoteAddr: "192.0.2.1:1"}
	if a, b := o.id(r), o.id(r); a == b {
		t.Errorf("two requests are both %s", a)
	}
}
