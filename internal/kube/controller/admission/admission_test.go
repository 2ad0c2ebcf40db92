package admission_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/kube/controller/admission"
	"fairlead.dev/fairlead/internal/pullplan"
)

type world struct {
	handler http.Handler
	asked   []string
	done    []string
	log     bytes.Buffer
}

// adding answers every question with names.
func adding(err error, names ...string) *world {
	w := &world{}
	w.handler = admission.New(admission.Options{
		Add: func(_ context.Context, ns string, p pullplan.Pod) ([]string, error) {
			w.asked = append(w.asked, fmt.Sprintf("%s/%s %s", ns, p.Account, strings.Join(p.List, ",")))
			return names, err
		},
		Done: func(r string) { w.done = append(w.done, r) },
		Log:  slog.New(slog.NewTextHandler(&w.log, nil)),
	})
	return w
}

func (w *world) post(body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, admission.Path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for _, f := range change {
		f(r)
	}
	a := httptest.NewRecorder()
	w.handler.ServeHTTP(a, r)
	return a
}

func review(request string) string {
	return `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":` + request + `}`
}

func pod(spec string) string {
	return review(`{"uid":"u1","resource":{"group":"","version":"v1","resource":"pods"},"operation":"CREATE","namespace":"shop","object":{"metadata":{"name":"web"},"spec":` + spec + `}}`)
}

type response struct {
	APIVersion, Kind string
	Response         struct {
		UID       string
		Allowed   bool
		Patch     []byte
		PatchType string
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body, asked, patch, done string
		names                    []string
		err                      error
	}{
		"an empty list": {
			body: pod(`{"serviceAccountName":"default"}`), names: []string{"pull", "more"}, asked: "shop/default ", done: "added",
			patch: `[{"op":"add","path":"/spec/imagePullSecrets","value":[{"name":"pull"},{"name":"more"}]}]`,
		},
		"a list": {
			body: pod(`{"serviceAccountName":"build","imagePullSecrets":[{"name":"a"}]}`), names: []string{"pull", "more"}, asked: "shop/build a", done: "added",
			patch: `[{"op":"add","path":"/spec/imagePullSecrets/-","value":{"name":"pull"}},{"op":"add","path":"/spec/imagePullSecrets/-","value":{"name":"more"}}]`,
		},
		"nothing to add":     {body: pod(`{"serviceAccountName":"default","imagePullSecrets":null}`), asked: "shop/default ", done: "unchanged"},
		"it cannot be told":  {body: pod(`{"serviceAccountName":"default"}`), names: []string{"pull"}, err: errors.New("no cache"), asked: "shop/default ", done: "failed"},
		"a static pod":       {body: pod(`{}`), names: []string{"pull"}, done: "unchanged"},
		"an object, no pod":  {body: pod(`"x"`), names: []string{"pull"}, done: "failed"},
		"an update":          {body: strings.Replace(pod(`{"serviceAccountName":"default"}`), "CREATE", "UPDATE", 1), names: []string{"pull"}, done: "unchanged"},
		"another resource":   {body: strings.Replace(pod(`{"serviceAccountName":"default"}`), "pods", "podtemplates", 1), names: []string{"pull"}, done: "unchanged"},
		"of another group":   {body: strings.Replace(pod(`{"serviceAccountName":"default"}`), `"group":""`, `"group":"x"`, 1), names: []string{"pull"}, done: "unchanged"},
		"a subresource":      {body: strings.Replace(pod(`{"serviceAccountName":"default"}`), `"uid"`, `"subResource":"eviction","uid"`, 1), names: []string{"pull"}, done: "unchanged"},
		"no namespace":       {body: strings.Replace(pod(`{"serviceAccountName":"default"}`), `"namespace":"shop",`, "", 1), names: []string{"pull"}, done: "failed"},
		"no object":          {body: review(`{"uid":"u1","resource":{"version":"v1","resource":"pods"},"operation":"CREATE","namespace":"shop"}`), done: "failed"},
		"a dry run is alike": {body: strings.Replace(pod(`{"serviceAccountName":"default"}`), `"uid"`, `"dryRun":true,"uid"`, 1), names: []string{"p"}, asked: "shop/default ", done: "added", patch: `[{"op":"add","path":"/spec/imagePullSecrets","value":[{"name":"p"}]}]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := adding(c.err, c.names...)
			a := w.post(c.body)
			var got response
			if err := json.Unmarshal(a.Body.Bytes(), &got); err != nil || a.Code != http.StatusOK {
				t.Fatalf("%d %s", a.Code, a.Body)
			}
			want := response{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}
			want.Response.UID, want.Response.Allowed = "u1", true
			if c.patch != "" {
				want.Response.Patch, want.Response.PatchType = []byte(c.patch), "JSONPatch"
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("patch %s\n%s", got.Response.Patch, diff)
			}
			if asked := strings.Join(w.asked, ";"); asked != c.asked || !slices.Equal(w.done, []string{c.done}) {
				t.Errorf("asked %q, done %q", asked, w.done)
			}
			if logged := w.log.Len() > 0; logged != (c.done == "failed") {
				t.Errorf("log %q", w.log.String())
			}
		})
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body   string
		change func(*http.Request)
		code   int
		want   string
	}{
		"nothing":          {"", nil, 400, "no AdmissionReview"},
		"no JSON":          {"<html>", nil, 400, "no AdmissionReview"},
		"a list":           {"[]", nil, 400, "no AdmissionReview"},
		"another kind":     {`{"apiVersion":"v1","kind":"Pod"}`, nil, 400, `kind is "Pod"`},
		"an older version": {`{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview","request":{"uid":"u"}}`, nil, 400, "admissionReviewVersions"},
		"no request":       {review("null"), nil, 400, "request is missing"},
		"no uid":           {review(`{"operation":"CREATE"}`), nil, 400, "request.uid is missing"},
		"a wrong type":     {review(`{"uid":1}`), nil, 400, "Request.UID"},
		"too large":        {review(`{"uid":"u","object":"` + strings.Repeat("x", 4<<20) + `"}`), nil, 413, "too large"},
		"no content type":  {pod("{}"), func(r *http.Request) { r.Header.Del("Content-Type") }, 400, "send application/json"},
		"protobuf":         {pod("{}"), func(r *http.Request) { r.Header.Set("Content-Type", "application/vnd.kubernetes.protobuf") }, 400, "send application/json"},
		"a GET":            {"", func(r *http.Request) { r.Method = http.MethodGet }, 405, "Method Not Allowed"},
		"another path":     {pod("{}"), func(r *http.Request) { r.URL.Path = "/" }, 404, "not found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := adding(nil, "pull")
			var a *httptest.ResponseRecorder
			if c.change != nil {
				a = w.post(c.body, c.change)
			} else {
				a = w.post(c.body)
			}
			if a.Code != c.code || !strings.Contains(a.Body.String(), c.want) || strings.Count(strings.TrimSpace(a.Body.String()), "\n") > 0 {
				t.Errorf("%d %s, want %d %s in one line", a.Code, a.Body, c.code, c.want)
			}
			if len(w.asked) > 0 {
				t.Error("it was decided about")
			}
		})
	}
}

// TestFlood: beyond a number of requests at a time there is 503 and nothing is
// read; those that are large, or say nothing of it, hold up no others, and all
// are answered again once there is room.
func TestFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		var inside atomic.Int64
		h := admission.New(admission.Options{
			Add:  func(context.Context, string, pullplan.Pod) ([]string, error) { inside.Add(1); <-end; return nil, nil },
			Done: func(string) {}, Log: slog.New(slog.DiscardHandler),
		})
		post := func(body io.Reader, length int64, codes chan<- int) {
			r := httptest.NewRequest(http.MethodPost, admission.Path, body)
			r.Header.Set("Content-Type", "application/json")
			r.ContentLength = length
			a := httptest.NewRecorder()
			h.ServeHTTP(a, r)
			codes <- a.Code
		}
		one := pod(`{"serviceAccountName":"default"}`)
		large, small := make(chan int, 100), make(chan int, 1000)
		slow, feed := io.Pipe()
		for range 100 {
			go post(slow, -1, large)
		}
		for range 1000 {
			go post(strings.NewReader(one), int64(len(one)), small)
		}
		synctest.Wait()
		if n := inside.Load(); n != 128 || len(small) != 1000-128 || len(large) != 100-4 {
			t.Errorf("%d small ones are decided about; %d small and %d large ones were answered at once", n, len(small), len(large))
		}
		for range len(small) + len(large) {
			select {
			case code := <-small:
				if code != http.StatusServiceUnavailable {
					t.Errorf("a small one got %d", code)
				}
			case code := <-large:
				if code != http.StatusServiceUnavailable {
					t.Errorf("a large one got %d", code)
				}
			}
		}
		close(end)
		_ = feed.Close()
		synctest.Wait()
		for range 2 * 128 {
			go post(strings.NewReader(one), int64(len(one)), small)
			synctest.Wait()
		}
		for range len(small) {
			if code := <-small; code != http.StatusOK {
				t.Fatalf("afterwards one got %d", code)
			}
		}
		go post(strings.NewReader(one), -1, large)
		synctest.Wait()
		for range 4 {
			<-large
		}
		if code := <-large; code != http.StatusOK {
			t.Errorf("afterwards a large one got %d", code)
		}
	})
}

// FuzzReview: whatever comes, there is an answer, and one of 200 allows.
func FuzzReview(f *testing.F) {
	f.Add(pod(`{"serviceAccountName":"default","imagePullSecrets":[{"name":"a"}]}`))
	f.Add(review(`{"uid":"u","object":null}`))
	f.Add(`{"kind":"AdmissionReview","request":{"object":{"spec":[]}}}`)
	f.Fuzz(func(t *testing.T, body string) {
		a := adding(nil, "pull").post(body)
		if a.Code != http.StatusOK {
			return
		}
		var got response
		if err := json.Unmarshal(a.Body.Bytes(), &got); err != nil || !got.Response.Allowed || got.Response.UID == "" {
			t.Fatalf("%s", a.Body)
		}
		if got.Response.Patch != nil && !json.Valid(got.Response.Patch) {
			t.Fatalf("%s", got.Response.Patch)
		}
	})
}
