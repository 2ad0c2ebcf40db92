package token_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/token"
)

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func decode(tb testing.TB, s string) string {
	tb.Helper()
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

// forge is a house whose signing key has leaked into the test, so that what
// comes after the signature can be attacked as well.
type forge struct {
	*house
	key ed25519.PrivateKey
	id  string
}

func newForge(tb testing.TB) *forge {
	tb.Helper()
	dir := tb.TempDir()
	keys, err := token.OpenKeys(dir)
	if err != nil {
		tb.Fatal(err)
	}
	h := newHouse(tb)
	h.keys = keys
	h.Minter = token.NewMinter(token.MinterOptions{Issuer: issuer, Service: service, Keys: keys, Now: h.now})
	h.Verifier = h.fresh()
	k, _ := keys.Signing(tb.Context())
	b, err := os.ReadFile(filepath.Join(dir, k.ID+".pem"))
	if err != nil {
		tb.Fatal(err)
	}
	block, _ := pem.Decode(b)
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		tb.Fatal(err)
	}
	return &forge{h, parsed.(ed25519.PrivateKey), k.ID}
}

func (f *forge) sign(header, payload string) string {
	signed := encode(header) + "." + encode(payload)
	return signed + "." + encode(string(ed25519.Sign(f.key, []byte(signed))))
}

func (f *forge) header() string { return fmt.Sprintf(`{"alg":"EdDSA","kid":%q,"typ":"JWT"}`, f.id) }

// payload is a good one with some of its members replaced.
func (f *forge) payload(oldnew ...string) string {
	p := `{"iss":"https://registry.example","sub":"operator","aud":"registry.example","exp":1800000300,"nbf":1800000000,"iat":1800000000,"jti":"id","fairlead_kind":"operator","fairlead_token":"0123456789abcdef","access":[]}`
	for i := 0; i < len(oldnew); i += 2 {
		if strings.Count(p, oldnew[i]) != 1 {
			panic("the attack does not apply: " + oldnew[i])
		}
		p = strings.Replace(p, oldnew[i], oldnew[i+1], 1)
	}
	return p
}

// refused checks that a token is invalid, twice: nothing of it is remembered.
func (f *forge) refused(t *testing.T, raw string) {
	t.Helper()
	for range 2 {
		if c, err := f.Verify(t.Context(), raw); !errors.Is(err, token.ErrInvalid) || !cmp.Equal(c, token.Claims{}) {
			t.Errorf("%.200q was not refused: %+v, %v", raw, c, err)
		}
	}
	if f.Cached() != 0 {
		t.Error("an invalid token is remembered")
	}
}

func TestForgeWorks(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	if _, err := f.Verify(t.Context(), f.sign(f.header(), f.payload())); err != nil {
		t.Fatalf("the attacks below would prove nothing: %v", err)
	}
}

// Every header but the one is refused, although the signature is right.
func TestAttackHeader(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string][2]string{
		"alg none":          {`"EdDSA"`, `"none"`},
		"alg None":          {`"EdDSA"`, `"None"`},
		"alg HS256":         {`"EdDSA"`, `"HS256"`},
		"alg RS256":         {`"EdDSA"`, `"RS256"`},
		"alg ES256":         {`"EdDSA"`, `"ES256"`},
		"alg Ed25519":       {`"EdDSA"`, `"Ed25519"`},
		"alg case":          {`"EdDSA"`, `"eddsa"`},
		"alg null":          {`"EdDSA"`, `null`},
		"alg list":          {`"EdDSA"`, `["EdDSA"]`},
		"no alg":            {`"alg":"EdDSA",`, ``},
		"no typ":            {`,"typ":"JWT"`, ``},
		"typ other":         {`"JWT"`, `"JWE"`},
		"duplicate alg":     {`{`, `{"alg":"none",`},
		"duplicate kid":     {`"typ"`, `"kid":"x","typ"`},
		"member in capital": {`"alg"`, `"ALG"`},
		"jku":               {`,"typ"`, `,"jku":"https://evil.example/keys","typ"`},
		"x5u":               {`,"typ"`, `,"x5u":"https://evil.example/c.pem","typ"`},
		"crit":              {`,"typ"`, `,"crit":["exp"],"typ"`},
		"b64":               {`,"typ"`, `,"b64":false,"typ"`},
		"cty":               {`,"typ"`, `,"cty":"JWT","typ"`},
		"zip":               {`,"typ"`, `,"zip":"DEF","typ"`},
		"space":             {`,"typ"`, `, "typ"`},
		"trailing":          {`}`, `} `},
		"array":             {`{`, `[{`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newForge(t)
			header := strings.Replace(f.header(), edit[0], edit[1], 1)
			if header == f.header() {
				t.Fatal("the attack does not apply")
			}
			f.refused(t, f.sign(header, f.payload()))
		})
	}
}

// CVE-2025-24976: a token that brings its own key must not be believed,
// neither by jwk nor by x5c, whatever its kid says.
func TestCVE_2025_24976(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	pub, own, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	jwk := fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","x":%q}`, encode(string(pub)))
	evil := &forge{f.house, own, f.id}
	for name, header := range map[string]string{
		"jwk, our kid":  fmt.Sprintf(`{"alg":"EdDSA","jwk":%s,"kid":%q,"typ":"JWT"}`, jwk, f.id),
		"jwk, its kid":  fmt.Sprintf(`{"alg":"EdDSA","jwk":%s,"kid":%q,"typ":"JWT"}`, jwk, token.NewPublicKey(pub).ID),
		"jwk, no kid":   fmt.Sprintf(`{"alg":"EdDSA","jwk":%s,"typ":"JWT"}`, jwk),
		"x5c, our kid":  fmt.Sprintf(`{"alg":"EdDSA","kid":%q,"typ":"JWT","x5c":["MIIB"]}`, f.id),
		"our kid only":  f.header(),
		"its kid only":  fmt.Sprintf(`{"alg":"EdDSA","kid":%q,"typ":"JWT"}`, token.NewPublicKey(pub).ID),
		"kid is a path": `{"alg":"EdDSA","kid":"../../etc/passwd","typ":"JWT"}`,
		"kid is empty":  `{"alg":"EdDSA","kid":"","typ":"JWT"}`,
	} {
		t.Run(name, func(t *testing.T) {
			f.refused(t, evil.sign(header, f.payload()))
			if header != f.header() { // with the right key as well
				f.refused(t, f.sign(header, f.payload()))
			}
		})
	}
}

// CVE-2025-30204: a token of nothing but dots must not cost memory in
// proportion.
func TestCVE_2025_30204(t *testing.T) { // not parallel: it counts allocations
	f := newForge(t)
	good := f.sign(f.header(), f.payload())
	dots := strings.Repeat(".", 1<<20)
	for _, raw := range []string{dots, good + dots, good[:100] + dots, strings.Repeat("a.", token.MaxLength/2), encode(f.header()) + strings.Repeat(".", token.MaxLength-200)} {
		var err error
		n := testing.AllocsPerRun(10, func() { _, err = f.Verify(t.Context(), raw) })
		if !errors.Is(err, token.ErrInvalid) {
			t.Errorf("%.20q…: %v", raw, err)
		}
		if n > 10 {
			t.Errorf("%.20q… of %d bytes costs %.0f allocations", raw, len(raw), n)
		}
	}
}

// A public key taken for an HMAC secret, and an RSA signature.
func TestAttackAlgorithmConfusion(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	for _, alg := range []string{"HS256", "EdDSA"} {
		header := strings.Replace(f.header(), "EdDSA", alg, 1)
		signed := encode(header) + "." + encode(f.payload())
		mac := hmac.New(sha256.New, f.key.Public().(ed25519.PublicKey))
		mac.Write([]byte(signed))
		f.refused(t, signed+"."+encode(string(mac.Sum(nil))))
	}
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	signed := encode(strings.Replace(f.header(), "EdDSA", "RS256", 1)) + "." + encode(f.payload())
	sum := sha256.Sum256([]byte(signed))
	sig, err := k.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	f.refused(t, signed+"."+encode(string(sig)))
	f.refused(t, encode(`{"alg":"none","typ":"JWT"}`)+"."+encode(f.payload())+".")
}

// The form: segments, encoding, length.
func TestAttackForm(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	good := f.sign(f.header(), f.payload())
	parts := strings.Split(good, ".")
	last := parts[2][len(parts[2])-1]
	for name, raw := range map[string]string{
		"empty":                "",
		"dot":                  ".",
		"two dots":             "..",
		"one segment":          parts[0],
		"two segments":         parts[0] + "." + parts[1],
		"no signature":         parts[0] + "." + parts[1] + ".",
		"no payload":           parts[0] + ".." + parts[2],
		"four segments":        good + ".",
		"five segments":        good + ".a.b",
		"padding":              good + "==",
		"leading space":        " " + good,
		"trailing newline":     good + "\n",
		"newline in signature": parts[0] + "." + parts[1] + "." + parts[2][:10] + "\n" + parts[2][10:],
		"newline in payload":   parts[0] + "." + parts[1][:10] + "\r\n" + parts[1][10:] + "." + parts[2],
		"newline in header":    parts[0][:10] + "\n" + parts[0][10:] + "." + parts[1] + "." + parts[2],
		"trailing bits":        good[:len(good)-1] + string(last+1),
		"signature cut":        good[:len(good)-1],
		"signature extended":   good + "AAAA",
		"standard alphabet":    parts[0] + "." + parts[1] + "." + strings.Repeat("+/", 43),
		"zero signature":       parts[0] + "." + parts[1] + "." + encode(string(make([]byte, 64))),
		"bearer":               "Bearer " + good,
		"too long":             parts[0] + "." + strings.Repeat("A", token.MaxLength) + "." + parts[2],
		"other payload":        parts[0] + "." + encode(f.payload(`"sub":"operator"`, `"sub":"0perator"`)) + "." + parts[2],
	} {
		t.Run(name, func(t *testing.T) {
			f.refused(t, raw)
		})
	}
}

// The claims, signed rightly.
func TestAttackClaims(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string][]string{
		"no iat":             {`,"iat":1800000000`, ``},
		"no nbf":             {`,"nbf":1800000000`, ``},
		"no exp":             {`,"exp":1800000300`, ``},
		"iat null":           {`"iat":1800000000`, `"iat":null`},
		"iat zero":           {`"iat":1800000000`, `"iat":0`},
		"iat negative":       {`"iat":1800000000`, `"iat":-1`},
		"iat fraction":       {`"iat":1800000000`, `"iat":1800000000.5`},
		"iat exponent":       {`"iat":1800000000`, `"iat":18e8`},
		"iat text":           {`"iat":1800000000`, `"iat":"1800000000"`},
		"exp huge":           {`"exp":1800000300`, `"exp":9223372036854775807`},
		"exp overflow":       {`"exp":1800000300`, `"exp":9223372036854775808`},
		"future iat":         {`"iat":1800000000`, `"iat":1800000062`},
		"future nbf":         {`"nbf":1800000000`, `"nbf":1800000062`},
		"iat after exp":      {`"exp":1800000300`, `"exp":1799999999`},
		"nbf after exp":      {`"nbf":1800000000`, `"nbf":1800000300`},
		"nbf zero":           {`"nbf":1800000000`, `"nbf":0`},
		"nbf negative":       {`"nbf":1800000000`, `"nbf":-1`},
		"iat just after exp": {`"iat":1800000000`, `"iat":1800000020`, `"exp":1800000300`, `"exp":1800000020`},
		"nbf just after exp": {`"nbf":1800000000`, `"nbf":1800000020`, `"exp":1800000300`, `"exp":1800000020`},
		"too long a name":    {`"sub":"operator"`, `"sub":"` + strings.Repeat("o", token.MaxLength) + `"`},
		"too long a life":    {`"exp":1800000300`, `"exp":1800003601`},
		"other issuer":       {`"iss":"https://registry.example"`, `"iss":"https://evil.example"`},
		"no issuer":          {`"iss":"https://registry.example",`, ``},
		"other audience":     {`"aud":"registry.example"`, `"aud":"other.example"`},
		"audience list":      {`"aud":"registry.example"`, `"aud":["registry.example"]`},
		"no audience":        {`,"aud":"registry.example"`, ``},
		"no id":              {`"jti":"id"`, `"jti":""`},
		"no kind":            {`"fairlead_kind":"operator"`, `"fairlead_kind":""`},
		"nobody's":           {`"fairlead_token":"0123456789abcdef"`, `"fairlead_token":""`},
		"anonymous, token":   {`"fairlead_kind":"operator"`, `"fairlead_kind":"anonymous"`},
		"an account's part":  {`,"access":[]`, `,"fairlead_account":{"id":1,"name":"acme","level":"admin","reach":{"all":true},"generation":1},"access":[]`},
		"no account's part":  {`"fairlead_kind":"operator"`, `"fairlead_kind":"account"`},
		"account 0":          {`"fairlead_kind":"operator"`, `"fairlead_kind":"account"`, `,"access":[]`, `,"fairlead_account":{"id":0,"name":"acme","level":"admin","reach":{"all":true},"generation":1},"access":[]`},
		"reach twice":        {`"fairlead_kind":"operator"`, `"fairlead_kind":"account"`, `,"access":[]`, `,"fairlead_account":{"id":1,"name":"acme","level":"admin","reach":{"all":true},"reach":{"all":true},"generation":1},"access":[]`},
		"duplicate exp":      {`"exp":1800000300`, `"exp":1,"exp":1800000300`},
		"duplicate access":   {`"access":[]`, `"access":[],"access":[]`},
		"name in capitals":   {`"exp"`, `"EXP"`},
		"unknown claim":      {`"access"`, `"only_from":"10.0.0.0/8","access"`},
		"no access":          {`,"access":[]`, ``},
		"access null":        {`"access":[]`, `"access":null`},
		"access text":        {`"access":[]`, `"access":"repository:a:pull"`},
		"duplicate actions":  {`"access":[]`, `"access":[{"type":"repository","name":"a","actions":["pull"],"actions":["push"]}]`},
		"unknown in access":  {`"access":[]`, `"access":[{"type":"repository","class":"plugin","name":"a","actions":["pull"]}]`},
		"trailing document":  {`"access":[]}`, `"access":[]}{}`},
		"trailing space":     {`"access":[]}`, `"access":[]} `},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newForge(t)
			raw := f.sign(f.header(), f.payload(edit...))
			for _, v := range []*token.Verifier{f.Verifier, f.fresh(), f.Verifier} {
				if c, err := v.Verify(t.Context(), raw); !errors.Is(err, token.ErrInvalid) || !cmp.Equal(c, token.Claims{}) {
					t.Errorf("not refused: %+v, %v", c, err)
				}
			}
		})
	}
	f := newForge(t)
	for _, p := range []string{"", "null", "[]", "1", "{}", strings.Repeat("[", 5000)} {
		f.refused(t, f.sign(f.header(), p))
	}
}

// A valid expired token is the only invalid one that gives claims; an expired
// forgery gives none.
func TestExpiredForgeryGivesNoClaims(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	f.t = f.t.Add(time.Hour)
	raw := f.sign(f.header(), f.payload(`"aud":"registry.example"`, `"aud":"other.example"`))
	if c, err := f.Verify(t.Context(), raw); errors.Is(err, token.ErrExpired) || !cmp.Equal(c, token.Claims{}) {
		t.Errorf("%+v, %v", c, err)
	}
}

// FuzzVerify: no input panics, and nothing but the minted tokens verifies.
func FuzzVerify(f *testing.F) {
	h := newHouse(f)
	good, _ := h.mint(f, pullPush())
	other, _ := h.mint(f, oci.CatalogScope())
	minted := map[string]bool{good: true, other: true}
	parts := strings.Split(good, ".")
	for _, s := range []string{
		good, other, "", ".", "..", good + "\n", good + "=", good[:len(good)-1], parts[0] + "." + parts[1] + ".",
		encode(`{"alg":"none"}`) + "." + parts[1] + ".", parts[0] + "." + strings.Split(other, ".")[1] + "." + parts[2],
	} {
		f.Add(s, 0, byte(0))
	}
	f.Add(good, 40, byte(1))
	f.Add(good, len(good)-1, byte(1))
	f.Fuzz(func(t *testing.T, raw string, at int, flip byte) {
		b := []byte(raw)
		if at >= 0 && at < len(b) {
			b[at] ^= flip
		}
		for _, raw := range []string{raw, string(b)} {
			c, err := h.Verify(t.Context(), raw)
			if (err == nil) != minted[raw] {
				t.Errorf("%q: %+v, %v", raw, c, err)
			}
			if err != nil && !errors.Is(err, token.ErrInvalid) {
				t.Errorf("%q: %v", raw, err)
			}
		}
	})
}
