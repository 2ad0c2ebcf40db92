package kube

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"fairlead.dev/fairlead/internal/diagnosis"
)

// Account reads a service account. That there is none is no error: Exists is
// false.
func (c *Cluster) Account(ctx context.Context, namespace, name string) (diagnosis.Account, error) {
	a, err := c.account(ctx, namespace, name)
	if IsMissing(err) {
		return diagnosis.Account{Namespace: namespace, Name: name}, nil
	}
	if err != nil {
		return diagnosis.Account{}, err
	}
	return accountOf(a), nil
}

func (c *Cluster) account(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	var a corev1.ServiceAccount
	err := get(ctx, c.core, target{resource: "serviceaccounts", namespace: namespace, name: name}, &a)
	return &a, err
}

// Accounts lists the service accounts of a namespace, of all for "", in pages.
// An error ends it.
func (c *Cluster) Accounts(ctx context.Context, namespace string) iter.Seq2[diagnosis.Account, error] {
	return func(yield func(diagnosis.Account, error) bool) {
		err := pages(ctx, c, c.core, target{resource: "serviceaccounts", namespace: namespace}, query{}, newAccounts, func(l *corev1.ServiceAccountList) error {
			for i := range l.Items {
				if !yield(accountOf(&l.Items[i]), nil) {
					return errEnough
				}
			}
			return nil
		})
		if err != nil {
			yield(diagnosis.Account{}, err)
		}
	}
}

func newAccounts() *corev1.ServiceAccountList { return &corev1.ServiceAccountList{} }

func accountOf(a *corev1.ServiceAccount) diagnosis.Account {
	return diagnosis.Account{
		Namespace: a.Namespace, Name: a.Name, Exists: true, PullSecrets: refNames(a.ImagePullSecrets), ListOwners: listOwners(a.ManagedFields),
	}
}

func refNames(refs []corev1.LocalObjectReference) []string {
	var out []string
	for _, r := range refs {
		out = append(out, r.Name)
	}
	return out
}

// listOwners are the managers of imagePullSecrets, which is atomic: each wrote
// the whole list.
func listOwners(fields []metav1.ManagedFieldsEntry) []diagnosis.FieldOwner {
	var out []diagnosis.FieldOwner
	for _, f := range fields {
		if f.FieldsV1 == nil || !strings.Contains(f.FieldsV1.GetRawString(), `"f:imagePullSecrets"`) {
			continue
		}
		o := diagnosis.FieldOwner{Manager: f.Manager, Operation: string(f.Operation)}
		if f.Time != nil {
			o.At = f.Time.Time
		}
		out = append(out, o)
	}
	slices.SortStableFunc(out, func(a, b diagnosis.FieldOwner) int { return a.At.Compare(b.At) })
	return out
}

// ListWriter is the manager who wrote imagePullSecrets last; "" if nobody is
// known to.
func ListWriter(fields []metav1.ManagedFieldsEntry) string {
	owners := listOwners(fields)
	if len(owners) == 0 {
		return ""
	}
	return owners[len(owners)-1].Manager
}

const (
	// tries and pause bound how long others' writes are waited out: some ten
	// seconds.
	tries = 30
	pause = 10 * time.Millisecond
	// longest pause between two tries.
	longest = 600 * time.Millisecond
)

// Use puts a secret at the end of a service account's list, if it is not in
// it. Others' entries and their order stay, also when others write at the same
// time. Errors: NotFound if there is no such account, Conflict, *Forbidden, ….
func (c *Cluster) Use(ctx context.Context, namespace, account, secret string) (Result, error) {
	return c.relist(ctx, namespace, account, func(list []string) []string {
		if slices.Contains(list, secret) {
			return list
		}
		return append(slices.Clone(list), secret)
	})
}

// Unuse takes a secret off a service account's list. Errors: as Use.
func (c *Cluster) Unuse(ctx context.Context, namespace, account, secret string) (Result, error) {
	return c.relist(ctx, namespace, account, func(list []string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(n string) bool { return n == secret })
	})
}

// relist changes the list as it is. It is written whole (listType=atomic), so
// the resourceVersion that was read goes along, and a conflict reads again.
func (c *Cluster) relist(ctx context.Context, namespace, account string, change func([]string) []string) (Result, error) {
	for try := 0; ; try++ {
		a, err := c.account(ctx, namespace, account)
		if err != nil {
			return "", err
		}
		was := refNames(a.ImagePullSecrets)
		list := change(was)
		if slices.Equal(was, list) {
			return Unchanged, nil
		}
		err = c.writeList(ctx, a, list)
		var e *Error
		if err == nil {
			return Changed, nil
		}
		if !errors.As(err, &e) || e.Reason != Conflict || try+1 >= tries {
			return "", err
		}
		wait := min(pause<<try, longest)
		select {
		case <-time.After(wait/2 + rand.N(wait)):
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// writeList sends the list and the version that it is for, nothing else.
func (c *Cluster) writeList(ctx context.Context, a *corev1.ServiceAccount, list []string) error {
	refs := make([]corev1.LocalObjectReference, len(list))
	for i, n := range list {
		refs[i].Name = n
	}
	t := target{verb: "patch", resource: "serviceaccounts", namespace: a.Namespace, name: a.Name}
	body, err := json.Marshal(map[string]any{
		"metadata":         map[string]string{"resourceVersion": a.ResourceVersion},
		"imagePullSecrets": refs,
	})
	if err != nil {
		return t.fail(Invalid, err, "", "%s cannot be written", t)
	}
	return failed(t, c.core.Patch(types.MergePatchType).Namespace(a.Namespace).Resource(t.resource).Name(a.Name).
		Param("fieldManager", Manager).Body(body).Do(ctx).Error())
}
