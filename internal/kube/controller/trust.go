package controller

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"fairlead.dev/fairlead/internal/certificate"
	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/pullplan"
)

// The certificate lies in a Secret of the controller's namespace, by which the
// replicas agree; that the API server trusts it is in the configuration, which
// somebody else makes.
const (
	certificateName   = "fairlead-webhook"
	configurationName = "fairlead-pull-secrets"
)

const (
	// checkEvery is how often it is looked whether all is in order, if nothing
	// happens.
	checkEvery = time.Minute
	// spreadTime is how long API servers may take to see a new bundle.
	spreadTime = 20 * time.Second
	checkAgain = 200 * time.Millisecond
	// writePause lies between two writes of a replica to the Secret, whoever
	// undoes them.
	writePause = 3 * time.Second
)

// trust is what a replica knows about the configuration.
type trust struct {
	config cache.Cache // the one configuration; nil until it may be read
	// bundle is what the configuration has, since when.
	bundle []byte
	since  time.Time
	told   string    // what was said about it last
	wrote  time.Time // the Secret
}

// watch nudges at each change of the Secret; the configuration is watched once
// there is a right to.
func (h *hook) watch(mgr manager.Manager) error {
	c, err := cache.New(mgr.GetConfig(), cache.Options{
		Scheme: h.k.scheme, Mapper: mgr.GetRESTMapper(), HTTPClient: mgr.GetHTTPClient(), DefaultTransform: slim,
		DefaultFieldSelector: fields.OneTermEqualSelector("metadata.name", configurationName),
	})
	h.trust.config = c
	return err
}

func (h *hook) wake(o any) {
	if m, is := o.(metav1.Object); is && m.GetName() != certificateName && m.GetName() != configurationName {
		return
	}
	select {
	case h.nudge <- struct{}{}:
	default:
	}
}

func (h *hook) wakes() toolscache.ResourceEventHandlerFuncs {
	return toolscache.ResourceEventHandlerFuncs{AddFunc: h.wake, DeleteFunc: h.wake, UpdateFunc: func(_, o any) { h.wake(o) }}
}

// keep renews the certificate and keeps it trusted until ctx ends.
func (h *hook) keep(ctx context.Context) {
	if informer, err := h.k.own.GetInformer(ctx, &corev1.Secret{}); err == nil {
		_, err = informer.AddEventHandler(h.wakes())
		if err != nil {
			h.k.o.Log.Warn("the webhook's certificate is not watched", "err", err)
		}
	}
	watching := false
	for {
		readable, again, err := h.check(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			h.k.o.Log.Warn("the webhook's certificate cannot be kept", "err", err)
		}
		if readable && !watching {
			watching = true
			go func() { _ = h.trust.config.Start(ctx) }() // it fails with ctx only
			if informer, err := h.trust.config.GetInformer(ctx, &admissionregistrationv1.MutatingWebhookConfiguration{}); err == nil {
				_, _ = informer.AddEventHandler(h.wakes()) // it fails when stopped only
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-h.nudge:
		case <-time.After(again):
		}
	}
}

// check looks at the configuration, then at the Secret, and brings both in
// order. In this order, and against the versions that were seen, no replica
// undoes what another did later. readable says whether the configuration may
// be read.
func (h *hook) check(ctx context.Context) (readable bool, again time.Duration, err error) {
	var config admissionregistrationv1.MutatingWebhookConfiguration
	err = h.api.Get(ctx, client.ObjectKey{Name: configurationName}, &config)
	switch {
	case apierrors.IsForbidden(err):
		h.tell("there is no right to read the MutatingWebhookConfiguration " + configurationName + ", and pods are made without the webhook: apply deploy/controller/webhook.yaml")
	case apierrors.IsNotFound(err):
		readable = true
		h.tell("there is no MutatingWebhookConfiguration " + configurationName + ", and pods are made without the webhook: apply deploy/controller/webhook.yaml")
	case err != nil:
		return false, checkEvery, err
	default:
		readable = true
	}
	kept, again, err := h.renew(ctx, &config)
	switch {
	case again > 0:
		return readable, again, nil
	case err != nil:
		return readable, checkEvery, err
	}
	if shown, err := kept.TLS(); err == nil {
		h.shown.Store(shown)
	}
	err = h.spread(ctx, &config, kept.Bundle())
	if stale(err) {
		return readable, checkAgain, nil
	}
	again = checkEvery
	if len(kept.Next.Cert) > 0 {
		again = spreadTime
	}
	return readable, again, err
}

func (h *hook) tell(text string) {
	if h.trust.told != text {
		h.trust.told = text
		h.k.o.Log.Info(text)
	}
}

// renew gives what is in the Secret, renewed if it is due. again is above 0 if
// it is to be looked at then: somebody else wrote it meanwhile, or we did too
// short a time ago.
func (h *hook) renew(ctx context.Context, config *admissionregistrationv1.MutatingWebhookConfiguration) (kept certificate.Kept, again time.Duration, err error) {
	s, err := h.secret(ctx)
	if err != nil {
		return kept, 0, err
	}
	before := keptIn(s.Data)
	kept, news, err := certificate.Renew(before, certificate.Options{Now: h.k.o.Now(), Names: h.names, Trusted: h.trusted(config, before.Bundle())})
	if err != nil || len(news) == 0 {
		return kept, 0, err
	}
	if wait := time.Until(h.trust.wrote.Add(writePause)); wait > 0 {
		return before, wait, nil
	}
	s.Data = dataOf(kept)
	if s.UID == "" {
		err = h.k.client.Create(ctx, s, client.FieldOwner(kube.Manager))
	} else {
		err = h.replace(ctx, s)
	}
	if apierrors.IsAlreadyExists(err) || s.UID != "" && stale(err) {
		return kept, checkAgain, nil
	}
	if err == nil {
		h.trust.wrote = time.Now()
		h.k.o.Log.Info("the webhook's certificate is renewed", "news", strings.Join(news, "; "))
	}
	return kept, 0, err
}

// secret reads the Secret past the cache; it has no UID if there is none.
// There is a right to list, and none to get.
func (h *hook) secret(ctx context.Context) (*corev1.Secret, error) {
	at := h.k.o.Cluster.Namespace
	var all corev1.SecretList
	if err := h.api.List(ctx, &all, client.InNamespace(at), client.MatchingFields{"metadata.name": certificateName}); err != nil {
		return nil, err
	}
	if len(all.Items) > 0 {
		return &all.Items[0], nil
	}
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Namespace: at, Name: certificateName, Labels: map[string]string{pullplan.ManagedByLabel: pullplan.ManagedBy},
	}, Type: corev1.SecretTypeTLS}, nil
}

// replace writes the data against the version that was seen. There is no right
// to update, which a patch of all that it has is as well.
func (h *hook) replace(ctx context.Context, s *corev1.Secret) error {
	data := map[string]any{}
	for k, v := range s.Data {
		data[k] = v
		if len(v) == 0 {
			data[k] = nil // it goes
		}
	}
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": s.ResourceVersion}, "data": data})
	if err != nil {
		return err
	}
	return h.k.client.Patch(ctx, s, client.RawPatch(types.MergePatchType, body), client.FieldOwner(kube.Manager))
}

// The keys of the Secret.
const (
	keyAuthority, keyAuthorityKey = "ca.crt", "ca.key"
	keyNext, keyNextKey           = "next-ca.crt", "next-ca.key"
	keyBefore                     = "previous-ca.crt"
)

func keptIn(data map[string][]byte) certificate.Kept {
	return certificate.Kept{
		Authority: certificate.Pair{Cert: data[keyAuthority], Key: data[keyAuthorityKey]},
		Next:      certificate.Pair{Cert: data[keyNext], Key: data[keyNextKey]},
		Before:    data[keyBefore],
		Server:    certificate.Pair{Cert: data[corev1.TLSCertKey], Key: data[corev1.TLSPrivateKeyKey]},
	}
}

func dataOf(k certificate.Kept) map[string][]byte {
	return map[string][]byte{
		keyAuthority: k.Authority.Cert, keyAuthorityKey: k.Authority.Key,
		keyNext: k.Next.Cert, keyNextKey: k.Next.Key, keyBefore: k.Before,
		corev1.TLSCertKey: k.Server.Cert, corev1.TLSPrivateKeyKey: k.Server.Key,
	}
}

// trusted says whether the API servers have had a bundle long enough. Where
// there is no configuration nobody needs it.
func (h *hook) trusted(config *admissionregistrationv1.MutatingWebhookConfiguration, bundle []byte) bool {
	if !has(config, bundle) {
		h.trust.bundle = nil
		return config.UID == ""
	}
	now := h.k.o.Now()
	if !bytes.Equal(h.trust.bundle, bundle) {
		h.trust.bundle, h.trust.since = bundle, now
	}
	return !now.Before(h.trust.since.Add(spreadTime))
}

// has says whether all webhooks of a configuration, which is there, trust a
// bundle.
func has(config *admissionregistrationv1.MutatingWebhookConfiguration, bundle []byte) bool {
	for i := range config.Webhooks {
		if !bytes.Equal(config.Webhooks[i].ClientConfig.CABundle, bundle) {
			return false
		}
	}
	return config.UID != ""
}

// spread writes the bundle into the configuration, against the version that
// was seen, and nothing else of it.
func (h *hook) spread(ctx context.Context, config *admissionregistrationv1.MutatingWebhookConfiguration, bundle []byte) error {
	if config.UID == "" || has(config, bundle) {
		return nil
	}
	var webhooks []any
	for i := range config.Webhooks {
		webhooks = append(webhooks, map[string]any{"name": config.Webhooks[i].Name, "clientConfig": map[string]any{"caBundle": bundle}})
	}
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": config.ResourceVersion}, "webhooks": webhooks})
	if err != nil {
		return err
	}
	err = h.k.client.Patch(ctx, config, client.RawPatch(types.StrategicMergePatchType, body), client.FieldOwner(kube.Manager))
	if err == nil {
		h.trust.told = ""
		h.k.o.Log.Info("the API server trusts the webhook", "configuration", configurationName)
	}
	return err
}
