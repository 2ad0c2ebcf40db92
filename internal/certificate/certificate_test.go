package certificate

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	names = []string{"fairlead-webhook.fairlead-system.svc", "127.0.0.1"}
)

func renew(t *testing.T, k Kept, now time.Time, trusted bool) (Kept, []string) {
	t.Helper()
	out, news, err := Renew(k, Options{Now: now, Names: names, Trusted: trusted})
	if err != nil {
		t.Fatal(err)
	}
	if len(news) == 0 {
		return out, nil
	}
	if again, more, err := Renew(out, Options{Now: now, Names: names}); err != nil || len(more) > 0 || !equal(again, out) {
		t.Fatalf("at once again %q, %v: what was renewed is not due", more, err)
	}
	return out, news
}

func equal(a, b Kept) bool {
	return slices.EqualFunc(parts(a), parts(b), bytes.Equal)
}

func parts(k Kept) [][]byte {
	return [][]byte{k.Authority.Cert, k.Authority.Key, k.Next.Cert, k.Next.Key, k.Before, k.Server.Cert, k.Server.Key}
}

// trusts says whether a client with a bundle takes what a server shows.
func trusts(bundle []byte, server Kept, name string, now time.Time) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	pair, err := server.TLS()
	if err != nil {
		return err
	}
	_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	return err
}

func TestFirst(t *testing.T) {
	k, news := renew(t, Kept{}, start, false)
	if len(news) != 2 {
		t.Errorf("news %q", news)
	}
	for _, name := range names {
		if err := trusts(k.Bundle(), k, name, start); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if trusts(k.Bundle(), k, "other.example", start) == nil {
		t.Error("it is for any name")
	}
	if other, _ := renew(t, Kept{}, start, false); trusts(other.Bundle(), k, names[0], start) == nil {
		t.Error("anybody's authority is trusted")
	}
	pair, _ := k.TLS()
	if pair.Leaf.IsCA {
		t.Error("the server's certificate may sign")
	}
}

// TestYears passes twelve years in steps of half a day, with a client and a
// server that each see what is kept later than it is written: there is no
// moment when the client does not trust the server.
func TestYears(t *testing.T) {
	k, _ := renew(t, Kept{}, start, true)
	servers, bundles, authorities := 1, 1, 1
	client, server := k.Bundle(), k
	for now, step := start, 0; now.Before(start.AddDate(12, 0, 0)); now, step = now.Add(12*time.Hour), step+1 {
		before := k
		k, _ = renew(t, k, now, bytes.Equal(client, k.Bundle()))
		if !bytes.Equal(before.Server.Cert, k.Server.Cert) {
			servers++
		}
		if !bytes.Equal(before.Bundle(), k.Bundle()) {
			bundles++
		}
		if !bytes.Equal(before.Authority.Cert, k.Authority.Cert) {
			authorities++
		}
		if step%50 > 0 && equal(k, server) { // nothing changed, and little time passed
			continue
		}
		for _, shown := range []Kept{server, k} {
			for _, trusted := range [][]byte{client, k.Bundle()} {
				if err := trusts(trusted, shown, names[0], now); err != nil {
					t.Fatalf("%s: %v", now, err)
				}
			}
		}
		client, server = k.Bundle(), k
	}
	// 12 years are 73 times 60 days; authorities are renewed every 40 months.
	if servers < 70 || servers > 80 || authorities != 4 || bundles != 1+3*3 {
		t.Errorf("%d certificates, %d authorities, %d bundles", servers, authorities, bundles)
	}
}

// TestUntrusted: without a word that the clients have the bundle the old
// authority goes on signing, and at its very end there is a new one.
func TestUntrusted(t *testing.T) {
	k, _ := renew(t, Kept{}, start, false)
	late := start.Add(AuthorityLife - time.Hour)
	after, news := renew(t, k, late, false)
	if !bytes.Equal(after.Authority.Cert, k.Authority.Cert) || len(after.Next.Cert) == 0 {
		t.Errorf("%q: it signs before it is trusted", news)
	}
	if err := trusts(k.Bundle(), after, names[0], late); err != nil {
		t.Error(err)
	}
	pair, _ := after.TLS()
	if authority, _ := parseCert(k.Authority.Cert); pair.Leaf.NotAfter.After(authority.NotAfter) {
		t.Error("the certificate outlives its authority")
	}
	ended, news := renew(t, after, start.Add(AuthorityLife), false)
	if err := trusts(ended.Bundle(), ended, names[0], start.Add(AuthorityLife)); err != nil {
		t.Errorf("%q: %v", news, err)
	}
}

// TestClockAhead: what somebody made whose clock was ahead, and which no client
// takes yet, is made anew by whoever looks next, and no more than that.
func TestClockAhead(t *testing.T) {
	ahead := start.Add(72 * time.Hour)
	good, _ := renew(t, Kept{}, start, true)
	future, _ := renew(t, Kept{}, ahead, true)
	if trusts(future.Bundle(), future, names[0], start) == nil {
		t.Fatal("it is good already")
	}
	k, news := renew(t, future, start, true)
	if err := trusts(k.Bundle(), k, names[0], start); err != nil {
		t.Errorf("%q: %v", news, err)
	}

	served := good
	served.Server = Pair{}
	served, _ = renew(t, served, ahead, true)
	k, news = renew(t, served, start, true)
	if err := trusts(good.Bundle(), k, names[0], start); err != nil || len(news) != 1 || !strings.Contains(news[0], "not valid yet") {
		t.Errorf("%q: %v", news, err)
	}

	next := good
	next.Next = future.Authority
	k, _ = renew(t, next, start, true)
	if !bytes.Equal(k.Authority.Cert, good.Authority.Cert) || bytes.Equal(k.Next.Cert, future.Authority.Cert) {
		t.Error("an authority that is not valid yet signs, or is next")
	}

	// An hour is what clocks may differ by.
	little, _ := renew(t, Kept{}, start.Add(59*time.Minute), true)
	if again, news := renew(t, little, start, true); !equal(again, little) {
		t.Errorf("%q: it was good", news)
	}
}

// TestSpoilt: what somebody spoilt is made anew, and no more than that.
func TestSpoilt(t *testing.T) {
	good, _ := renew(t, Kept{}, start, true)
	other, _ := renew(t, Kept{}, start, true)
	for name, c := range map[string]struct {
		spoil     func(*Kept)
		authority bool // a new one
		want      string
	}{
		"no certificate":       {func(k *Kept) { k.Server.Cert = nil }, false, "could not be read"},
		"no key":               {func(k *Kept) { k.Server.Key = []byte("x") }, false, "key could not be read"},
		"another's key":        {func(k *Kept) { k.Server.Key = other.Server.Key }, false, "another's"},
		"another's signature":  {func(k *Kept) { k.Server = other.Server }, false, "had not signed"},
		"no server":            {func(k *Kept) { k.Server = Pair{} }, false, "there was none"},
		"no authority":         {func(k *Kept) { k.Authority = Pair{} }, true, "there was none"},
		"authority's key":      {func(k *Kept) { k.Authority.Key = other.Authority.Key }, true, "another's"},
		"two certificates":     {func(k *Kept) { k.Authority.Cert = slices.Concat(k.Authority.Cert, other.Authority.Cert) }, true, "could not be read"},
		"rubbish for the next": {func(k *Kept) { k.Next = Pair{[]byte("rubbish"), []byte("rubbish")} }, false, "next authority"},
		"rubbish before":       {func(k *Kept) { k.Before = []byte("rubbish") }, false, "not trusted any more"},
	} {
		t.Run(name, func(t *testing.T) {
			k := good
			c.spoil(&k)
			after, news := renew(t, k, start, false)
			if got := !bytes.Equal(after.Authority.Cert, good.Authority.Cert); got != c.authority {
				t.Errorf("a new authority: %v", got)
			}
			if all := strings.Join(news, "; "); !strings.Contains(all, c.want) {
				t.Errorf("news %q, want %q", all, c.want)
			}
			if err := trusts(after.Bundle(), after, names[0], start); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOtherNames(t *testing.T) {
	k, _ := renew(t, Kept{}, start, true)
	after, news, err := Renew(k, Options{Now: start, Names: []string{"new.example"}, Trusted: true})
	if err != nil || len(news) != 1 || !bytes.Equal(k.Bundle(), after.Bundle()) {
		t.Errorf("%q, %v", news, err)
	}
	for _, name := range append([]string{"new.example"}, names...) {
		if err := trusts(k.Bundle(), after, name, start); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The one that is called otherwise is content: they do not take turns.
	if _, news := renew(t, after, start, true); len(news) > 0 {
		t.Errorf("the other server says %q", news)
	}
	due, _, err := Renew(after, Options{Now: start.Add(ServerLife), Names: []string{"new.example"}, Trusted: true})
	if err != nil || trusts(due.Bundle(), due, names[0], start.Add(ServerLife)) == nil {
		t.Errorf("names that nobody has any more stay for ever, %v", err)
	}
	if _, _, err := Renew(Kept{}, Options{Now: start}); err == nil {
		t.Error("a certificate for nobody")
	}
}

// TestPrinted: no key is shown by accident.
func TestPrinted(t *testing.T) {
	k, _ := renew(t, Kept{}, start, true)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		text, key := fmt.Sprintf(verb, k), k.Server.Key[30:40]
		for _, form := range []string{"PRIVATE", string(key), fmt.Sprintf("%x", key), strings.Trim(fmt.Sprintf("%d", key), "[]")} {
			if strings.Contains(text, form) {
				t.Errorf("%s shows a key", verb)
			}
		}
	}
}

// FuzzParse: what can be read is what TLS can use.
func FuzzParse(f *testing.F) {
	k, _, err := Renew(Kept{}, Options{Now: start, Names: names})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(k.Server.Cert, k.Server.Key)
	f.Add(k.Bundle(), k.Authority.Key)
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), []byte("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"))
	authority, err := k.Authority.parse(start)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, cert, key []byte) {
		p := Pair{cert, key}
		if _, err := p.parse(start); err != nil {
			return
		}
		if _, err := tls.X509KeyPair(cert, key); err != nil {
			t.Fatal(err)
		}
		p.unfit(authority, Options{Now: start, Names: names})
		Kept{Authority: k.Authority, Before: cert, Server: k.Server}.over(Options{Now: start})
	})
}
