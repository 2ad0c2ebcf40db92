// Package controller keeps a cluster's pull secrets as ClusterPullSecrets and
// PullSecrets say. What is to be written in a namespace is decided by
// pullplan; here it is watched, written and told.
package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/dockerconfig"
	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/pullplan"
	"fairlead.dev/fairlead/internal/pullsecret"
)

// Options of Run.
type Options struct {
	// Cluster is where; its Namespace is the controller's own, where sources
	// and the credentials in use lie.
	Cluster kube.Options
	// SecretNames that policies may use; no other secret outside of the
	// controller's namespace is read or written.
	SecretNames []string
	// LeaderElect lets one of several replicas work at a time.
	LeaderElect bool
	// MetricsListen and HealthListen are addresses; "" is off.
	MetricsListen, HealthListen string
	// Webhook adds names to pods that are made before their account has them.
	Webhook Webhook
	Log     *slog.Logger
	// Now is the clock of credentials; time.Now for nil.
	Now func() time.Time
}

// keeper is what both controllers share.
type keeper struct {
	o        Options
	scheme   *runtime.Scheme
	client   client.Client // writes, and reads policies, namespaces and accounts from the cache
	main     cache.Cache   // policies, namespaces and accounts
	own      cache.Cache   // secrets of the controller's namespace
	named    map[string]cache.Cache
	events   events.EventRecorder
	board    *board
	recent   *recent
	repairs  *repairs
	failures *budget
	mints    *budget
	asked    *asked
	early    *earlyPods
}

// Run keeps the secrets until ctx ends. Errors: an option that cannot be used,
// the API server, the loss of leadership.
func Run(ctx context.Context, o Options) error {
	if err := o.Check(); err != nil {
		return err
	}
	log := logr.FromSlogHandler(o.Log.Handler())
	ctrl.SetLogger(log)
	klog.SetLogger(log)
	cfg, err := kube.Config(o.Cluster)
	if err != nil {
		return err
	}
	k := &keeper{
		o: o, scheme: runtime.NewScheme(), board: newBoard(), recent: newRecent(), repairs: newRepairs(), failures: newFailures(), mints: newMints(o.Now), asked: newAsked(o.Now), early: newEarlyPods(),
	}
	kinds := runtime.NewSchemeBuilder(corev1.AddToScheme, v1alpha1.AddToScheme, admissionregistrationv1.AddToScheme, authorizationv1.AddToScheme, batchv1.AddToScheme)
	if err := kinds.AddToScheme(k.scheme); err != nil {
		return err
	}
	mgr, err := k.manager(cfg, log)
	if err != nil {
		return err
	}
	if err := k.secretCaches(mgr); err != nil {
		return err
	}
	if err := errors.Join(k.watchNamespaces(mgr), k.watchPolicies(mgr), k.watchPods(ctx, mgr), k.serveWebhook(mgr)); err != nil {
		return err
	}
	if err := k.prefill(ctx); err != nil {
		return err
	}
	registerMetrics()
	o.Log.Info("controller starts", "namespace", o.Cluster.Namespace, "secretNames", o.SecretNames)
	return mgr.Start(ctx)
}

// Check fills in what is not set. Error: an option that cannot be used, by the
// name of its flag.
func (o *Options) Check() error {
	switch {
	case o.Cluster.Namespace == "":
		return errors.New("the controller's namespace is not named")
	case len(o.SecretNames) == 0:
		return errors.New("--secret-name: no secret name is permitted: name one at least")
	}
	for _, name := range o.SecretNames {
		if _, err := pullsecret.Build(pullsecret.Recipe{Name: name, Entries: []dockerconfig.Entry{{Key: "any", Username: "any", Password: "any"}}}); err != nil {
			return fmt.Errorf("--secret-%w", err) // it begins with "name: "
		}
	}
	if err := o.Webhook.check(); err != nil {
		return err
	}
	for flag, at := range map[string]string{"metrics-listen": o.MetricsListen, "health-listen": o.HealthListen} {
		if _, _, err := net.SplitHostPort(at); at != "" && err != nil {
			return fmt.Errorf("--%s: %q is no address such as :9090", flag, at)
		}
	}
	slices.Sort(o.SecretNames)
	o.SecretNames = slices.Compact(o.SecretNames)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// manager has the cache of all that is no secret.
func (k *keeper) manager(cfg *rest.Config, log logr.Logger) (manager.Manager, error) {
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme: k.scheme, Logger: log,
		LeaderElection: k.o.LeaderElect, LeaderElectionID: "fairlead-controller",
		LeaderElectionNamespace: k.o.Cluster.Namespace, LeaderElectionReleaseOnCancel: true,
		Metrics:                server.Options{BindAddress: address(k.o.MetricsListen)},
		HealthProbeBindAddress: address(k.o.HealthListen),
		Client:                 client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}},
		Cache:                  cache.Options{DefaultTransform: slim},
	})
	if err != nil {
		return nil, err
	}
	k.client, k.main = mgr.GetClient(), mgr.GetCache()
	k.events = mgr.GetEventRecorder("fairlead")
	synced := func(r *http.Request) error {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		return k.filled(ctx)
	}
	return mgr, errors.Join(mgr.AddHealthzCheck("ping", healthz.Ping), mgr.AddReadyzCheck("caches", synced))
}

func address(listen string) string {
	if listen == "" {
		return "0" // the library's word for off
	}
	return listen
}

// secretCaches are one per permitted name, and one of the own namespace: a
// field selector cannot say "or", and rights are given by name.
func (k *keeper) secretCaches(mgr manager.Manager) error {
	add := func(o cache.Options) (cache.Cache, error) {
		o.Scheme, o.Mapper, o.HTTPClient = k.scheme, mgr.GetRESTMapper(), mgr.GetHTTPClient()
		c, err := cache.New(mgr.GetConfig(), o)
		if err != nil {
			return nil, err
		}
		return c, mgr.Add(early{c})
	}
	var err error
	if k.own, err = add(cache.Options{DefaultTransform: slim, DefaultNamespaces: map[string]cache.Config{k.o.Cluster.Namespace: {}}}); err != nil {
		return err
	}
	k.named = map[string]cache.Cache{}
	for _, name := range k.o.SecretNames {
		c, err := add(cache.Options{DefaultTransform: slimmer, DefaultFieldSelector: fields.OneTermEqualSelector("metadata.name", name)})
		if err != nil {
			return fmt.Errorf("watch secrets of the name %s: %w", name, err)
		}
		k.named[name] = c
	}
	return nil
}

// caches are what each has.
func (k *keeper) caches() map[cache.Cache][]client.Object {
	of := map[cache.Cache][]client.Object{
		k.main: {&corev1.Namespace{}, &corev1.ServiceAccount{}, &v1alpha1.ClusterPullSecret{}, &v1alpha1.PullSecret{}},
		k.own:  {&corev1.Secret{}},
	}
	for _, c := range k.named {
		of[c] = []client.Object{&corev1.Secret{}}
	}
	if k.early.pods != nil {
		of[k.early.pods] = []client.Object{&corev1.Pod{}}
	}
	return of
}

// prefill says what the caches hold before they start, so that filled is about
// all of it. Error: a kind that the cluster does not have.
func (k *keeper) prefill(ctx context.Context) error {
	for c, objects := range k.caches() {
		for _, o := range objects {
			_, err := c.GetInformer(ctx, o, cache.BlockUntilSynced(false))
			if meta.IsNoMatchError(err) {
				return fmt.Errorf("the cluster lacks Fairlead's kinds, or does not know them yet: apply deploy/crds, or let fairlead cluster attach do it: %w", err)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// filled waits until the caches have all that there is, or ctx ends.
func (k *keeper) filled(ctx context.Context) error {
	for c := range k.caches() {
		if !c.WaitForCacheSync(ctx) {
			return errors.New("the caches are not filled yet")
		}
	}
	return nil
}

// early lets a cache be filled before this replica leads.
type early struct{ cache.Cache }

// GetCache is what the manager knows a cache by.
func (e early) GetCache() cache.Cache { return e.Cache }

// writerKey stands for the manager of a cached service account's list; no
// account in the cluster has it.
const writerKey = "fairlead.dev/-writer"

// slim drops what nobody reads, so that a large cluster fits into little
// memory.
func slim(o any) (any, error) {
	m, ok := o.(metav1.Object)
	if !ok {
		return o, nil
	}
	fields := m.GetManagedFields()
	m.SetManagedFields(nil)
	switch one := o.(type) {
	case *corev1.ServiceAccount:
		one.Secrets = nil
		who := one.Annotations[writerKey] // of one that went through here before
		if len(fields) > 0 {
			who = kube.ListWriter(fields)
		}
		one.Annotations = only(one.Annotations, pullplan.ListAnnotation)
		if who != "" && who != kube.Manager {
			one.Annotations = with(one.Annotations, writerKey, who)
		}
	case *corev1.Namespace:
		one.Annotations, one.Spec = nil, corev1.NamespaceSpec{}
	case *v1alpha1.ClusterPullSecret:
		one.Annotations = nil
	case *v1alpha1.PullSecret:
		one.Annotations = nil
	}
	return o, nil
}

// slimmer drops as well what is in a secret of a permitted name that is not ours.
func slimmer(o any) (any, error) {
	if s, is := o.(*corev1.Secret); is && s.Annotations[pullplan.PolicyAnnotation] == "" {
		s.Data, s.Annotations = nil, nil
	}
	return slim(o)
}

func with(m map[string]string, key, value string) map[string]string {
	if m == nil {
		m = map[string]string{}
	}
	m[key] = value
	return m
}

func only(m map[string]string, key string) map[string]string {
	if v, is := m[key]; is {
		return map[string]string{key: v}
	}
	return nil
}
