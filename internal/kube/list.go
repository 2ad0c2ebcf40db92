package kube

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
)

// query is what a list is narrowed by.
type query struct {
	labels, fields string
	// names asks for metadata alone: no data, no spec.
	names bool
}

// onlyNames makes the API server leave all but the metadata out.
const onlyNames = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

// page is a list of Kubernetes.
type page interface {
	runtime.Object
	metav1.ListInterface
}

// errEnough ends a list early.
var errEnough = errors.New("enough")

// pages lists page by page until each gives an error; errEnough is none to the
// caller. A list whose snapshot the API server has dropped meanwhile goes on
// behind the last name, with what is there now.
func pages[L page](ctx context.Context, c *Cluster, client *rest.RESTClient, t target, q query, fresh func() L, each func(L) error) error {
	t.verb = "list"
	next := ""
	for {
		l := fresh()
		r := client.Get().NamespaceIfScoped(t.namespace, t.namespace != "").Resource(t.resource).Param("limit", strconv.FormatInt(c.page, 10))
		for name, value := range map[string]string{"labelSelector": q.labels, "fieldSelector": q.fields, "continue": next} {
			if value != "" {
				r.Param(name, value)
			}
		}
		if q.names {
			r.SetHeader("Accept", onlyNames)
		}
		err := r.Do(ctx).Into(l)
		if behind := expired(err); behind != "" && behind != next {
			next = behind
			continue
		}
		if err != nil {
			return failed(t, err)
		}
		if err := each(l); err != nil {
			if errors.Is(err, errEnough) {
				return nil
			}
			return err
		}
		if next = l.GetContinue(); next == "" {
			return nil
		}
	}
}

// expired gives where to go on, if err is that the list's snapshot is gone.
func expired(err error) string {
	var s apierrors.APIStatus
	if errors.As(err, &s) && s.Status().Code == http.StatusGone {
		return s.Status().Continue
	}
	return ""
}

// Namespace is one, as far as writing into it is concerned.
type Namespace struct {
	Name string
	// Ending: it is being deleted, and takes nothing new.
	Ending bool
}

// Namespaces lists those whose labels a selector matches, all for "", in pages
// and by name. An error ends it.
func (c *Cluster) Namespaces(ctx context.Context, selector string) iter.Seq2[Namespace, error] {
	return func(yield func(Namespace, error) bool) {
		err := pages(ctx, c, c.core, target{resource: "namespaces"}, query{labels: selector, names: true}, newNames, func(l *metav1.PartialObjectMetadataList) error {
			for i := range l.Items {
				if !yield(Namespace{l.Items[i].Name, l.Items[i].DeletionTimestamp != nil}, nil) {
					return errEnough
				}
			}
			return nil
		})
		if err != nil {
			yield(Namespace{}, err)
		}
	}
}

func newNames() *metav1.PartialObjectMetadataList { return &metav1.PartialObjectMetadataList{} }

// everywhere calls do for all namespaces at once ("") or, where that is
// forbidden, for one after another. What is forbidden in one of them is given
// to skip, which says whether to go on.
func (c *Cluster) everywhere(ctx context.Context, do func(namespace string) error, skip func(namespace string, err error) bool) error {
	whole := do("")
	if !refused(whole) {
		return whole
	}
	for n, err := range c.Namespaces(ctx, "") {
		if err != nil {
			return whole // the first refusal is what would have to be granted
		}
		if err := do(n.Name); refused(err) {
			if !skip(n.Name, err) {
				return nil
			}
		} else if err != nil {
			return err
		}
	}
	return nil
}
