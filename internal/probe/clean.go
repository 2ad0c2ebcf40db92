package probe

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"fairlead.dev/fairlead/internal/diagnosis"
)

const (
	// mostText is how many bytes of a text are kept.
	mostText = 1024
	// shortest secret that is looked for: a shorter one stands in any text.
	shortest = 4
)

// secrets are what an answer must not show, should a registry repeat it.
type secrets struct {
	mu   sync.Mutex
	list []string
}

// credential adds a password in every spelling that a request or an error may
// hold it in.
func (s *secrets) credential(c Credential) {
	if c.Password == "" {
		return
	}
	for _, v := range []string{c.Password, c.Username + ":" + c.Password} {
		for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
			s.add(e.EncodeToString([]byte(v)))
		}
	}
	quoted := strconv.Quote(c.Password)
	for _, v := range []string{c.Password, url.QueryEscape(c.Password), url.PathEscape(c.Password), quoted[1 : len(quoted)-1], printable(c.Password)} {
		s.add(v)
	}
}

func (s *secrets) add(secret string) {
	if len(secret) < shortest {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, secret)
}

// clean takes secrets out of all that came from outside, and what a terminal
// would obey.
func (s *secrets) clean(a *diagnosis.Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortFunc(s.list, func(a, b string) int { return len(b) - len(a) }) // one may hold another
	var pairs []string
	for _, secret := range slices.Compact(s.list) {
		pairs = append(pairs, secret, "***")
	}
	redact := strings.NewReplacer(pairs...)
	text := func(texts ...*string) {
		for _, t := range texts {
			// Twice: a spelling may become one by what is left out of it.
			*t = clip(redact.Replace(printable(redact.Replace(*t))))
		}
	}
	text(&a.Server)
	exchange := func(x *diagnosis.Exchange) {
		text(&x.URL, &x.Challenge, &x.Error, &x.Code, &x.Message, &x.Warning)
	}
	exchange(&a.Ping)
	for _, at := range attempts(a) {
		at.Username = printable(at.Username)
		text(&at.Scope)
		at.Platforms = slices.Clone(at.Platforms) // attempts may share them
		for i := range at.Platforms {
			p := &at.Platforms[i]
			text(&p.OS, &p.Architecture, &p.Variant)
		}
		for i := range at.Exchanges {
			exchange(&at.Exchanges[i])
		}
	}
}

// printable puts a mark in the place of what is not for eyes: control and
// formatting characters (they move the cursor, or turn text around), and
// bytes that are no text. White space becomes a space.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsGraphic(r):
			return utf8.RuneError
		}
		return r
	}, s)
}

// clip shortens a text between two characters.
func clip(s string) string {
	if len(s) <= mostText {
		return s
	}
	i := mostText
	for i > 0 && !utf8.RuneStart(s[i]) {
		i--
	}
	return s[:i] + "…"
}
