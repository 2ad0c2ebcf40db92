package observe

import (
	"net/http"
	"net/netip"
	"strings"
)

// Proxies are the networks whose X-Forwarded-For and X-Request-Id are believed.
type Proxies []netip.Prefix

// Trusted says whether a request from a may speak for others.
func (p Proxies) Trusted(a netip.Addr) bool {
	for _, n := range p {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// Client gives the address a request comes from: the peer's, or, when the peer
// is trusted, the last address of X-Forwarded-For that is not. An entry that is
// no address ends the search at the trusted hop that passed it on. The zero
// Addr means that the peer has no IP address (a Unix socket).
func (p Proxies) Client(r *http.Request) netip.Addr {
	client := peer(r.RemoteAddr)
	if !p.Trusted(client) {
		return client
	}
	lines := r.Header["X-Forwarded-For"]
	for i := len(lines) - 1; i >= 0; i-- {
		rest := lines[i]
		for more := true; more; {
			entry := rest
			if comma := strings.LastIndexByte(rest, ','); comma >= 0 {
				rest, entry = rest[:comma], rest[comma+1:]
			} else {
				more = false
			}
			hop, ok := forwarded(entry)
			if !ok {
				return client
			}
			client = hop
			if !p.Trusted(hop) {
				return client
			}
		}
	}
	return client
}

// peer parses the address that net/http gives.
func peer(remote string) netip.Addr {
	if ap, err := netip.ParseAddrPort(remote); err == nil {
		return ap.Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

// forwarded parses one entry of X-Forwarded-For, with or without a port.
func forwarded(entry string) (netip.Addr, bool) {
	entry = strings.TrimSpace(entry)
	if a, err := netip.ParseAddr(entry); err == nil {
		return a.Unmap().WithZone(""), true
	}
	if ap, err := netip.ParseAddrPort(entry); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	return netip.Addr{}, false
}
