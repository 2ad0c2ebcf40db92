package serve_test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// forge makes, of NAME's registry token, one with another header ("" is its
// own; KID and OWN stand for the key's id and a key of the attacker's) and
// another signature: none, keep, hmac (over the public key) or own.
func (a *attack) forge(ts *testscript.TestScript, _ bool, args []string) {
	header, rest, _ := strings.Cut(a.bearers[args[0]], ".")
	body, signature, _ := strings.Cut(rest, ".")
	keys, err := a.r.send(a.t.Context(), call{method: "GET", target: "/.well-known/jwks.json"})
	ts.Check(err)
	var set struct{ Keys []struct{ Kid, X string } }
	ts.Check(json.Unmarshal([]byte(keys.body), &set))
	public, private, err := ed25519.GenerateKey(nil)
	ts.Check(err)
	if args[1] != "" {
		own := fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","x":%q}`, base64.RawURLEncoding.EncodeToString(public))
		text := strings.NewReplacer("OWN", own, "KID", strconv.Quote(set.Keys[0].Kid)).Replace(args[1])
		header = base64.RawURLEncoding.EncodeToString([]byte(text))
	}
	signed := header + "." + body
	switch args[2] {
	case "none":
		signature = ""
	case "hmac":
		x, err := base64.RawURLEncoding.DecodeString(set.Keys[0].X)
		ts.Check(err)
		m := hmac.New(sha256.New, x)
		m.Write([]byte(signed))
		signature = base64.RawURLEncoding.EncodeToString(m.Sum(nil))
	case "own":
		signature = base64.RawURLEncoding.EncodeToString(ed25519.Sign(private, []byte(signed)))
	}
	ts.Setenv("forged", signed+"."+signature)
}

// long sets VAR to N times a letter.
func (a *attack) long(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	letter := "x"
	if len(args) > 2 {
		letter = args[2]
	}
	ts.Setenv(args[0], strings.Repeat(letter, n))
}

// move sets moved to the location with one word replaced.
func (a *attack) move(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv("moved", strings.Replace(ts.Getenv("location"), args[0], args[1], 1))
}

// refused is http for whatever status from 400 to 499.
func (a *attack) refused(ts *testscript.TestScript, _ bool, args []string) {
	got, err := a.r.send(a.t.Context(), a.parse(ts, args))
	ts.Check(err)
	fmt.Fprint(ts.Stdout(), got.text())
	if got.status < 400 || got.status >= 500 {
		ts.Fatalf("answered %d, want a refusal", got.status)
	}
}

// each is http for every number of a range, in place of #.
func (a *attack) each(ts *testscript.TestScript, neg bool, args []string) {
	from, err := strconv.Atoi(args[0])
	ts.Check(err)
	to, err := strconv.Atoi(args[1])
	ts.Check(err)
	for n := from; n <= to; n++ {
		now := make([]string, len(args)-2)
		for i, arg := range args[2:] {
			now[i] = strings.ReplaceAll(arg, "#", strconv.Itoa(n))
		}
		a.http(ts, neg, now)
	}
}

func (a *attack) sleep(ts *testscript.TestScript, _ bool, args []string) {
	d, err := time.ParseDuration(args[0])
	ts.Check(err)
	time.Sleep(d)
}
