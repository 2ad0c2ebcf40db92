// Package distribution speaks the OCI Distribution protocol over HTTP: /v2/
// and the token endpoint that goes with it, two halves of one protocol.
//
// A request is parsed by the grammar (oci/wire), its registry token verified,
// and handed with its principal to a view of the registry (guard) that decides
// what is allowed. Handlers return errors; fail is the only place that answers
// one. Blob bodies reach the socket as *os.File, so that sendfile works.
package distribution

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/observe"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/oci/wire"
	"fairlead.dev/fairlead/internal/registry"
	"fairlead.dev/fairlead/internal/registry/guard"
	"fairlead.dev/fairlead/internal/token"
)

// Verifier checks registry tokens.
type Verifier interface {
	Verify(ctx context.Context, raw string) (token.Claims, error)
}

// Minter makes registry tokens.
type Minter interface {
	Mint(ctx context.Context, p access.Principal, scopes []oci.Scope) (string, token.Claims, error)
}

// Authenticator knows who a user name and a Fairlead token stand for.
type Authenticator interface {
	Authenticate(ctx context.Context, username, secret string) (access.Principal, error)
}

// Options of a Handler; those from Warn on may be left out.
type Options struct {
	// View is the registry as a viewer may see it.
	View          func(guard.Viewer) registry.Registry
	Policy        access.Policy
	Verifier      Verifier
	Minter        Minter
	Authenticator Authenticator
	// KeySet is the JSON Web Key Set of the keys that registry tokens are
	// signed with.
	KeySet func(ctx context.Context) ([]byte, error)
	// Hosts are the URLs that clients reach this registry by. A request is
	// answered with the one it asked for, or else the first.
	Hosts []*url.URL
	// Service names this registry in challenges and tokens.
	Service string
	// Anonymous lets who is not signed in have registry tokens, for what the
	// policy allows everybody.
	Anonymous bool
	// Warn gives what a client's user should be told beside the answer.
	Warn func(ctx context.Context, p access.Principal, write bool) []string
	// Pulled is told of manifests that were read, with head of those that
	// were only looked up.
	Pulled func(p access.Principal, repo oci.Repo, ref oci.Ref, digest oci.Digest, head bool)
	// Audit is told of changes and refusals.
	Audit func(context.Context, guard.Event)
	// Patience is how long a client may pause while it sends a body; 0 is a
	// minute.
	Patience time.Duration
	Log      *slog.Logger
	// Now is the clock that Pushing goes by.
	Now func() time.Time
}

// Handler answers /v2/, /token and /.well-known/jwks.json.
type Handler struct {
	o        Options
	hosts    hosts
	draining atomic.Bool
	pushed   atomic.Int64 // unix nanoseconds of the last push request's end
	running  atomic.Int64 // push requests being answered
}

// New makes a Handler.
func New(o Options) *Handler {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Patience <= 0 {
		o.Patience = time.Minute
	}
	return &Handler{o: o, hosts: newHosts(o.Hosts)}
}

// exchange is one request on its way through a handler.
type exchange struct {
	h      *Handler
	w      http.ResponseWriter
	r      *http.Request
	req    wire.Request
	viewer guard.Viewer
	reg    registry.Registry
	record *observe.Request
	// credential is the registry token that came.
	credential string
	watch      *watch // while a body is under way
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header()["X-Content-Type-Options"] = nosniff
	x := &exchange{h: h, w: w, r: r, record: observe.FromContext(r.Context())}
	x.limitBody()
	defer x.unwatch()
	var err error
	switch r.URL.Path {
	case "/token":
		x.record.Route = "token"
		err = x.token()
	case "/.well-known/jwks.json":
		x.record.Route = "jwks"
		err = x.keySet()
	default:
		err = x.v2()
	}
	if err != nil {
		x.fail(err)
	}
}

// v2 answers what lies under /v2/.
func (x *exchange) v2() error {
	x.record.Route = "unknown"
	var err error
	x.req, err = wire.Parse(x.r.Method, x.r.URL)
	if err != nil {
		return err
	}
	x.record.Route, x.record.Repo = x.req.Kind.String(), string(x.req.Repo)
	if x.req.Kind == wire.Ping { // where docker looks for it
		x.w.Header()["Docker-Distribution-Api-Version"] = apiVersion
	}
	if x.h.draining.Load() && !endsPush[x.req.Kind] {
		return oci.Errorf(oci.CodeUnavailable, "the registry is being stopped: try again in a moment")
	}
	if err := x.identify(); err != nil {
		return err
	}
	x.record.Principal = x.viewer.Principal.Name
	x.reg = x.h.o.View(x.viewer)
	if isPush[x.req.Kind] && x.viewer.SignedIn { // a stranger's request is no push
		x.h.running.Add(1)
		defer func() {
			x.h.pushed.Store(x.h.o.Now().UnixNano())
			x.h.running.Add(-1)
		}()
	}
	return handlers[x.req.Kind](x)
}

// Headers that are always the same, shared by all answers: a header's values
// are replaced or added to, never changed in place. More than eight headers
// cost a map of another kind, twice: what an answer does not need it leaves out.
var (
	nosniff      = []string{"nosniff"}
	apiVersion   = []string{"registry/2.0"}
	blobTypes    = []string{blobType}
	acceptRanges = []string{"bytes"}
	immutable    = []string{"private, max-age=31536000, immutable"}
)

var handlers = [...]func(*exchange) error{
	wire.Ping:           (*exchange).ping,
	wire.BlobGet:        (*exchange).blobGet,
	wire.BlobHead:       (*exchange).blobGet,
	wire.BlobDelete:     (*exchange).blobDelete,
	wire.UploadBegin:    (*exchange).uploadBegin,
	wire.UploadWhole:    (*exchange).uploadWhole,
	wire.UploadMount:    (*exchange).uploadMount,
	wire.UploadStatus:   (*exchange).uploadStatus,
	wire.UploadAppend:   (*exchange).uploadAppend,
	wire.UploadCommit:   (*exchange).uploadCommit,
	wire.UploadCancel:   (*exchange).uploadCancel,
	wire.ManifestGet:    (*exchange).manifestGet,
	wire.ManifestHead:   (*exchange).manifestGet,
	wire.ManifestPut:    (*exchange).manifestPut,
	wire.ManifestDelete: (*exchange).manifestDelete,
	wire.TagList:        (*exchange).tagList,
	wire.ReferrerList:   (*exchange).referrerList,
	wire.Catalog:        (*exchange).catalog,
}

// isPush are the requests a push is made of; endsPush those that go on while
// the server stops, so that a push under way can end.
var (
	isPush = [wire.Catalog + 1]bool{
		wire.UploadBegin: true, wire.UploadWhole: true, wire.UploadMount: true, wire.UploadStatus: true,
		wire.UploadAppend: true, wire.UploadCommit: true, wire.UploadCancel: true, wire.ManifestPut: true,
	}
	endsPush = [wire.Catalog + 1]bool{
		wire.UploadStatus: true, wire.UploadAppend: true, wire.UploadCommit: true,
		wire.UploadCancel: true, wire.ManifestPut: true,
	}
)

// Drain makes the handler refuse new work: only what ends a push goes on.
func (h *Handler) Drain() { h.draining.Store(true) }

// linger is how long a push may pause between two requests and still count
// as running.
const linger = 2 * time.Second

// Pushing tells whether a push is running: a request of one is being answered,
// or was a moment ago.
func (h *Handler) Pushing() bool {
	return h.running.Load() > 0 || h.o.Now().UnixNano()-h.pushed.Load() < int64(linger)
}

// ping tells whether the client's token is good.
func (x *exchange) ping() error {
	switch {
	case x.viewer.Expired:
		return &access.Error{Code: oci.CodeUnauthorized, Reason: "the registry token has expired: fetch another"}
	case !x.viewer.SignedIn && (x.credential == "" || !x.h.o.Anonymous):
		return &access.Error{Code: oci.CodeUnauthorized, Reason: "sign in first: the user name is token, the password a Fairlead token"}
	}
	return x.json(http.StatusOK, struct{}{})
}
