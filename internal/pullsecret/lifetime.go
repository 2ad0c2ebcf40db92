package pullsecret

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// Claims is what a token says of itself, unverified. Zero values are what it
// does not say.
type Claims struct {
	// Form is "JWT", or "ECR" for the passwords of Amazon's registry.
	Form            string
	Issuer, Subject string
	Expires         time.Time
}

// ReadClaims reads a password that is a token with an end written in it; false
// if it is another. Nothing is verified.
func ReadClaims(password string) (Claims, bool) {
	if parts := strings.Split(password, "."); len(parts) == 3 {
		header, errH := base64.RawURLEncoding.DecodeString(parts[0])
		body, errB := base64.RawURLEncoding.DecodeString(parts[1])
		var h struct {
			Algorithm string `json:"alg"`
		}
		var b struct {
			Issuer  string      `json:"iss"`
			Subject string      `json:"sub"`
			Expires json.Number `json:"exp"`
		}
		if errH != nil || errB != nil || json.Unmarshal(header, &h) != nil || h.Algorithm == "" || json.Unmarshal(body, &b) != nil {
			return Claims{}, false
		}
		return Claims{"JWT", b.Issuer, b.Subject, second(b.Expires)}, true
	}
	raw, err := base64.StdEncoding.DecodeString(password)
	var e struct {
		Payload string      `json:"payload"`
		DataKey string      `json:"datakey"`
		Expires json.Number `json:"expiration"`
	}
	if err != nil || json.Unmarshal(raw, &e) != nil || e.Payload == "" || e.DataKey == "" {
		return Claims{}, false
	}
	return Claims{Form: "ECR", Expires: second(e.Expires)}, true
}

// second is a moment as tokens write it; the zero time if it is none.
func second(n json.Number) time.Time {
	const most = 253402300799 // the year 9999
	f, err := n.Float64()
	if err != nil || f <= 0 || f > most {
		return time.Time{}
	}
	return time.Unix(int64(f), 0).UTC()
}

// shortLived are users whose passwords end within hours, and whose they are.
var shortLived = map[string]string{
	"AWS":                                  "Amazon ECR, for 12 hours",
	"oauth2accesstoken":                    "Google, for an hour",
	"00000000-0000-0000-0000-000000000000": "Azure, for 3 hours",
}

// lifetime is about passwords that are tokens.
func (c *checker) lifetime(p place, username, password string) {
	if c.Token != nil {
		if err := c.Token(password); err != nil {
			c.add(TokenDamaged, p, "The password of %s looks like a token of Fairlead, and is damaged: %v.", quoted(p.entry), err).Commands = c.replace(p.entry)
			return
		}
	}
	claims, ok := ReadClaims(password)
	switch {
	case ok && !claims.Expires.IsZero() && !c.Now.IsZero() && !claims.Expires.After(c.Now):
		c.add(TokenExpired, p, "The password of %s is a token that expired on %s.", quoted(p.entry), claims.Expires.Format(time.RFC3339)).Commands = c.replace(p.entry)
	case ok && !claims.Expires.IsZero() && !c.Now.IsZero() && claims.Expires.Before(c.Now.Add(24*time.Hour)):
		c.add(TokenShortLived, p, "The password of %s is a token that expires on %s.", quoted(p.entry), claims.Expires.Format(time.RFC3339))
	case shortLived[username] != "":
		c.add(TokenShortLived, p, "The password of %s is a token of %s.", quoted(p.entry), shortLived[username])
	}
}
