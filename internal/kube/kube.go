// Package kube is one Kubernetes cluster as Fairlead sees it: it reads what a
// pull is decided by (secrets, service accounts, pods, their owners, nodes,
// events), and writes pull secrets and the lists that name them. It is the
// only package that knows Kubernetes' libraries; what goes in and out are
// pullsecret's and diagnosis's plain values.
//
// It asks the API server by plain requests for the few kinds it needs: the
// generated clients of all kinds would make the program half as big again.
//
// Every error ends with the thing to do, by a method Hint. A refusal of the
// API server's authorizer is a *Forbidden, everything else an *Error.
package kube

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/flowcontrol"
)

const (
	// Manager is the name that Fairlead's fields go by in managedFields.
	Manager = "fairlead"

	defaultTimeout = 30 * time.Second
	// dialTimeout is short: a cluster that is away is said soon.
	dialTimeout = 5 * time.Second
	defaultPage = 500
	// The API server's priority and fairness slow down who asks too much, and
	// what it says is heeded. The client's own limit is a second bound: 5,000
	// namespaces, of two requests each, are written in a minute.
	qps, burst = 200, 400
)

// Options say which cluster, and how it is talked to. The fields are kubectl's
// flags of the same names; the zero value is what kubectl does without flags.
// There is no token: a secret does not belong on a command line.
type Options struct {
	Kubeconfig, Context, Cluster, User string
	// Namespace is "" for that of the context.
	Namespace string
	// Server is the URL of the API server, in the place of the kubeconfig's.
	Server string
	// As and AsGroup impersonate.
	As      string
	AsGroup []string
	// Timeout is that of one request; 30 s for 0.
	Timeout time.Duration
	// Page is how many things one request lists; 500 for 0.
	Page int64
	// Version of Fairlead, for the API server's log.
	Version string
}

// Cluster is a cluster that has been named, and perhaps not been talked to.
// It is safe for concurrent use.
type Cluster struct {
	server    string
	namespace string
	page      int64
	http      *http.Client

	core, apps, batch *rest.RESTClient
}

// Server is the URL of the API server.
func (c *Cluster) Server() string { return c.server }

// Namespace is the one that is meant where none is named.
func (c *Cluster) Namespace() string { return c.namespace }

// Close gives up idle connections.
func (c *Cluster) Close() { c.http.CloseIdleConnections() }

// newCluster makes the clients. It touches no network.
func newCluster(cfg *rest.Config, namespace string, o Options) (*Cluster, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.UserAgent = "fairlead/" + o.Version
	cfg.Timeout = o.Timeout
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	cfg.Dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext
	cfg.RateLimiter = flowcontrol.NewTokenBucketRateLimiter(qps, burst)
	cfg.WarningHandlerWithContext = rest.NoWarnings{}
	cfg.ContentType = runtime.ContentTypeProtobuf
	cfg.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON

	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, badConfig(err)
	}
	c := &Cluster{server: cfg.Host, namespace: namespace, page: o.Page, http: client}
	if c.page == 0 {
		c.page = defaultPage
	}
	codecs, err := kinds()
	if err != nil {
		return nil, err
	}
	cfg.NegotiatedSerializer = codecs
	for _, g := range []struct {
		to   **rest.RESTClient
		path string
		of   schema.GroupVersion
	}{
		{&c.core, "/api", corev1.SchemeGroupVersion},
		{&c.apps, "/apis", appsv1.SchemeGroupVersion},
		{&c.batch, "/apis", batchv1.SchemeGroupVersion},
	} {
		of := rest.CopyConfig(cfg)
		of.APIPath, of.GroupVersion = g.path, &g.of
		if *g.to, err = rest.RESTClientForConfigAndClient(of, client); err != nil {
			return nil, badConfig(err)
		}
	}
	return c, nil
}

// kinds are those that can be read.
func kinds() (runtime.NegotiatedSerializer, error) {
	scheme := runtime.NewScheme()
	err := errors.Join(corev1.AddToScheme(scheme), appsv1.AddToScheme(scheme), batchv1.AddToScheme(scheme), metav1.AddMetaToScheme(scheme))
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	return serializer.NewCodecFactory(scheme).WithoutConversion(), err
}

// target is what one request is about.
type target struct {
	verb, resource, namespace, name string
}

// get reads one thing.
func get(ctx context.Context, client *rest.RESTClient, t target, into runtime.Object) error {
	t.verb = "get"
	err := client.Get().NamespaceIfScoped(t.namespace, t.namespace != "").Resource(t.resource).Name(t.name).Do(ctx).Into(into)
	return failed(t, err)
}
