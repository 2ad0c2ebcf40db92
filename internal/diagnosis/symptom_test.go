package diagnosis_test

import (
	"strings"
	"testing"

	"fairlead.dev/fairlead/internal/diagnosis"
)

// TestSymptomOf has the words of containerd 1.x and 2.x and of CRI-O, as they
// were seen or stand in their sources.
func TestSymptomOf(t *testing.T) {
	t.Parallel()
	const (
		ref  = "registry.example.com/shop/web:v1"
		one  = `failed to pull and unpack image "` + ref + `": failed to resolve reference "` + ref + `": `
		two  = `failed to pull and unpack image "` + ref + `": failed to resolve image: `
		crio = `reading manifest v1 in registry.example.com/shop/web: `
		ping = `pinging container registry registry.example.com: `
		head = `failed to do request: Head "https://registry.example.com/v2/shop/web/manifests/v1": `
		link = "https://registry.example.com/v2/shop/web/manifests/v1"
	)
	for _, c := range []struct {
		want  diagnosis.Symptom
		texts []string
	}{
		{diagnosis.SawNoCredential, []string{
			two + "pull access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials",
			two + "failed to authorize: failed to fetch anonymous token: unexpected status from GET request to https://auth.example.com/token?scope=x: 401 Unauthorized",
			one + "failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized",
		}},
		{diagnosis.SawUnauthorized, []string{
			one + "pulling from host registry.example.com failed with status code [manifests v1]: 401 Unauthorized",
			two + "unexpected status from HEAD request to " + link + ": 401 Unauthorized",
			two + "failed to authorize: failed to fetch oauth token: unexpected status from GET request to https://auth.example.com/token?x: 401 Unauthorized",
			two + "pull access denied, repository does not exist or may require authorization: server message: invalid_token: authorization failed",
			crio + "unauthorized",
			"unable to retrieve auth token: invalid username/password: unauthorized",
			crio + "authentication required",
		}},
		{diagnosis.SawForbidden, []string{
			two + "pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed",
			two + "failed to authorize: failed to fetch oauth token: unexpected status from POST request to https://auth.example.com/token: 403 Forbidden",
			"Requesting bearer token: received unexpected HTTP status: 403 Forbidden",
			crio + "requested access to the resource is denied",
		}},
		{diagnosis.SawNotFound, []string{two + ref + ": not found", one + ref + ": not found", crio + "manifest unknown", crio + "name unknown: repository name not known to registry"}},
		{diagnosis.SawRateLimit, []string{
			two + "unexpected status from HEAD request to " + link + ": 429 Too Many Requests",
			crio + "toomanyrequests: You have reached your pull rate limit",
		}},
		{diagnosis.SawUnknownCA, []string{two + head + "tls: failed to verify certificate: x509: certificate signed by unknown authority", ping + "Get \"https://registry.example.com/v2/\": tls: failed to verify certificate: x509: certificate signed by unknown authority"}},
		{diagnosis.SawBadTLS, []string{two + head + "tls: failed to verify certificate: x509: certificate has expired or is not yet valid", ping + "x509: certificate is valid for other.example.com, not registry.example.com"}},
		{diagnosis.SawPlainHTTP, []string{two + head + "http: server gave HTTP response to HTTPS client", ping + "http: server gave HTTP response to HTTPS client"}},
		{diagnosis.SawNoHost, []string{two + head + "dial tcp: lookup registry.example.com on 10.0.0.2:53: no such host"}},
		{diagnosis.SawRefused, []string{one + head + "dial tcp 10.0.0.9:443: connect: connection refused"}},
		{diagnosis.SawTimeout, []string{one + head + "dial tcp 10.0.0.9:443: i/o timeout", two + head + "context deadline exceeded"}},
		{diagnosis.SawNoPlatform, []string{`failed to pull and unpack image "` + ref + `": no match for platform in manifest: not found`, `choosing image instance: no image found in image index for architecture "amd64", variant "", OS "linux"`}},
		{diagnosis.SawServerError, []string{one + "pulling from host registry.example.com failed with status code [manifests v1]: 503 Service Unavailable", two + "unexpected status from HEAD request to " + link + ": 502 Bad Gateway"}},
		{diagnosis.SawBadSecret, []string{"illegal base64 data at input byte 4", "unable to parse auth field, must be formatted as base64(username:password)", "invalid character 'e' looking for beginning of value", "unexpected end of JSON input"}},
		{diagnosis.NoSymptom, []string{"", "something that nobody has seen yet"}},
	} {
		for _, text := range c.texts {
			if got := diagnosis.SymptomOf(text); got != c.want {
				t.Errorf("%s: %q, want %q", text, got, c.want)
			}
		}
	}
}

// TestNamesAreNoWords: an image may be called whatever it likes.
func TestNamesAreNoWords(t *testing.T) {
	t.Parallel()
	text := `failed to pull and unpack image "reg.example.com/denied/toomanyrequests:404": failed to resolve image: failed to do request: Head "https://reg.example.com/v2/denied/toomanyrequests/manifests/404": dial tcp: lookup reg.example.com: no such host`
	if got := diagnosis.SymptomOf(text); got != diagnosis.SawNoHost {
		t.Errorf("%q", got)
	}
}

// FuzzSymptomOf: no text of a node makes it panic, and white space and case
// do not matter.
func FuzzSymptomOf(f *testing.F) {
	for _, s := range []string{"401 Unauthorized", "x509: certificate signed by unknown authority", `"a/b": no such host`, "\x00\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.ToLower(text) == text && diagnosis.SymptomOf(strings.ToUpper(text)) != diagnosis.SymptomOf(text) && isASCII(text) {
			t.Errorf("the case of %q matters", text)
		}
	})
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > 127 }) < 0
}
