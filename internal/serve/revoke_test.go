package serve_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/oci"
)

const (
	pulls, pushes = 16, 4
	// within is what is promised, and slack for a loaded machine.
	within = 2*time.Second + 500*time.Millisecond
	large  = 24 << 20
	sip    = 32 << 10 // each 20 ms
)

// TestRevocationStopsWhatRuns: 16 pulls and 4 pushes under way, with registry
// tokens minted before, stop within two seconds when their Fairlead token
// ends, in each of the ways it can; those of another token go on. After a
// restart the old registry tokens are still refused.
func TestRevocationStopsWhatRuns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := launch(t, dir, settings{"MIN_FREE_DISK": "0"})
	acme := r.house(t, "acme", v1.NamespaceSpec{Name: "shared", Visibility: "public"}, v1.NamespaceSpec{Name: "gone"})
	guest := r.house(t, "guest")
	admin := r.bearer(t, acme, all("shared/big"), all("gone/big"))
	digest := r.large(t, admin, "shared/big")
	if res, _ := r.do(t, "POST", "/v2/gone/big/blobs/uploads/?mount="+digest+"&from=shared/big", admin, nil); res.StatusCode != 201 {
		t.Fatalf("mount: %s", res.Status)
	}
	bystander := r.mint(t, acme, v1.TokenSpec{Access: "readwrite", Reach: &v1.Reach{Namespaces: []string{"shared"}}})
	var dead []string
	for _, c := range []struct {
		name, repo string
		pushes     int
		token      func() (value, id string)
		end        func(id string)
		status     int
	}{
		{"revoked", "shared/big", pushes, r.robot(t, acme), func(id string) { r.must(t, acme, "DELETE", "/api/v1/tokens/"+id, nil, nil) }, 401},
		{"rotated", "shared/big", pushes, r.robot(t, acme), func(id string) {
			r.must(t, acme, "POST", "/api/v1/tokens/"+id+"/rotate", v1.RotateOptions{Overlap: "0s"}, nil)
		}, 401},
		{"namespace removed", "gone/big", pushes, r.robot(t, acme), func(string) { r.must(t, acme, "DELETE", "/api/v1/namespaces/gone", nil, nil) }, 403},
		{"account removed", "shared/big", 0, r.robot(t, guest), func(string) {
			r.must(t, r.secret(t), "DELETE", "/api/v1/accounts/guest", nil, nil)
		}, 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			value, id := c.token()
			bearer := r.bearer(t, value, all(c.repo))
			others := r.traffic(t, r.bearer(t, bystander.Value, all("shared/big")), "shared/big", digest, 2, 1)
			r.traffic(t, bearer, c.repo, digest, pulls, c.pushes).stops(t, func() { c.end(id) })
			if n := others.stopped(); n != 0 && !r.starved(t) {
				t.Errorf("%d of another token's stopped", n)
			}
			others.end()
			r.refuse(t, bearer, c.repo, digest, c.status)
			dead = append(dead, bearer+" "+c.repo+" "+fmt.Sprint(c.status))
		})
	}
	if err := r.end(t); err != nil {
		t.Fatal(err)
	}
	r = launch(t, dir, nil)
	for _, d := range dead {
		var bearer, repo string
		var status int
		if _, err := fmt.Sscan(d, &bearer, &repo, &status); err != nil {
			t.Fatal(err)
		}
		r.refuse(t, bearer, repo, digest, status)
	}
	if res, _ := r.do(t, "HEAD", "/v2/shared/big/blobs/"+digest, r.bearer(t, bystander.Value, all("shared/big")), nil); res.StatusCode != 200 {
		t.Errorf("the other token gets %s", res.Status)
	}
}

// TestRevocationOverTLS: the same behind TLS, where pulls do not go by
// sendfile, and over HTTP/2, where a connection has other streams.
func TestRevocationOverTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	writePair(t, cert, key, 1)
	r := launch(t, filepath.Join(dir, "data"), settings{"TLS_CERT": cert, "TLS_KEY": key, "MIN_FREE_DISK": "0"})
	trust := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // what is tested is another thing
	r.client.Transport = &http.Transport{TLSClientConfig: trust}
	acme := r.house(t, "acme", v1.NamespaceSpec{Name: "acme"})
	digest := r.large(t, r.bearer(t, acme, all("acme/big")), "acme/big")
	for _, two := range []bool{false, true} {
		t.Run(fmt.Sprintf("HTTP2=%t", two), func(t *testing.T) {
			r.client.Transport = &http.Transport{
				TLSClientConfig: trust.Clone(), ForceAttemptHTTP2: two, DialContext: smallBuffers,
				HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10},
			}
			value, id := r.robot(t, acme)()
			r.traffic(t, r.bearer(t, value, all("acme/big")), "acme/big", digest, 4, 4).stops(t, func() {
				r.must(t, acme, "DELETE", "/api/v1/tokens/"+id, nil, nil)
			})
		})
	}
}

// smallBuffers: what a slow client has in its own buffers already, no server
// can take back.
func smallBuffers(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if t, ok := c.(*net.TCPConn); ok {
		err = t.SetReadBuffer(64 << 10)
	}
	return c, err
}

// robot makes a token when it is asked for.
func (r *running) robot(t *testing.T, admin string) func() (value, id string) {
	return func() (string, string) {
		made := r.mint(t, admin, v1.TokenSpec{Access: "readwrite"})
		return made.Value, made.ID
	}
}

// refuse: neither what goes on nor what is new is let in.
func (r *running) refuse(t *testing.T, bearer, repo, digest string, status int) {
	t.Helper()
	for _, c := range [][2]string{{"GET", "/blobs/" + digest}, {"HEAD", "/blobs/" + digest}, {"POST", "/blobs/uploads/"}, {"GET", "/tags/list"}} {
		res, _ := r.do(t, c[0], "/v2/"+repo+c[1], bearer, nil)
		if res.StatusCode != status {
			t.Errorf("%s %s: %s, want %d", c[0], c[1], res.Status, status)
		}
	}
}

// pattern is n bytes that no store can shorten.
type pattern struct{ at, n int64 }

func (p *pattern) Read(b []byte) (int, error) {
	if p.at == p.n {
		return 0, io.EOF
	}
	b = b[:min(int64(len(b)), p.n-p.at)]
	for i := range b {
		b[i] = byte((p.at + int64(i)) * 7919 >> 5)
	}
	p.at += int64(len(b))
	return len(b), nil
}

// large pushes a large blob.
func (r *running) large(t *testing.T, bearer, repo string) string {
	t.Helper()
	b, err := io.ReadAll(&pattern{n: large})
	if err != nil {
		t.Fatal(err)
	}
	digest := string(oci.DigestOf(oci.SHA256, b))
	for try := 0; ; try++ {
		res, body := r.do(t, "POST", "/v2/"+repo+"/blobs/uploads/?digest="+digest, bearer, strings.NewReader(string(b)))
		if res.StatusCode == 201 {
			return digest
		}
		if try == 5 || !r.starved(t) {
			t.Fatalf("push: %s %s", res.Status, body)
		}
		time.Sleep(time.Second)
	}
}

// starved tells whether the machine was so busy that the server could not read
// its database for two seconds: then it rightly lets nobody go on.
func (r *running) starved(t *testing.T) bool {
	t.Helper()
	was := strings.Contains(r.log.String(), "accounts' tokens are not accepted until")
	if was {
		t.Log("the server could not read its database for two seconds, and ended what ran")
	}
	return was
}

// traffic is pulls and pushes that run.
type traffic struct {
	r       *running
	bearer  string
	cancel  context.CancelFunc
	begun   sync.WaitGroup
	running sync.WaitGroup
	mu      sync.Mutex
	ends    []time.Time
	faults  []string
	over    atomic.Bool // the test has ended them
}

// traffic begins slow pulls and pushes, and returns when all of them run.
// Every fourth of them takes or sends nothing more after its first bytes.
func (r *running) traffic(t *testing.T, bearer, repo, digest string, pulls, pushes int) *traffic {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	x := &traffic{r: r, bearer: bearer, cancel: cancel}
	t.Cleanup(cancel)
	x.begun.Add(pulls + pushes)
	for i := range pulls {
		x.running.Go(func() { x.pull(ctx, "/v2/"+repo+"/blobs/"+digest, i%4 == 3) })
	}
	for i := range pushes {
		res, body := r.do(t, "POST", "/v2/"+repo+"/blobs/uploads/", bearer, nil)
		if res.StatusCode != 202 {
			t.Fatalf("upload: %s %s", res.Status, body)
		}
		x.running.Go(func() { x.push(ctx, res.Header.Get("Location"), i%4 == 3) })
	}
	x.begun.Wait()
	return x
}

func (x *traffic) request(ctx context.Context, method, target string, body io.Reader) (*http.Response, error) {
	if !strings.HasPrefix(target, "http") {
		target = x.r.url + target
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+x.bearer)
	return x.r.client.Do(req)
}

func (x *traffic) ended(fault string) {
	if x.over.Load() {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ends = append(x.ends, time.Now())
	if fault != "" {
		x.faults = append(x.faults, fault)
	}
}

// pull reads slowly. A stalled one waits until its token must be dead, and
// then takes what is left: that must be no more than what was on its way.
func (x *traffic) pull(ctx context.Context, target string, stalled bool) {
	res, err := x.request(ctx, "GET", target, nil)
	if err == nil && res.StatusCode != 200 {
		res.Body.Close()
		err = errors.New(res.Status)
	}
	if err != nil {
		x.begun.Done()
		x.ended("pull: " + err.Error())
		return
	}
	defer res.Body.Close()
	got, err := io.CopyN(io.Discard, res.Body, sip)
	x.begun.Done()
	if stalled && err == nil {
		x.stalled(ctx, res.Body)
		return
	}
	for err == nil && ctx.Err() == nil {
		var n int64
		n, err = io.CopyN(io.Discard, res.Body, sip)
		got += n
		time.Sleep(20 * time.Millisecond)
	}
	if got == large {
		x.ended("a pull went through")
		return
	}
	x.ended("")
}

func (x *traffic) stalled(ctx context.Context, body io.Reader) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(within):
	}
	n, err := io.Copy(io.Discard, body)
	const onItsWay = 8 << 20 // in the client's kernel
	if err == nil || n > onItsWay {
		x.ended(fmt.Sprintf("a stalled pull got another %d bytes: %v", n, err))
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ends = append(x.ends, time.Time{}) // it cannot tell when
}

// push sends slowly, and never comes to an end by itself.
func (x *traffic) push(ctx context.Context, target string, stalled bool) {
	body, feed := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		res, err := x.request(ctx, "PATCH", target, body)
		fault := ""
		if err == nil {
			res.Body.Close()
			if res.StatusCode < 400 {
				fault = "a push went through: " + res.Status
			}
		}
		x.ended(fault)
		_ = body.CloseWithError(errors.New("the request has ended"))
	}()
	_, err := feed.Write(make([]byte, sip))
	x.begun.Done()
	if stalled {
		<-done
	}
	for err == nil && ctx.Err() == nil {
		time.Sleep(20 * time.Millisecond)
		_, err = feed.Write(make([]byte, sip))
	}
	_ = feed.CloseWithError(context.Canceled)
	<-done
}

// stops ends what the traffic lives on, and waits until all of it has stopped,
// in time.
func (x *traffic) stops(t *testing.T, end func()) {
	t.Helper()
	begun := time.Now()
	end()
	acknowledged := time.Since(begun)
	x.running.Wait()
	var slowest time.Duration
	for _, e := range x.ends {
		slowest = max(slowest, e.Sub(begun))
	}
	t.Logf("acknowledged after %s, the slowest of %d stopped after %s", acknowledged, len(x.ends), slowest)
	if slowest > within {
		t.Errorf("the slowest stopped after %s", slowest)
	}
	for _, f := range x.faults {
		t.Error(f)
	}
}

func (x *traffic) stopped() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.ends)
}

// end stops traffic that nothing else did.
func (x *traffic) end() {
	x.over.Store(true)
	x.cancel()
	x.running.Wait()
}

// TestRevocationIsRemembered: a token that was revoked is refused by name, to
// who has its value, before and after a restart.
func TestRevocationIsRemembered(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := launch(t, dir, nil)
	acme := r.house(t, "acme", v1.NamespaceSpec{Name: "acme"})
	value, id := r.robot(t, acme)()
	bearer := r.bearer(t, value, all("acme/web"))
	r.mustPush(t, bearer, "acme/web", "v1", "content")
	r.must(t, acme, "DELETE", "/api/v1/tokens/"+id, nil, nil)
	for range 2 {
		for _, c := range []call{
			{method: "GET", target: "/token", basic: value},
			{method: "GET", target: "/api/v1/whoami", bearer: value},
			{method: "GET", target: "/v2/acme/web/manifests/v1", bearer: bearer},
		} {
			a, err := r.send(t.Context(), c)
			if err != nil || a.status != 401 || !strings.Contains(a.body, "revoked") {
				t.Errorf("%s: %d %s %v", c.target, a.status, a.body, err)
			}
		}
		if err := r.end(t); err != nil {
			t.Fatal(err)
		}
		r = launch(t, dir, nil)
	}
}
