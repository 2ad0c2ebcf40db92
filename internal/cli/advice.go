package cli

import (
	"errors"
	"net/http"

	"fairlead.dev/fairlead/internal/client"
	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/oci"
)

// refusal finds the status and the code that an error has, or would have on
// the wire.
func refusal(err error) (status int, code string) {
	var far *client.Error
	var near *oci.Error
	if status := clusterStatus(err); status != 0 {
		return status, ""
	}
	switch {
	case errors.As(err, &far):
		return far.Status, far.Code
	case errors.As(err, &near):
		return near.Code.Status(), string(near.Code)
	case errors.Is(err, errNobody), errors.Is(err, errSignIn):
		return http.StatusUnauthorized, string(oci.CodeUnauthorized)
	}
	return 0, ""
}

// clusterStatus is the status that a cluster's refusal has; 0 for anything
// else.
func clusterStatus(err error) int {
	var no *kube.Forbidden
	var e *kube.Error
	switch {
	case errors.As(err, &no):
		return http.StatusForbidden
	case !errors.As(err, &e):
		return 0
	}
	switch e.Reason {
	case kube.Unauthorized:
		return http.StatusUnauthorized
	case kube.Refused, kube.Quota:
		return http.StatusForbidden
	case kube.NotFound:
		return http.StatusNotFound
	case kube.Conflict, kube.Owned, kube.Immutable, kube.Foreign:
		return http.StatusConflict
	}
	return 0
}

// advised adds what to type next, by the kind of failure.
func advised(err error, s *session, noun string) error {
	status, code := refusal(err)
	var reach *client.ReachError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &reach):
		return withHint(err, "fairlead context list, to see where commands go")
	case status == http.StatusUnauthorized:
		return withHint(err, signInHint(s))
	case status == http.StatusForbidden:
		return withHint(err, "fairlead whoami, to see what the token may do")
	}
	switch oci.Code(code) {
	case oci.CodeNameUnknown:
		return withHint(err, "fairlead repository list")
	case oci.CodeManifestUnknown:
		return withHint(err, "fairlead image list")
	case oci.CodeNotFound:
		return withHint(err, "fairlead "+noun+" list")
	case oci.CodeConflict:
		return withHint(err, "fairlead "+noun+" list, to see what is there")
	case oci.CodeTagImmutable:
		return withHint(err, "fairlead namespace show NAME, to see its rules")
	case oci.CodeStale:
		return withHint(err, "the same command again, after a look at what is there now")
	case oci.CodeTooManyRequests, oci.CodeUnavailable:
		return withHint(err, "the same command in a minute")
	}
	return err
}

// signInHint is what to type when a token is not taken.
func signInHint(s *session) string {
	switch {
	case s == nil:
		return "fairlead login URL"
	case s.login != nil:
		return "fairlead login " + s.login.Server + " --name " + s.login.Name
	}
	return "fairlead login " + s.name
}

// exitCodeOf is what a command that failed exits with.
func exitCodeOf(err error) int {
	status, _ := refusal(err)
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return exitRefused
	case http.StatusNotFound:
		return exitNotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return exitConflict
	}
	return exitFailed
}
