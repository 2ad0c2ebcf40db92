package diagnosis

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

func upper(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}

func lower(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToLower(r)) + s[n:]
}

// bare is a host without its port.
func bare(host string) string {
	i := strings.LastIndexByte(host, ':')
	if i < 0 || strings.HasSuffix(host, "]") {
		return host
	}
	return strings.Trim(host[:i], "[]")
}

func withPort(host string) string {
	if bare(host) == host {
		return host + ":443"
	}
	return host
}

func (v *view) scheme() string {
	if v.answer.Scheme != "" {
		return v.answer.Scheme
	}
	return "https"
}

// entryOf names an entry of a secret for people.
func entryOf(source, key string) string {
	return fmt.Sprintf("the entry %q of the secret %s", key, source)
}

// pinged says what the registry answered at all.
func (v *view) pinged() string { return exchanged(v.answer.Ping) }

// exchanged is a request and its answer in one line.
func exchanged(x Exchange) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", x.Method, x.URL)
	if x.Status == 0 {
		fmt.Fprintf(&b, ": %s", x.Error)
		return b.String()
	}
	fmt.Fprintf(&b, " answered %d", x.Status)
	if x.Code != "" || x.Message != "" {
		fmt.Fprintf(&b, " (%s)", strings.Trim(x.Code+": "+x.Message, ": "))
	}
	if x.Error != "" {
		fmt.Fprintf(&b, ", then: %s", x.Error)
	}
	return b.String()
}

// tried says how an attempt ended, and who was asked.
func (v *view) tried(a Attempt) string {
	who := "without a credential"
	if a.Index >= 0 && a.Index < len(v.said.Matches) {
		m := v.said.Matches[a.Index]
		who = fmt.Sprintf("with %s (user %q)", entryOf(m.Source, m.Key), m.Username)
	}
	if len(a.Exchanges) == 0 {
		return who + ": " + string(a.Outcome)
	}
	last := a.Exchanges[len(a.Exchanges)-1]
	if a.Outcome == Pulls || a.Outcome == NoPlatform || a.Outcome == NotFound {
		for _, x := range a.Exchanges {
			if strings.Contains(x.URL, "/manifests/") && x.Status != 401 {
				last = x // what follows only looks closer
			}
		}
	}
	return who + ": " + exchanged(last)
}
