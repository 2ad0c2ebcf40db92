package kube

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Reason is what kind of failure an Error is.
type Reason string

// The reasons.
const (
	NoConfig     Reason = "no-config"
	NoContext    Reason = "no-context"
	BadConfig    Reason = "bad-config"
	Unreachable  Reason = "unreachable"
	Untrusted    Reason = "untrusted" // the API server's certificate
	Unauthorized Reason = "unauthorized"
	NotFound     Reason = "not-found"
	Conflict     Reason = "conflict"  // others wrote meanwhile, again and again
	Owned        Reason = "owned"     // other field managers have what is to be written
	Immutable    Reason = "immutable" // the type, or a secret that says so
	Foreign      Reason = "foreign"   // a secret of that name that is none for pulling
	Quota        Reason = "quota"
	Refused      Reason = "refused" // by admission
	Invalid      Reason = "invalid"
	Timeout      Reason = "timeout"
	Busy         Reason = "busy" // 429, and the server could not get to it
	Other        Reason = "other"
)

// Error is a failure of a cluster. Its text is for people and shows no secret.
type Error struct {
	Reason Reason
	// Resource, Namespace and Name are what was asked for, as far as that is
	// known: secrets, shop, regcred.
	Resource, Namespace, Name string

	text, next string
	err        error
}

func (e *Error) Error() string { return e.text }
func (e *Error) Unwrap() error { return e.err }

// Hint is what to do.
func (e *Error) Hint() string { return e.next }

// Forbidden says that the API server's authorizer refuses a request.
type Forbidden struct {
	// User is who asked, as the API server knows it; "" if it does not say.
	User string
	// Verb and Resource are RBAC's: list, secrets. Group is "" for the core.
	Verb, Resource, Group string
	// Namespace is "" where all are asked for.
	Namespace string
}

func (f *Forbidden) Error() string {
	who, where := "you may", " in all namespaces"
	if f.User != "" {
		who = "the user " + f.User + " may"
	}
	switch {
	case f.Namespace != "":
		where = " in the namespace " + f.Namespace
	case f.Resource == "namespaces", f.Resource == "nodes":
		where = ""
	}
	return fmt.Sprintf("%s not %s %s%s", who, f.Verb, f.Resource, where)
}

// Hint is what an admin of the cluster is to type.
func (f *Forbidden) Hint() string {
	resource := f.Resource
	if f.Group != "" {
		resource += "." + f.Group
	}
	who := "--user=NAME"
	if account, ok := strings.CutPrefix(f.User, "system:serviceaccount:"); ok {
		who = "--serviceaccount=" + account
	} else if f.User != "" {
		who = "--user=" + f.User
	}
	if f.Namespace == "" {
		return fmt.Sprintf("an admin of the cluster allows it: kubectl create clusterrole NAME --verb=%s --resource=%s; kubectl create clusterrolebinding NAME --clusterrole=NAME %s", f.Verb, resource, who)
	}
	return fmt.Sprintf("an admin of the cluster allows it: kubectl create role NAME -n %s --verb=%s --resource=%s; kubectl create rolebinding NAME -n %s --role=NAME %s", f.Namespace, f.Verb, resource, f.Namespace, who)
}

// Is lets errors.Is find a refusal of any kind.
func (f *Forbidden) Is(target error) bool {
	_, ok := target.(*Forbidden)
	return ok
}

// IsMissing says whether an error is that there is no such thing.
func IsMissing(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Reason == NotFound
}

// refused says whether an error is the authorizer's.
func refused(err error) bool {
	var f *Forbidden
	return errors.As(err, &f)
}

// failed says what became of a request.
func failed(t target, err error) error {
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.As(err, &status):
		return answered(t, status.Status(), err)
	}
	return unanswered(t, err)
}

func (t target) fail(r Reason, err error, next, format string, args ...any) *Error {
	return &Error{Reason: r, Resource: t.resource, Namespace: t.namespace, Name: t.name, text: fmt.Sprintf(format, args...), next: next, err: err}
}

// String is such as "the secret regcred in shop", or "secrets in shop".
func (t target) String() string {
	text := t.resource
	if t.name != "" {
		text = "the " + strings.TrimSuffix(t.resource, "s") + " " + t.name
		if t.resource == "serviceaccounts" {
			text = "the service account " + t.name
		}
	}
	if t.namespace != "" {
		text += " in the namespace " + t.namespace
	}
	return text
}

// cannot is how the authorizer puts it, in every version so far.
var cannot = regexp.MustCompile(`User "([^"]*)" cannot (\S+) resource "([^"]+)"(?: in API group "([^"]*)")?(?: in the namespace "([^"]+)")?`)

// answered sorts what the API server says.
func answered(t target, s metav1.Status, err error) error {
	said := clip(s.Message)
	switch {
	case s.Code == http.StatusUnauthorized:
		return t.fail(Unauthorized, err, "kubectl auth whoami, and sign in to the cluster again, or choose another --user", "the cluster does not take the kubeconfig's credentials")
	case s.Code == http.StatusForbidden:
		return forbidden(t, s, err)
	case s.Code == http.StatusNotFound && s.Details != nil && s.Details.Kind == "namespaces" && t.resource != "namespaces":
		return t.fail(NotFound, err, "kubectl create namespace "+t.namespace+", or name another with --namespace", "there is no namespace %s", t.namespace)
	case s.Code == http.StatusNotFound:
		return t.fail(NotFound, err, listHint(t), "there is no %s", strings.TrimPrefix(t.String(), "the "))
	case s.Code == http.StatusConflict && hasCause(s, metav1.CauseTypeFieldManagerConflict):
		return t.fail(Owned, err, "the same command with --force-conflicts takes them over; whoever wrote them may take them back", "%s has fields of other managers: %s", t, managers(s))
	case s.Code == http.StatusConflict:
		return t.fail(Conflict, err, "the same command again", "%s was changed by others at the same time", t)
	case s.Code == http.StatusTooManyRequests, s.Reason == metav1.StatusReasonServerTimeout, s.Code == http.StatusServiceUnavailable:
		return t.fail(Busy, err, "the same command in a minute", "the cluster is too busy to %s %s: %s", t.verb, t, said)
	case s.Code == http.StatusGatewayTimeout, s.Reason == metav1.StatusReasonTimeout:
		return t.fail(Timeout, err, "the same command again, or with a longer --request-timeout", "the cluster took too long to %s %s", t.verb, t)
	case byAdmission.MatchString(s.Message):
		return t.fail(Refused, err, "what the rule asks for, or whoever keeps it", "the cluster's admission refuses %s: %s", t, said)
	case s.Code == http.StatusUnprocessableEntity, s.Code == http.StatusBadRequest:
		return t.fail(Invalid, err, "change what it complains of", "the cluster does not take %s: %s", t, said)
	}
	return t.fail(Other, err, "kubectl get --raw /readyz?verbose, to see how the cluster is", "the cluster could not %s %s: %s", t.verb, t, said)
}

var byAdmission = regexp.MustCompile(`admission webhook "|ValidatingAdmissionPolicy|failed calling webhook`)

// forbidden: the status 403 is the authorizer's, and that of admission.
func forbidden(t target, s metav1.Status, err error) error {
	if m := cannot.FindStringSubmatch(s.Message); m != nil {
		return &Forbidden{User: m[1], Verb: m[2], Resource: m[3], Group: m[4], Namespace: m[5]}
	}
	said := clip(s.Message)
	switch {
	case strings.Contains(s.Message, "exceeded quota"), strings.Contains(s.Message, "failed quota"):
		return t.fail(Quota, err, "kubectl describe resourcequota -n "+t.namespace, "the namespace %s has no room for it: %s", t.namespace, said)
	case hasCause(s, "NamespaceTerminating"):
		return t.fail(Refused, err, "leave it out", "the namespace %s is being deleted", t.namespace)
	case byAdmission.MatchString(s.Message):
		return t.fail(Refused, err, "what the rule asks for, or whoever keeps it", "the cluster's admission refuses %s: %s", t, said)
	case strings.Contains(s.Message, "forbidden: "), s.Message == "", s.Message == "Forbidden":
		return &Forbidden{Verb: t.verb, Resource: t.resource, Namespace: t.namespace}
	}
	return t.fail(Refused, err, "what it asks for", "the cluster refuses to %s %s: %s", t.verb, t, said)
}

// unanswered sorts what stood in the way of an answer.
func unanswered(t target, err error) error {
	var u *url.Error
	var dns *net.DNSError
	var op *net.OpError
	var cert *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	const away = "kubectl cluster-info, or choose another cluster with --context (kubectl config get-contexts)"
	server, inner := "the cluster", err
	if errors.As(err, &u) {
		inner = u.Err
		if at, perr := url.Parse(u.URL); perr == nil {
			server = "the cluster at " + at.Scheme + "://" + at.Host
		}
	}
	var timeout net.Error
	switch {
	case errors.As(err, &cert), errors.As(err, &unknown), errors.As(err, &name):
		return t.fail(Untrusted, err, "check certificate-authority of the cluster in the kubeconfig", "the certificate of %s is not trusted: %s", server, clip(inner.Error()))
	case errors.As(err, &dns):
		return t.fail(Unreachable, err, away, "%s is not found: no such host %s", server, dns.Name)
	case errors.As(err, &op) && op.Op == "dial":
		return t.fail(Unreachable, err, away, "%s does not answer: %s", server, clip(op.Err.Error()))
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return t.fail(Timeout, err, "the same command again, or with a longer --request-timeout", "%s took too long to %s %s", server, t.verb, t)
	case strings.Contains(err.Error(), "getting credentials"):
		return t.fail(BadConfig, err, "run what users[].user.exec in the kubeconfig names by itself", "the kubeconfig's program gives no credentials: %s", clip(inner.Error()))
	}
	return t.fail(Unreachable, err, away, "%s cannot be asked: %s", server, clip(inner.Error()))
}

func listHint(t target) string {
	if t.namespace == "" {
		return "kubectl get " + t.resource
	}
	return "kubectl get " + t.resource + " -n " + t.namespace
}

func hasCause(s metav1.Status, c metav1.CauseType) bool {
	if s.Details == nil {
		return false
	}
	for _, cause := range s.Details.Causes {
		if cause.Type == c {
			return true
		}
	}
	return false
}

// managers says who has which field.
func managers(s metav1.Status) string {
	list := make([]string, 0, len(s.Details.Causes))
	for _, c := range s.Details.Causes {
		// conflict with "kubectl-create" using v1
		who := strings.TrimPrefix(c.Message, "conflict with ")
		if q := strings.SplitN(who, `"`, 3); len(q) == 3 && q[0] == "" {
			who = q[1]
		}
		list = append(list, strings.TrimPrefix(c.Field, ".")+" of "+who)
	}
	return clip(strings.Join(list, ", "))
}

// most is the longest text of others that is repeated, in bytes.
const most = 500

func clip(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
