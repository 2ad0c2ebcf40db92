package controller

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"fairlead.dev/fairlead/internal/kube/controller/admission"
	"fairlead.dev/fairlead/internal/pullplan"
)

// Webhook is how the API server reaches the webhook.
type Webhook struct {
	// Listen is the address; "" is off.
	Listen string
	// Service is a Service of the controller's namespace, URL what the
	// configuration's clientConfig says instead: one of them.
	Service, URL string
}

// check says what is wrong with the options.
func (w Webhook) check() error {
	switch {
	case w.Listen == "" && w.Service == "" && w.URL == "":
		return nil
	case w.Listen == "":
		return errors.New("--webhook-service and --webhook-url need --webhook-listen")
	case (w.Service == "") == (w.URL == ""):
		return errors.New("--webhook-listen needs one of --webhook-service and --webhook-url")
	}
	if _, _, err := net.SplitHostPort(w.Listen); err != nil {
		return fmt.Errorf("--webhook-listen: %q is no address such as :9443", w.Listen)
	}
	if u, err := url.Parse(w.URL); w.URL != "" && (err != nil || u.Scheme != "https" || u.Hostname() == "" || u.Path != admission.Path || u.RawQuery != "" || u.User != nil) {
		return fmt.Errorf("--webhook-url: give https://HOST:PORT%s, as clientConfig.url of %s does", admission.Path, configurationName)
	}
	return nil
}

// names that the certificate is for.
func (w Webhook) names(namespace string) []string {
	if w.Service != "" {
		return []string{w.Service + "." + namespace + ".svc"}
	}
	u, err := url.Parse(w.URL)
	if err != nil {
		return nil // check refused it
	}
	return []string{u.Hostname()}
}

// How long a pod waits for the caches to see a namespace, or an account, that
// was made a moment before it.
const (
	seenTime = 500 * time.Millisecond
	seenStep = 5 * time.Millisecond // the first; each further one is twice as long, up to the last
	seenLast = 100 * time.Millisecond
	// goodbye is what requests that run get to end.
	goodbye = 5 * time.Second
	// mostConnections, and mostStreams of each, are more than API servers use:
	// one has a connection, and opens another if its streams do not suffice.
	mostConnections, mostStreams = 64, 64
)

// hook is the webhook of one replica. All replicas serve.
type hook struct {
	k     *keeper
	api   client.Reader // not the cache
	names []string
	nudge chan struct{} // something about the certificate changed
	shown atomic.Pointer[tls.Certificate]
	trust trust
}

// serveWebhook adds the webhook to the manager, if it is wanted.
func (k *keeper) serveWebhook(mgr manager.Manager) error {
	if k.o.Webhook.Listen == "" {
		return nil
	}
	h := &hook{
		k: k, api: mgr.GetAPIReader(), names: k.o.Webhook.names(k.o.Cluster.Namespace),
		nudge: make(chan struct{}, 1),
	}
	ready := func(*http.Request) error {
		if h.shown.Load() == nil {
			return errors.New("the webhook has no certificate yet")
		}
		return nil
	}
	return errors.Join(h.watch(mgr), mgr.AddReadyzCheck("webhook", ready), mgr.Add(h))
}

// NeedLeaderElection lets the webhook run in all replicas.
func (h *hook) NeedLeaderElection() bool { return false }

// Start serves until ctx ends.
func (h *hook) Start(ctx context.Context) error {
	if err := h.k.filled(ctx); err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", h.k.o.Webhook.Listen)
	if err != nil {
		return fmt.Errorf("--webhook-listen: %w", err)
	}
	server := h.server()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, 1)
	go func() {
		failed <- server.ServeTLS(listener, "", "")
		cancel()
	}()
	h.keep(ctx)
	select {
	case err := <-failed:
		return fmt.Errorf("webhook: %w", err)
	default:
	}
	last, end := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer end()
	return server.Shutdown(last)
}

// server answers, and holds a bounded number of connections and requests:
// whoever reaches the port may send some.
func (h *hook) server() *http.Server {
	log := h.k.o.Log.With("part", "webhook")
	return &http.Server{
		Handler: admission.New(admission.Options{
			Add: h.add, Log: log,
			Done: func(result string) { reviews.WithLabelValues(result).Inc() },
		}),
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS13,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				if c := h.shown.Load(); c != nil {
					return c, nil
				}
				return nil, errors.New("there is no certificate yet")
			},
		},
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: mostStreams},
		ConnState: few(mostConnections),
		ErrorLog:  slog.NewLogLogger(log.Handler(), slog.LevelDebug), // who does not trust us is told by the API server
	}
}

// few bounds the number of connections. For one more goes the one that has
// neither begun nor ended a request for longest: who holds them all, or sends
// his requests byte by byte, shuts nobody out.
func few(most int) func(net.Conn, http.ConnState) {
	var mu sync.Mutex
	changed := map[net.Conn]uint64{} // in the order of changes
	var changes uint64
	return func(c net.Conn, s http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		if _, is := changed[c]; !is && s != http.StateNew {
			return // it went
		}
		if s == http.StateClosed || s == http.StateHijacked {
			delete(changed, c)
			return
		}
		changes++
		changed[c] = changes
		if len(changed) <= most {
			return
		}
		oldest := c
		for other, at := range changed {
			if at < changed[oldest] {
				oldest = other
			}
		}
		delete(changed, oldest)
		go func() { _ = oldest.Close() }() // it says goodbye, which may take a while
	}
}

// add decides about one pod.
func (h *hook) add(ctx context.Context, namespace string, p pullplan.Pod) ([]string, error) {
	if namespace == h.k.o.Cluster.Namespace || namespace == pullplan.KubeSystem {
		return nil, nil
	}
	v, err := h.seen(ctx, namespace, p.Account)
	if err != nil {
		return nil, err
	}
	hopeless(&v)
	return pullplan.ForPod(v.State, p), nil
}

// seen looks at the namespace once the caches have it and the account: both
// exist, but may be milliseconds old.
func (h *hook) seen(ctx context.Context, namespace, account string) (view, error) {
	end := time.Now().Add(seenTime)
	for step := seenStep; ; step = min(2*step, seenLast) {
		v, err := h.k.look(ctx, namespace)
		known := err == nil && slices.ContainsFunc(v.Accounts, func(a pullplan.Account) bool { return a.Name == account })
		if known || err != nil && !apierrors.IsNotFound(err) || time.Now().After(end) {
			return v, err
		}
		select {
		case <-ctx.Done():
			return v, ctx.Err()
		case <-time.After(step):
		}
	}
}

// hopeless takes the hope from tokens that were asked for and refused: no pod
// is to name a secret that never comes. A registry that cannot be reached is
// asked again.
func hopeless(v *view) {
	for i, p := range v.policies {
		if p.status.ObservedGeneration != p.object.GetGeneration() {
			continue
		}
		for j := range v.Policies[i].Registries {
			c := &v.Policies[i].Registries[j].Credential
			if c.Reason != pullplan.CredentialPending || j >= len(p.status.Registries) {
				continue
			}
			switch why := pullplan.Reason(p.status.Registries[j].Reason); why {
			case pullplan.RegistryRefused, pullplan.SourceMalformed:
				c.Reason = why
			}
		}
	}
}
