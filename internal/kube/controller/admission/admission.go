// Package admission is the HTTP side of the mutating webhook: it reads what
// the API server asks about a pod that is to be made, and answers with the
// names to add to its imagePullSecrets. It refuses no pod, whatever happens.
package admission

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"fairlead.dev/fairlead/internal/pullplan"
)

// Path that the webhook is called at.
const Path = "/mutate-pods"

const (
	// maxBody is more than the API server takes for an object, in bytes.
	maxBody = 4 << 20
	// smallBody is more than nearly every pod has. Whoever reaches the port may
	// ask: what is held at a time is bounded, and what is large more so.
	smallBody            = 64 << 10
	mostSmall, mostLarge = 128, 4
	// decideTime bounds one decision; the API server waits longer.
	decideTime = time.Second
)

// What became of a request, for Options.Done.
const (
	Added     = "added"
	Unchanged = "unchanged"
	Failed    = "failed"  // the pod is made as it is
	Refused   = "refused" // it was no AdmissionReview
	Busy      = "busy"    // too many at a time: 503, and the pod is made as it is
)

// Options of New.
type Options struct {
	// Add gives the names to add for a pod in a namespace. It must have no side
	// effect: a dry run asks, too.
	Add func(ctx context.Context, namespace string, p pullplan.Pod) ([]string, error)
	// Done is told what became of each request.
	Done func(result string)
	Log  *slog.Logger
}

// New serves Path.
func New(o Options) http.Handler {
	small, large := make(chan struct{}, mostSmall), make(chan struct{}, mostLarge)
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+Path, func(w http.ResponseWriter, r *http.Request) {
		places := large
		if r.ContentLength >= 0 && r.ContentLength <= smallBody {
			places = small
		}
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
		default:
			refuse(w, errBusy)
			o.Done(Busy)
			return
		}
		result, err := o.serve(w, r)
		if result == Refused {
			refuse(w, err)
		}
		if err != nil {
			o.Log.Warn("webhook", "result", result, "err", err)
		}
		o.Done(result)
	})
	return mux
}

var errBusy = errors.New("there are too many requests at a time")

// refuse says why a request was none.
func refuse(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		status = http.StatusRequestEntityTooLarge
	case errors.Is(err, errBusy):
		status = http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, err.Error()+"\n") // the client is gone: nobody is left to tell
}

// serve answers, unless the result is Refused.
func (o Options) serve(w http.ResponseWriter, r *http.Request) (result string, err error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return Refused, fmt.Errorf("Content-Type is %q: send application/json", r.Header.Get("Content-Type"))
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return Refused, fmt.Errorf("the body: %w", err)
	}
	request, err := parse(body)
	if err != nil {
		return Refused, err
	}
	answer := admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"},
		Response: &admissionv1.AdmissionResponse{UID: request.UID, Allowed: true},
	}
	result = Unchanged
	patch, failure := o.patch(r.Context(), request)
	switch {
	case failure != nil:
		result, failure = Failed, fmt.Errorf("namespace %q: %w", request.Namespace, failure)
	case patch != nil:
		result = Added
		form := admissionv1.PatchTypeJSONPatch
		answer.Response.Patch, answer.Response.PatchType = patch, &form
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return Refused, err
	}
	w.Header().Set("Content-Type", "application/json")
	if _, err := w.Write(text); err != nil {
		return Failed, errors.Join(failure, err)
	}
	return result, failure
}

// request is what of an AdmissionRequest counts.
type request struct {
	UID         types.UID
	Resource    metav1.GroupVersionResource
	SubResource string
	Operation   admissionv1.Operation
	Namespace   string
	Object      json.RawMessage
}

// parse reads an AdmissionReview. Errors name the field.
func parse(body []byte) (*request, error) {
	var review struct {
		APIVersion, Kind string
		Request          *request
	}
	if err := json.Unmarshal(body, &review); err != nil {
		return nil, fmt.Errorf("the body is no AdmissionReview: %w", err)
	}
	switch {
	case review.Kind != "AdmissionReview":
		return nil, fmt.Errorf("kind is %q: send an AdmissionReview", review.Kind)
	case review.APIVersion != admissionv1.SchemeGroupVersion.String():
		return nil, fmt.Errorf("apiVersion is %q: list v1 in admissionReviewVersions", review.APIVersion)
	case review.Request == nil:
		return nil, errors.New("request is missing")
	case review.Request.UID == "":
		return nil, errors.New("request.uid is missing")
	}
	return review.Request, nil
}

var pods = metav1.GroupVersionResource{Version: "v1", Resource: "pods"}

// patch is the JSON patch for a pod; nil if nothing is to be added.
func (o Options) patch(ctx context.Context, r *request) ([]byte, error) {
	if r.Resource != pods || r.SubResource != "" || r.Operation != admissionv1.Create {
		return nil, nil
	}
	if r.Namespace == "" {
		return nil, errors.New("request.namespace is missing")
	}
	var pod struct {
		Spec struct {
			ServiceAccountName string
			ImagePullSecrets   []struct{ Name string }
		}
	}
	if err := json.Unmarshal(r.Object, &pod); err != nil {
		return nil, fmt.Errorf("request.object is no pod: %w", err)
	}
	if pod.Spec.ServiceAccountName == "" {
		return nil, nil // a static pod: it can have no account, and its list is the node's matter
	}
	p := pullplan.Pod{Account: pod.Spec.ServiceAccountName}
	for _, s := range pod.Spec.ImagePullSecrets {
		p.List = append(p.List, s.Name)
	}
	ctx, cancel := context.WithTimeout(ctx, decideTime)
	defer cancel()
	names, err := o.Add(ctx, r.Namespace, p)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	return additions(len(p.List) == 0, names)
}

// additions is the patch that adds names to a list, or makes it.
func additions(empty bool, names []string) ([]byte, error) {
	type ref struct {
		Name string `json:"name"`
	}
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value"`
	}
	const path = "/spec/imagePullSecrets"
	var refs []ref
	var each []operation
	for _, n := range names {
		refs = append(refs, ref{n})
		each = append(each, operation{"add", path + "/-", ref{n}})
	}
	if empty {
		each = []operation{{"add", path, refs}}
	}
	return json.Marshal(each)
}
