package controller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/dockerconfig"
	"fairlead.dev/fairlead/internal/pullplan"
	"fairlead.dev/fairlead/internal/pullsecret"
)

// A minted credential is remembered in a Secret of the controller's namespace,
// one per registry of a policy, so that a restart mints nothing.
const (
	stateLabel        = "fairlead.dev/state"
	sourceAnnotation  = "fairlead.dev/source"
	tokenAnnotation   = "fairlead.dev/token-id"
	mintedAnnotation  = "fairlead.dev/minted"
	expiresAnnotation = "fairlead.dev/expires"
)

// held is a credential in use. Its password is never printed.
type held struct {
	username, password string
	// source is the fingerprint of what it was minted with, token its ID.
	source, token   string
	minted, expires time.Time
}

// Renewals.
const (
	// lifePart of a token is the latest that it is renewed at, whatever the
	// policy says: a registry may give less life than was asked for.
	lifePart = 0.6
	// skew is how far in the future a token may have been minted: beyond it the
	// clock was set back, and says nothing about the token's age.
	skew = 10 * time.Minute
)

// due is when the credential is to be renewed.
func (h held) due(after time.Duration, now time.Time) time.Time {
	if h.minted.After(now.Add(skew)) {
		return now
	}
	life := time.Duration(lifePart * float64(h.expires.Sub(h.minted)))
	return h.minted.Add(min(after, life))
}

// fingerprint tells what a token was minted with from anything else.
func fingerprint(s *corev1.Secret) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q", s.Data[sourceURL], s.Data[sourceToken], s.Data[sourceCA], s.Data[sourceInsecure]))
	return hex.EncodeToString(sum[:10])
}

// stateName is where the credential of a registry is remembered.
func stateName(id pullplan.ID, r v1alpha1.Registry) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %q %s", id, r.Host, r.Namespaces, r.Fairlead.TokenSecret))
	return "fairlead-state-" + hex.EncodeToString(sum[:10])
}

// stateOf is the policy whose credential a Secret remembers, if it is a state.
func stateOf(s *corev1.Secret) (pullplan.ID, bool) {
	if s.Labels[stateLabel] == "" {
		return pullplan.ID{}, false
	}
	return pullplan.ParseID(s.Annotations[pullplan.PolicyAnnotation])
}

// held reads the credential in use from the cache.
func (k *keeper) held(ctx context.Context, id pullplan.ID, r v1alpha1.Registry) (h held, is bool, err error) {
	var s corev1.Secret
	err = k.own.Get(ctx, client.ObjectKey{Namespace: k.o.Cluster.Namespace, Name: stateName(id, r)}, &s)
	if client.IgnoreNotFound(err) != nil {
		return h, false, err
	}
	if last, waits := k.recent.newer("state", k.o.Cluster.Namespace, stateName(id, r), s.ResourceVersion); waits {
		return last.(held), true, nil
	}
	h, is = heldIn(s.Annotations, s.Data[pullsecret.KeyConfigJSON], r.Host)
	return h, is, nil
}

// heldIn reads a state; one that somebody spoilt is none, and is minted anew.
func heldIn(a map[string]string, data []byte, host string) (held, bool) {
	file, err := dockerconfig.Parse(data)
	if err != nil {
		return held{}, false
	}
	e, is := file.Entry(host)
	minted, errM := time.Parse(time.RFC3339, a[mintedAnnotation])
	expires, errE := time.Parse(time.RFC3339, a[expiresAnnotation])
	if !is || e.Password == "" || errM != nil || errE != nil {
		return held{}, false
	}
	return held{e.Username, e.Password, a[sourceAnnotation], a[tokenAnnotation], minted, expires}, true
}

// remember writes the state, of which nobody else has a field.
func (k *keeper) remember(ctx context.Context, id pullplan.ID, r v1alpha1.Registry, h held) error {
	s, err := pullsecret.Build(pullsecret.Recipe{
		Namespace: k.o.Cluster.Namespace, Name: stateName(id, r),
		Entries: []dockerconfig.Entry{{Key: r.Host, Username: h.username, Password: h.password}},
		Labels:  map[string]string{pullplan.ManagedByLabel: pullplan.ManagedBy, stateLabel: "credential"},
		Annotations: map[string]string{
			pullplan.PolicyAnnotation: id.String(), sourceAnnotation: h.source, tokenAnnotation: h.token,
			mintedAnnotation: h.minted.UTC().Format(time.RFC3339), expiresAnnotation: h.expires.UTC().Format(time.RFC3339),
		},
	})
	if err != nil {
		return err
	}
	after, err := k.applySecret(ctx, s, "", true)
	if err == nil {
		k.recent.put("state", s.Namespace, s.Name, after.ResourceVersion, h)
	}
	return err
}

// forget takes away states that the policy does not use any more; of all its
// states if it is gone.
func (k *keeper) forget(ctx context.Context, id pullplan.ID, used map[string]bool) error {
	var all corev1.SecretList
	if err := k.own.List(ctx, &all, client.InNamespace(k.o.Cluster.Namespace), client.HasLabels{stateLabel}); err != nil {
		return err
	}
	var errs []error
	for i := range all.Items {
		s := &all.Items[i]
		if s.Annotations[pullplan.PolicyAnnotation] == id.String() && !used[s.Name] {
			k.asked.drop(s.Name)
			errs = append(errs, client.IgnoreNotFound(k.client.Delete(ctx, s)))
		}
	}
	return errors.Join(errs...)
}
