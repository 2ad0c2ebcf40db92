package controller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/client"
	"fairlead.dev/fairlead/internal/pullplan"
)

// Keys of a Secret that tokens are minted with. The URL stands beside the
// token, in the operator's hands: no policy can send the token elsewhere.
const (
	sourceURL      = "url"
	sourceToken    = "token"
	sourceCA       = "ca.crt"
	sourceInsecure = "insecure-http" // "true" lets the token travel in clear
)

const (
	// tokenUser signs in with a token.
	tokenUser = "token"
	// askTime bounds one question to a registry.
	askTime = 20 * time.Second
	// tries of one mint: the token of a key may have ended, or be an old one.
	tries = 16
	// longestToken is far more than a Fairlead's, in bytes.
	longestToken = 4 << 10
)

// sourceError is why there is no credential, or none that is new.
type sourceError struct {
	reason pullplan.Reason
	text   string
}

func (e *sourceError) Error() string { return e.text }

func refused(r pullplan.Reason, format string, args ...any) error {
	return &sourceError{r, fmt.Sprintf(format, args...)}
}

// renewed gives the credential of a registry, minted anew if it is due or its
// token ended, and when to look again. With an error the one before is given,
// if there is one.
func (k *keeper) renewed(ctx context.Context, p policy, r v1alpha1.Registry) (h held, wait time.Duration, err error) {
	source, problem, err := k.source(ctx, p.ID, r.Fairlead.TokenSecret)
	if err != nil {
		return h, 0, err
	}
	if problem.Reason != "" {
		return h, 0, &sourceError{problem.Reason, problem.Problem}
	}
	h, is, err := k.held(ctx, p.ID, r)
	if err != nil {
		return h, 0, err
	}
	name, mark, now := stateName(p.ID, r), fingerprint(source), k.o.Now()
	due := !is || h.source != mark || !now.Before(h.due(r.Fairlead.RenewAfter.Duration, now))
	if wait, err = k.asked.pause(name, mark, due); wait > 0 {
		if err == nil && !is {
			err = refused(pullplan.CredentialPending, "the registry is asked for a token in a moment")
		}
		return h, k.untilDue(h, r, wait, err), err
	}
	next, err := k.ask(ctx, p, r, source, h, due)
	wait = k.asked.told(name, mark, err)
	if err != nil {
		k.o.Log.Warn("no new token", "policy", p.ID.String(), "host", r.Host, "error", err, "again", wait)
		return h, wait, err
	}
	return next, k.untilDue(next, r, wait, nil), nil
}

// untilDue is the time until the renewal, if that comes before wait is over.
func (k *keeper) untilDue(h held, r v1alpha1.Registry, wait time.Duration, failed error) time.Duration {
	if failed != nil {
		return wait
	}
	now := k.o.Now()
	return min(wait, max(h.due(r.Fairlead.RenewAfter.Duration, now).Sub(now), time.Second))
}

// ask renews the credential, or, if it is not due, asks the registry whether
// its token is still good, and renews it if it is not.
func (k *keeper) ask(ctx context.Context, p policy, r v1alpha1.Registry, source *corev1.Secret, h held, due bool) (held, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	c, err := k.registry(source)
	if err != nil {
		return h, err
	}
	defer func() { _ = c.Close() }()
	if !due {
		t, err := c.Token(ctx, h.token)
		switch status(err) {
		case 0:
			if err != nil {
				return h, failure(source, err)
			}
			if t.State == "active" && t.Rotated == nil {
				return h, nil
			}
			k.o.Log.Info("the token ended or was rotated at the registry", "policy", p.ID.String(), "host", r.Host, "token", h.token)
		case http.StatusNotFound:
			k.o.Log.Info("the registry does not know the token", "policy", p.ID.String(), "host", r.Host, "token", h.token)
		default:
			return h, failure(source, err)
		}
	}
	if p.whole == nil {
		if wait := k.mints.pause(p.ID.Namespace); wait > 0 {
			return h, refused(pullplan.CredentialPending, "many tokens were made for PullSecrets of %s of late: the next one in %s", p.ID.Namespace, wait.Round(time.Second))
		}
		k.mints.spend(p.ID.Namespace)
	}
	next, err := k.mint(ctx, c, p, r, h.token)
	if err == nil {
		next.source = fingerprint(source)
		err = k.remember(ctx, p.ID, r, next)
	} else {
		err = failure(source, err)
	}
	if err != nil {
		renewals.WithLabelValues("failed").Inc()
		return h, err
	}
	renewals.WithLabelValues("minted").Inc()
	k.o.Log.Info("token minted", "policy", p.ID.String(), "host", r.Host, "token", next.token, "expires", next.expires)
	return next, nil
}

// registry is the Fairlead of a source.
func (k *keeper) registry(source *corev1.Secret) (*client.Client, error) {
	for _, key := range []string{sourceURL, sourceToken} {
		if strings.TrimSpace(string(source.Data[key])) == "" {
			return nil, refused(pullplan.SourceMalformed, "the Secret %s lacks %s", source.Name, key)
		}
	}
	token := strings.TrimSpace(string(source.Data[sourceToken]))
	c, err := client.New(client.Options{
		Server: strings.TrimSpace(string(source.Data[sourceURL])), CA: source.Data[sourceCA],
		InsecureHTTP: string(source.Data[sourceInsecure]) == "true", Version: k.o.Cluster.Version,
		Token: func() (string, error) { return token, nil },
	})
	if err != nil {
		text := strings.ReplaceAll(err.Error(), "--insecure-http", `the key insecure-http: "true"`)
		return nil, refused(pullplan.SourceMalformed, "the Secret %s: %s", source.Name, text)
	}
	return c, nil
}

// status of a server's refusal; 0 if it did not refuse.
func status(err error) int {
	var no *client.Error
	if errors.As(err, &no) {
		return no.Status
	}
	return 0
}

// failure says what a registry's answer, or its silence, means for people. A
// server that repeats the token does not get it into a status.
func failure(source *corev1.Secret, err error) error {
	var known *sourceError
	if errors.As(err, &known) {
		return err
	}
	url := strings.TrimSpace(string(source.Data[sourceURL]))
	text := strings.ReplaceAll(err.Error(), strings.TrimSpace(string(source.Data[sourceToken])), "(the token)")
	switch s := status(err); {
	case s == 0, s >= http.StatusInternalServerError, s == http.StatusTooManyRequests:
		return refused(pullplan.RegistryUnreachable, "%s cannot be asked: %s", url, clip(text))
	}
	return refused(pullplan.RegistryRefused, "%s refused: %s", url, clip(text))
}

// mint asks for a token. The key of the request depends on the token before
// alone, and a registry gives the same token for the same key: who was killed
// before it remembered one, or lost it, gets it again. If that one ended or is
// old the key is one of the hour, and the same holds for as long.
func (k *keeper) mint(ctx context.Context, c *client.Client, p policy, r v1alpha1.Registry, before string) (held, error) {
	now, life := k.o.Now(), r.Fairlead.Lifetime.Duration
	spec := v1.TokenSpec{Access: "readonly", Description: described(p.ID), Expires: life.String()}
	if len(r.Namespaces) > 0 {
		spec.Reach = &v1.Reach{Namespaces: r.Namespaces}
	}
	ended := 0
	for range tries {
		made, err := c.AddToken(ctx, spec, requestKey(p, r, before, now, ended))
		if status(err) == http.StatusConflict {
			ended++
			continue
		}
		if err != nil {
			return held{}, err
		}
		if wrong := unfit(made); wrong != "" {
			return held{}, refused(pullplan.RegistryRefused, "the registry's answer is no token that can be used: %s", wrong)
		}
		h := held{username: tokenUser, password: made.Value, token: made.ID, minted: now, expires: now.Add(life)}
		if made.Expires != nil {
			h.expires = *made.Expires
		}
		switch left := h.expires.Sub(now); {
		case ended == 0 && !made.Added && left < life/2: // one that was renewed long ago
			ended++
		case left <= 0:
			return held{}, refused(pullplan.RegistryRefused, "the new token expired at %s already: compare the clocks of the registry and of the controller", h.expires.UTC().Format(time.RFC3339))
		default:
			return h, nil
		}
	}
	return held{}, refused(pullplan.RegistryRefused, "the tokens of all requests so far ended: it is tried again with others in an hour at most")
}

// described is what people read of a token; a registry takes 256 bytes.
func described(id pullplan.ID) string {
	text := "pull secrets of " + id.String()
	return text[:min(len(text), 256)] // names are ASCII
}

// unfit says what is wrong with what a registry gave, "" if nothing: a server
// that is no Fairlead may answer anything. A value of visible ASCII is one that
// every reader of a pull secret reads alike.
func unfit(made v1.TokenValue) string {
	switch {
	case made.ID == "":
		return "it has no id"
	case made.Value == "":
		return "it has no value"
	case len(made.Value) > longestToken:
		return fmt.Sprintf("its value has %d bytes, and may have %d", len(made.Value), longestToken)
	case strings.ContainsFunc(made.Value, func(c rune) bool { return c <= ' ' || c > '~' }):
		return "its value has characters that no token has"
	}
	return ""
}

// requestKey is another one, of the hour, once tokens of it ended or are old.
func requestKey(p policy, r v1alpha1.Registry, before string, now time.Time, ended int) string {
	text := fmt.Sprintf("%s %s %s", p.object.GetUID(), stateName(p.ID, r), before)
	if ended > 0 {
		text += fmt.Sprintf(" %s %d", now.Truncate(time.Hour).UTC(), ended)
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}
