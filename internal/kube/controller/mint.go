package controller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	kubeclient "sigs.k8s.io/controller-runtime/pkg/client"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/dockerconfig"
	"fairlead.dev/fairlead/internal/client"
	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/pullplan"
	"fairlead.dev/fairlead/internal/pullsecret"
)

// A minted credential is remembered in a Secret of the controller's namespace,
// one per registry of a policy, so that a restart mints nothing.
const (
	stateLabel        = "fairlead.dev/state"
	serverAnnotation  = "fairlead.dev/server"
	tokenAnnotation   = "fairlead.dev/token-id"
	mintedAnnotation  = "fairlead.dev/minted"
	expiresAnnotation = "fairlead.dev/expires"
	// tokenUser signs in with a token.
	tokenUser = "token"
	// mintTime bounds one request.
	mintTime = 20 * time.Second
)

// held is a credential in use. Its password is never printed.
type held struct {
	username, password, server, token string
	minted, expires                   time.Time
}

// stateName is where the credential of a registry is remembered.
func stateName(id pullplan.ID, r v1alpha1.Registry) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %q %s", id, r.Host, r.Namespaces, r.Fairlead.TokenSecret))
	return "fairlead-state-" + hex.EncodeToString(sum[:10])
}

// held reads the credential in use from the cache.
func (k *keeper) held(ctx context.Context, id pullplan.ID, r v1alpha1.Registry) (h held, is bool, err error) {
	var s corev1.Secret
	err = k.own.Get(ctx, kubeclient.ObjectKey{Namespace: k.o.Cluster.Namespace, Name: stateName(id, r)}, &s)
	if err != nil {
		return h, false, kubeclient.IgnoreNotFound(err)
	}
	return heldIn(s.Annotations, s.Data[pullsecret.KeyConfigJSON], r.Host)
}

// heldIn reads a state; one that somebody spoilt is none, and is minted anew.
func heldIn(a map[string]string, data []byte, host string) (held, bool, error) {
	file, err := dockerconfig.Parse(data)
	if err != nil {
		return held{}, false, nil
	}
	e, is := file.Entry(host)
	minted, errM := time.Parse(time.RFC3339, a[mintedAnnotation])
	expires, errE := time.Parse(time.RFC3339, a[expiresAnnotation])
	if !is || e.Password == "" || errM != nil || errE != nil {
		return held{}, false, nil
	}
	return held{e.Username, e.Password, a[serverAnnotation], a[tokenAnnotation], minted, expires}, true, nil
}

// mintError is why there is no new token.
type mintError struct {
	reason pullplan.Reason
	err    error
}

func (e *mintError) Error() string { return e.err.Error() }
func (e *mintError) Unwrap() error { return e.err }

// renewed gives the credential of a registry, minted anew if it is due, and
// when it is due next. With an error the one before is given, if there is one.
func (k *keeper) renewed(ctx context.Context, p policy, r v1alpha1.Registry) (h held, due time.Time, err error) {
	source, problem, err := k.source(ctx, r.Fairlead.TokenSecret)
	if err != nil {
		return h, due, err
	}
	if problem.Reason != "" {
		return h, due, &mintError{problem.Reason, errors.New(problem.Problem)}
	}
	if allowed := strings.TrimSpace(source.Annotations[namespacesAnnotation]); allowed == "" || p.Namespace != "" && !allows(source)(p.Namespace) {
		return h, due, &mintError{pullplan.SourceNotAllowed, errors.New("the annotation " + namespacesAnnotation + " of the Secret " + source.Name + " does not allow it")}
	}
	h, is, err := k.held(ctx, p.ID, r)
	if err != nil {
		return h, due, err
	}
	now, server := k.o.Now(), string(source.Data["url"])
	due = h.minted.Add(r.Fairlead.RenewAfter.Duration)
	if is && h.server == server && now.Before(due) && now.Before(h.expires) {
		return h, due, nil
	}
	next, err := k.mint(ctx, p, r, source, h.token)
	if err != nil {
		renewals.WithLabelValues("failed").Inc()
		return h, due, err
	}
	if err := k.remember(ctx, p.ID, r, next); err != nil {
		return h, due, err
	}
	renewals.WithLabelValues("minted").Inc()
	k.o.Log.Info("token minted", "policy", p.ID.String(), "host", r.Host, "token", next.token, "expires", next.expires)
	return next, next.minted.Add(r.Fairlead.RenewAfter.Duration), nil
}

// mint asks a Fairlead for a token. The same request within an hour gives the
// same token, so that one who was killed before remembering it makes no other.
func (k *keeper) mint(ctx context.Context, p policy, r v1alpha1.Registry, source *corev1.Secret, before string) (held, error) {
	server, token := string(source.Data["url"]), string(source.Data["token"])
	if server == "" || token == "" {
		return held{}, &mintError{pullplan.SourceMalformed, errors.New("the Secret " + source.Name + " lacks url or token")}
	}
	c, err := client.New(client.Options{
		Server: server, CA: source.Data["ca.crt"], InsecureHTTP: string(source.Data["insecure-http"]) == "true", Version: k.o.Cluster.Version,
		Token: func() (string, error) { return strings.TrimSpace(token), nil },
	})
	if err != nil {
		return held{}, &mintError{pullplan.SourceMalformed, fmt.Errorf("the Secret %s: %w", source.Name, err)}
	}
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(ctx, mintTime)
	defer cancel()
	now := k.o.Now()
	spec := v1.TokenSpec{Access: "readonly", Description: "pull secrets of " + p.ID.String(), Expires: r.Fairlead.Lifetime.Duration.String()}
	if len(r.Namespaces) > 0 {
		spec.Reach = &v1.Reach{Namespaces: r.Namespaces}
	}
	var made v1.TokenValue
	for try := range 3 { // a token of this key may have ended meanwhile
		key := sha256.Sum256(fmt.Appendf(nil, "%s %s %s %s %d", p.object.GetUID(), stateName(p.ID, r), before, now.Truncate(time.Hour).UTC(), try))
		made, err = c.AddToken(ctx, spec, hex.EncodeToString(key[:16]))
		var refused *client.Error
		if !errors.As(err, &refused) {
			break
		}
		if refused.Status != 409 {
			return held{}, &mintError{pullplan.RegistryRefused, fmt.Errorf("%s refused: %w", server, err)}
		}
	}
	if err != nil {
		return held{}, &mintError{pullplan.RegistryUnreachable, err}
	}
	h := held{username: tokenUser, password: made.Value, server: server, token: made.ID, minted: now, expires: now.Add(r.Fairlead.Lifetime.Duration)}
	if made.Expires != nil {
		h.expires = *made.Expires
	}
	return h, nil
}

// remember writes the state, of which nobody else has a field.
func (k *keeper) remember(ctx context.Context, id pullplan.ID, r v1alpha1.Registry, h held) error {
	s, err := pullsecret.Build(pullsecret.Recipe{
		Namespace: k.o.Cluster.Namespace, Name: stateName(id, r),
		Entries: []dockerconfig.Entry{{Key: r.Host, Username: h.username, Password: h.password}},
		Labels:  map[string]string{pullplan.ManagedByLabel: pullplan.ManagedBy, stateLabel: "credential"},
		Annotations: map[string]string{
			pullplan.PolicyAnnotation: id.String(), serverAnnotation: h.server, tokenAnnotation: h.token,
			mintedAnnotation: h.minted.UTC().Format(time.RFC3339), expiresAnnotation: h.expires.UTC().Format(time.RFC3339),
		},
	})
	if err != nil {
		return err
	}
	_, err = k.applySecret(ctx, s, "", true)
	return err
}

// forget takes away states that the policy does not use any more; of all its
// states if it is gone.
func (k *keeper) forget(ctx context.Context, id pullplan.ID, used map[string]bool) error {
	var all corev1.SecretList
	if err := k.own.List(ctx, &all, kubeclient.InNamespace(k.o.Cluster.Namespace), kubeclient.HasLabels{stateLabel}); err != nil {
		return err
	}
	var errs []error
	for i := range all.Items {
		s := &all.Items[i]
		if s.Annotations[pullplan.PolicyAnnotation] == id.String() && !used[s.Name] {
			errs = append(errs, kubeclient.IgnoreNotFound(k.client.Delete(ctx, s)))
		}
	}
	return errors.Join(errs...)
}

// applySecret writes a secret by a server-side apply. version is that of what
// is there; with "" nothing is there, and unless force is set somebody else's
// that came meanwhile is a conflict.
func (k *keeper) applySecret(ctx context.Context, s pullsecret.Secret, version string, force bool) (*corev1.Secret, error) {
	body := s.JSON()
	if version != "" {
		var doc struct {
			APIVersion string            `json:"apiVersion"`
			Kind       string            `json:"kind"`
			Type       string            `json:"type"`
			Data       map[string][]byte `json:"data"`
			Immutable  bool              `json:"immutable,omitempty"`
			Metadata   map[string]any    `json:"metadata"`
		}
		if err := json.Unmarshal(body, &doc); err != nil {
			return nil, err
		}
		doc.Metadata["resourceVersion"] = version
		var err error
		if body, err = json.Marshal(doc); err != nil {
			return nil, err
		}
	}
	options := []kubeclient.PatchOption{kubeclient.FieldOwner(kube.Manager)}
	if version != "" || force {
		options = append(options, kubeclient.ForceOwnership)
	}
	var out corev1.Secret
	out.Namespace, out.Name = s.Namespace, s.Name
	err := k.client.Patch(ctx, &out, kubeclient.RawPatch(types.ApplyPatchType, body), options...)
	if err == nil {
		writes.WithLabelValues("secret", "apply").Inc()
	}
	return &out, err
}

// stale says that what was written against had changed meanwhile.
func stale(err error) bool { return apierrors.IsConflict(err) || apierrors.IsNotFound(err) }
