package distribution

import (
	"net/http"
	"net/url"
	"strings"
)

// hosts are the configured public URLs by host. A Host header is never
// believed: it only chooses among them.
type hosts struct {
	first string
	by    map[string]string
}

func newHosts(urls []*url.URL) hosts {
	h := hosts{by: map[string]string{}}
	for i, u := range urls {
		base := u.Scheme + "://" + u.Host
		if i == 0 {
			h.first = base
		}
		key := strings.ToLower(u.Host)
		if _, taken := h.by[key]; !taken {
			h.by[key] = base
		}
	}
	return h
}

// base is the scheme and host that the request's client reaches us by.
func (h hosts) base(r *http.Request) string {
	if b, ok := h.by[strings.ToLower(r.Host)]; ok {
		return b
	}
	return h.first
}
