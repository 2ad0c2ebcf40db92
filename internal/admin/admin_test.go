package admin_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/admin"
	"fairlead.dev/fairlead/internal/admin/admintest"
	"fairlead.dev/fairlead/internal/oci"
)

var _ admin.Upkeep = (*admintest.Recorder)(nil)

// serve answers one request.
func serve(t *testing.T, r *admintest.Recorder, method, target, body string) *http.Response {
	t.Helper()
	w := &deadlined{httptest.NewRecorder()}
	h := admin.New(admin.Options{Upkeep: r, Log: slog.New(slog.DiscardHandler)})
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body)))
	return w.Result()
}

// deadlined is a recorder that takes deadlines, as connections do.
type deadlined struct{ *httptest.ResponseRecorder }

func (*deadlined) SetWriteDeadline(time.Time) error { return nil }

func text(t *testing.T, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRequestsReachTheUpkeep(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method, target, body string
		want                 admintest.Call
	}{
		"sweep":          {"POST", "/api/v1/upkeep/sweep", `{"dryRun":true}`, admintest.Call{Method: "Sweep", Options: v1.SweepOptions{DryRun: true}}},
		"sweep, nothing": {"POST", "/api/v1/upkeep/sweep", ``, admintest.Call{Method: "Sweep", Options: v1.SweepOptions{}}},
		"fsck":           {"POST", "/api/v1/upkeep/fsck", `{"rehash":true,"rate":7}`, admintest.Call{Method: "Fsck", Options: v1.FsckOptions{Rehash: true, Rate: 7}}},
		"backup":         {"POST", "/api/v1/upkeep/backup", `{"dir":"/b/x/"}`, admintest.Call{Method: "Backup", Options: v1.BackupOptions{Dir: "/b/x"}}},
		"remove":         {"POST", "/api/v1/upkeep/remove", `{"namespace":"acme"}`, admintest.Call{Method: "Remove", Options: v1.RemoveOptions{Namespace: "acme"}}},
		"restore":        {"POST", "/api/v1/trash/restore", `{"repository":"acme/web","name":"1.0"}`, admintest.Call{Method: "Restore", Options: v1.RestoreOptions{Repository: "acme/web", Name: "1.0"}}},
		"purge":          {"POST", "/api/v1/trash/purge", `{"id":3}`, admintest.Call{Method: "Purge", Options: v1.PurgeOptions{ID: 3}}},
		"trash":          {"GET", "/api/v1/trash?namespace=acme&limit=5&next=9", ``, admintest.Call{Method: "Trash", Options: v1.TrashQuery{Namespace: "acme", Next: "9", Limit: 5}}},
		"trash, default": {"GET", "/api/v1/trash", ``, admintest.Call{Method: "Trash", Options: v1.TrashQuery{Limit: 100}}},
		"history":        {"GET", "/api/v1/history?repository=acme/web&tag=1", ``, admintest.Call{Method: "History", Options: v1.HistoryQuery{Repository: "acme/web", Tag: "1", Limit: 100}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &admintest.Recorder{}
			res := serve(t, r, c.method, c.target, c.body)
			c.want.Actor = "operator"
			if diff := cmp.Diff([]admintest.Call{c.want}, r.Calls()); diff != "" || res.StatusCode != http.StatusOK {
				t.Errorf("%s %s\n%s", res.Status, text(t, res), diff)
			}
		})
	}
}

// TestBadRequests: each is refused with a sentence that says what is wrong,
// and the upkeep hears nothing of it.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	const sweep, fsck, backup, remove, restore, purge = "/api/v1/upkeep/sweep", "/api/v1/upkeep/fsck", "/api/v1/upkeep/backup", "/api/v1/upkeep/remove", "/api/v1/trash/restore", "/api/v1/trash/purge"
	for name, c := range map[string]struct {
		method, target, body string
		status               int
		want                 string
	}{
		"unknown field":       {"POST", sweep, `{"dryrun":true}`, 400, `the field "dryrun" is unknown: there are dryRun, untagged, olderThan`},
		"wrong type":          {"POST", sweep, `{"dryRun":"yes"}`, 400, `the field "dryRun" must be of type bool, not string`},
		"no object":           {"POST", sweep, `[]`, 400, "no JSON object"},
		"null":                {"POST", sweep, `null`, 400, "no JSON object"},
		"two values":          {"POST", sweep, `{} {}`, 400, "no JSON object"},
		"too large":           {"POST", sweep, `{"dryRun":` + strings.Repeat(" ", 64<<10) + `true}`, 413, "more than 65536 bytes"},
		"untagged, no age":    {"POST", sweep, `{"untagged":true}`, 400, "untagged needs olderThan"},
		"age, not untagged":   {"POST", sweep, `{"olderThan":1}`, 400, "add untagged"},
		"negative age":        {"POST", sweep, `{"untagged":true,"olderThan":-1}`, 400, "olderThan is negative"},
		"rate, no rehash":     {"POST", fsck, `{"rate":1}`, 400, "add rehash"},
		"restart, no rehash":  {"POST", fsck, `{"restart":true}`, 400, "add rehash"},
		"negative rate":       {"POST", fsck, `{"rehash":true,"rate":-1}`, 400, "rate is negative"},
		"relative folder":     {"POST", backup, `{"dir":"b"}`, 400, "no absolute path"},
		"no folder":           {"POST", backup, `{}`, 400, "no absolute path"},
		"remove nothing":      {"POST", remove, `{}`, 400, "say what to remove"},
		"remove both":         {"POST", remove, `{"repository":"a/b","namespace":"a"}`, 400, "not both"},
		"bad repository":      {"POST", remove, `{"repository":"A"}`, 400, "not valid at"},
		"namespace with path": {"POST", remove, `{"namespace":"a/b"}`, 400, "has a '/'"},
		"bad namespace":       {"POST", remove, `{"namespace":".."}`, 400, "not valid at"},
		"restore nothing":     {"POST", restore, `{}`, 400, "say what to restore"},
		"restore name only":   {"POST", restore, `{"name":"latest"}`, 400, "say what to restore"},
		"restore both":        {"POST", restore, `{"id":1,"repository":"a/b"}`, 400, "not both"},
		"restore in a space":  {"POST", restore, `{"namespace":"a","name":"1"}`, 400, "needs its repository"},
		"restore bad tag":     {"POST", restore, `{"repository":"a/b","name":"!"}`, 400, "the tag"},
		"restore negative":    {"POST", restore, `{"id":-1}`, 400, "no entry"},
		"purge nothing":       {"POST", purge, `{}`, 400, "say what to purge"},
		"purge both":          {"POST", purge, `{"id":1,"all":true}`, 400, "say what to purge"},
		"trash both":          {"GET", "/api/v1/trash?repository=a/b&namespace=a", ``, 400, "not both"},
		"unknown parameter":   {"GET", "/api/v1/trash?repo=a", ``, 400, `the parameter "repo" is unknown: there are repository, namespace, name, next, limit`},
		"parameter twice":     {"GET", "/api/v1/trash?name=a&name=b", ``, 400, `"name" is given twice`},
		"limit, a word":       {"GET", "/api/v1/trash?limit=many", ``, 400, `"limit" is "many"`},
		"limit, zero":         {"GET", "/api/v1/trash?limit=0", ``, 400, "above 0"},
		"limit, too large":    {"GET", "/api/v1/trash?limit=1001", ``, 400, "1 to 1000"},
		"bad query":           {"GET", "/api/v1/trash?%zz", ``, 400, "the query is not understood"},
		"history of nothing":  {"GET", "/api/v1/history", ``, 400, "the repository name is empty"},
		"history, bad tag":    {"GET", "/api/v1/history?repository=a&tag=!", ``, 400, "the tag"},
		"unknown path":        {"GET", "/api/v1/nothing", ``, 404, "no path"},
		"wrong method":        {"GET", sweep, ``, 405, "takes POST, not GET"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &admintest.Recorder{}
			res := serve(t, r, c.method, c.target, c.body)
			var p v1.Problem
			if err := json.Unmarshal([]byte(text(t, res)), &p); err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != c.status || p.Status != c.status || p.Title != http.StatusText(c.status) || !strings.Contains(p.Detail, c.want) || res.Header.Get("Content-Type") != v1.ProblemType {
				t.Errorf("%s %v %+v, want %d %q", res.Status, res.Header, p, c.status, c.want)
			}
			if calls := r.Calls(); len(calls) > 0 {
				t.Errorf("the upkeep was asked %+v", calls)
			}
			if c.status == 405 && res.Header.Get("Allow") != "POST" {
				t.Errorf("Allow is %q", res.Header.Get("Allow"))
			}
		})
	}
}

// TestTooLarge: what says that it is too large is refused before it is sent, so
// that who waits to be asked for it reads why; what does not say is cut.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	r := &admintest.Recorder{}
	s := httptest.NewServer(admin.New(admin.Options{Upkeep: r, Log: slog.New(slog.DiscardHandler)}))
	t.Cleanup(s.Close)
	body := `{"dryRun":` + strings.Repeat(" ", 6<<20) + `true}`
	for _, length := range []int64{int64(len(body)), -1} {
		sent := strings.NewReader(body)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/api/v1/upkeep/sweep", io.NopCloser(sent))
		if err != nil {
			t.Fatal(err)
		}
		request.ContentLength = length
		request.Header.Set("Expect", "100-continue")
		way := &http.Transport{ExpectContinueTimeout: time.Minute}
		t.Cleanup(way.CloseIdleConnections)
		answer, err := way.RoundTrip(request)
		if length < 0 && err != nil {
			continue // it was cut while it was sent
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := text(t, answer); answer.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(got, "more than 65536 bytes") {
			t.Errorf("with the length %d it is answered %s %s", length, answer.Status, got)
		}
		_ = answer.Body.Close()
		if length > 0 && sent.Len() != len(body) {
			t.Errorf("%d bytes were sent", len(body)-sent.Len())
		}
	}
	if calls := r.Calls(); len(calls) > 0 {
		t.Errorf("the upkeep was asked %+v", calls)
	}
}

func TestErrorsOfTheUpkeep(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		failure admintest.Failure
		status  int
		code    string
	}{
		"known":   {admintest.Failure{Code: oci.CodeNameUnknown, Text: "there is no acme"}, 404, "NAME_UNKNOWN"},
		"unknown": {admintest.Failure{Text: "the disk is on fire"}, 500, ""},
	} {
		r := &admintest.Recorder{Answers: admintest.Answers{Errors: map[string]admintest.Failure{"Remove": c.failure, "Sweep": c.failure, "Trash": c.failure}}}
		want := v1.Problem{Title: http.StatusText(c.status), Status: c.status, Detail: c.failure.Text, Code: c.code}
		for _, req := range [][3]string{{"POST", "/api/v1/upkeep/remove", `{"namespace":"acme"}`}, {"POST", "/api/v1/upkeep/sweep", ``}, {"GET", "/api/v1/trash", ``}} {
			res := serve(t, r, req[0], req[1], req[2])
			var got v1.Problem
			err := json.Unmarshal([]byte(text(t, res)), &got)
			if diff := cmp.Diff(want, got); diff != "" || err != nil || res.StatusCode != c.status {
				t.Errorf("%s, %s: %s, %v\n%s", name, req[1], res.Status, err, diff)
			}
		}
	}
}

// TestLines: a job's answer is its progress and then its result.
func TestLines(t *testing.T) {
	t.Parallel()
	r := &admintest.Recorder{Answers: admintest.Answers{
		Progress: []v1.Progress{{Step: "blobs", Done: 1, Total: 2}, {Step: "blobs", Done: 2, Total: 2}, {Step: "files", Done: 1}},
		Sweep:    v1.SweepReport{Blobs: 7},
	}}
	res := serve(t, r, "POST", "/api/v1/upkeep/sweep", `{}`)
	want := `{"progress":{"step":"blobs","done":1,"total":2}}
{"progress":{"step":"blobs","done":2,"total":2}}
{"progress":{"step":"files","done":1}}
{"result":{"uploads":0,"links":0,"blobs":7,"orphans":0,"expired":0,"untagged":0,"moves":0,"bytes":0}}
`
	if diff := cmp.Diff(want, text(t, res)); diff != "" || res.Header.Get("Content-Type") != v1.LinesType {
		t.Errorf("%v\n%s", res.Header, diff)
	}
	r.Answers.Errors = map[string]admintest.Failure{"Sweep": {Text: "the disk is on fire"}}
	res = serve(t, r, "POST", "/api/v1/upkeep/sweep", `{}`)
	if got := text(t, res); res.StatusCode != 200 || !strings.HasSuffix(got, `{"error":{"title":"Internal Server Error","status":500,"detail":"the disk is on fire"}}`+"\n") {
		t.Errorf("%s\n%s", res.Status, got)
	}
}

// TestProgressIsThrottled: a job may report each blob, the client hears of
// the first, of the last, and of one every 200 ms.
func TestProgressIsThrottled(t *testing.T) {
	t.Parallel()
	r := &admintest.Recorder{}
	const n = 100_000
	for i := range n {
		r.Answers.Progress = append(r.Answers.Progress, v1.Progress{Step: "blobs", Done: int64(i + 1), Total: n})
	}
	begun := time.Now()
	got := text(t, serve(t, r, "POST", "/api/v1/upkeep/sweep", `{}`))
	most := 3 + int(time.Since(begun)/(200*time.Millisecond))
	if count := strings.Count(got, "\n"); count > most || !strings.Contains(got, `"done":1,`) || !strings.Contains(got, `"done":100000,`) {
		t.Errorf("%d lines, want at most %d:\n%.1000s", count, most, got)
	}
}

// TestTheJobEndsWithItsClient over a real connection.
func TestTheJobEndsWithItsClient(t *testing.T) {
	t.Parallel()
	r := &admintest.Recorder{Answers: admintest.Answers{Hang: true, Progress: []v1.Progress{{Step: "blobs"}}}}
	s := httptest.NewServer(admin.New(admin.Options{Upkeep: r, Log: slog.New(slog.DiscardHandler)}))
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/api/v1/upkeep/fsck", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if r.Ended() != 0 {
		t.Fatal("the job ended by itself")
	}
	cancel()
	for range 500 {
		if r.Ended() == 1 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the job goes on without its client")
}
