package serve_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	v1 "fairlead.dev/fairlead/api/v1"
)

// TestFailedSignIns: wrong values are limited per address; who has the value
// of a token that ended reads why, however often and whatever others do.
func TestFailedSignIns(t *testing.T) {
	t.Parallel()
	r := launch(t, filepath.Join(t.TempDir(), "data"), nil)
	var made v1.AccountMade
	answer, body := r.do(t, "POST", "/api/v1/accounts", r.secret(t), strings.NewReader(`{"name":"acme"}`))
	if err := json.Unmarshal(body, &made); err != nil || answer.StatusCode != http.StatusCreated {
		t.Fatalf("making an account: %s %v", answer.Status, err)
	}
	if answer, body := r.do(t, "DELETE", "/api/v1/tokens/"+made.TokenID, r.secret(t), nil); answer.StatusCode >= 300 {
		t.Fatalf("revoking its token: %s %s", answer.Status, body)
	}
	signIn := func(secret string) (int, string) {
		answer, body := r.do(t, "GET", "/api/v1/whoami", secret, nil)
		return answer.StatusCode, string(body)
	}
	ended := func() {
		t.Helper()
		for range 30 {
			if code, body := signIn(made.Token); code != http.StatusUnauthorized || !strings.Contains(body, "revoked") {
				t.Fatalf("a revoked token: %d %s", code, body)
			}
		}
	}
	ended()
	limited := 0
	for range 30 {
		if code, _ := signIn("wrong"); code == http.StatusTooManyRequests {
			limited++
		}
	}
	if limited == 0 {
		t.Error("30 wrong sign-ins, and none was one too many")
	}
	ended()
}
