package fault

import (
	"net/http"
	"path"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/test/fault/layer"
)

var (
	blobFile   = regexp.MustCompile(`^data/blobs/[0-9a-f]{2}/[0-9a-f]{32}$`)
	blobFolder = regexp.MustCompile(`^data/blobs/[0-9a-f]{2}$`)
)

// class of a file or folder that is synced.
func class(name string) string {
	switch {
	case blobFile.MatchString(name):
		return "blob"
	case blobFolder.MatchString(name):
		return "folder"
	case path.Base(name) == "fairlead.db":
		return "database"
	case path.Base(name) == "fairlead.db-wal":
		return "log"
	}
	return name
}

// syncs counts by class.
type syncs map[string]int

// The waits for the disk that an operation may cost: see decision 0003.
var (
	none     = syncs{}
	commits  = syncs{"log": 1}
	newBlob  = syncs{"blob": 1, "folder": 1, "log": 1}
	twoBlobs = syncs{"blob": 2, "folder": 2, "log": 2}
)

// TestFsyncsPerOperation: each is counted, so that nobody adds or drops one
// unseen. The log is too short for a checkpoint: the database itself is not
// synced once.
func TestFsyncsPerOperation(t *testing.T) {
	needLayer(t)
	t.Parallel()
	disk := layer.New(layer.Options{})
	s, err := boot(t, disk)
	if err != nil {
		t.Fatal(err)
	}
	repo, other := repos[0], repos[1]
	config, blob, lone := []byte("config"), []byte("blob"), []byte("lone")
	first, second := image("first", config, blob), image("second", config, blob)
	var where string // of the upload under way

	// The first commits also write the log's head, and its name.
	must(t, http.StatusCreated)(s.push(repo, config))
	must(t, http.StatusCreated)(s.push(repo, []byte("the first")))

	count := syncs{}
	disk.Hook(func(op layer.Op) layer.Fault {
		switch op.Kind {
		case layer.Sync, layer.SyncFolder:
			count[class(op.Path)]++
		case layer.SyncAll:
			count["everything"]++
		}
		return layer.Fault{}
	})
	for _, c := range []struct {
		name string
		want syncs
		do   func()
	}{
		{"push a blob by POST", newBlob, func() { must(t, http.StatusCreated)(s.postWhole(repo, blob)) }},
		{"push a blob by POST, PATCH, PUT", newBlob, func() { must(t, http.StatusCreated)(s.push(repo, lone)) }},
		{"push a blob that the registry has", newBlob, func() { must(t, http.StatusCreated)(s.postWhole(other, lone)) }},
		{"push two blobs", twoBlobs, func() {
			must(t, http.StatusCreated)(s.postWhole(other, []byte("one")))
			must(t, http.StatusCreated)(s.postWhole(other, []byte("two")))
		}},
		{"begin an upload", none, func() {
			var a answer
			where, a, err = s.begin(repo)
			must(t, http.StatusAccepted)(a, err)
		}},
		{"send a chunk", none, func() { must(t, http.StatusAccepted)(s.patch(where, 0, []byte("chunk"))) }},
		{"status of an upload", none, func() { must(t, http.StatusNoContent)(s.do(http.MethodGet, where, nil)) }},
		{"commit with a wrong digest", none, func() { must(t, http.StatusBadRequest)(s.commit(where, sum(nil))) }},
		{"begin another", none, func() {
			var a answer
			where, a, err = s.begin(repo)
			must(t, http.StatusAccepted)(a, err)
		}},
		{"cancel an upload", none, func() { must(t, http.StatusNoContent)(s.do(http.MethodDelete, where, nil)) }},
		{"mount", commits, func() { must(t, http.StatusCreated)(s.mount(other, repo, sum(blob))) }},
		{"mount again", none, func() { must(t, http.StatusCreated)(s.mount(other, repo, sum(blob))) }},
		{"put a manifest by tag", commits, func() { must(t, http.StatusCreated)(s.putManifest(repo, "tag", first)) }},
		{"put it again", none, func() { must(t, http.StatusCreated)(s.putManifest(repo, "tag", first)) }},
		{"put a manifest by digest", commits, func() { must(t, http.StatusCreated)(s.putManifest(repo, sum(second), second)) }},
		{"move the tag", commits, func() { must(t, http.StatusCreated)(s.putManifest(repo, "tag", second)) }},
		{"put a manifest whose blob is missing", none, func() {
			must(t, http.StatusNotFound)(s.putManifest(repo, "bad", image("", []byte("nobody has it"))))
		}},
		{"pull by tag", none, func() { must(t, http.StatusOK)(s.manifest(repo, "tag")) }},
		{"pull by digest", none, func() { must(t, http.StatusOK)(s.manifest(repo, sum(first))) }},
		{"pull a blob", none, func() { must(t, http.StatusOK)(s.blob(repo, sum(blob))) }},
		{"HEAD of a manifest", none, func() { must(t, http.StatusOK)(s.do(http.MethodHead, "/v2/"+repo+"/manifests/tag", nil)) }},
		{"HEAD of a blob", none, func() { must(t, http.StatusOK)(s.do(http.MethodHead, "/v2/"+repo+"/blobs/"+sum(blob), nil)) }},
		{"HEAD of a blob that is not there", none, func() { must(t, http.StatusNotFound)(s.do(http.MethodHead, "/v2/"+repo+"/blobs/"+sum(nil), nil)) }},
		{"list the tags", none, func() { must(t, http.StatusOK)(s.do(http.MethodGet, "/v2/"+repo+"/tags/list", nil)) }},
		{"list the referrers", none, func() { must(t, http.StatusOK)(s.do(http.MethodGet, "/v2/"+repo+"/referrers/"+sum(first), nil)) }},
		{"a registry token", none, func() {
			if err := s.login(); err != nil {
				t.Error(err)
			}
		}},
		{"delete the tag", commits, func() { must(t, http.StatusAccepted)(s.remove(repo, "manifests", "tag")) }},
		{"delete a tag that is not there", none, func() { must(t, http.StatusNotFound)(s.remove(repo, "manifests", "tag")) }},
		{"delete a manifest", commits, func() { must(t, http.StatusAccepted)(s.remove(repo, "manifests", sum(first))) }},
		{"delete a blob that is needed", none, func() { must(t, http.StatusMethodNotAllowed)(s.remove(repo, "blobs", sum(blob))) }},
		{"delete a blob", commits, func() { must(t, http.StatusAccepted)(s.remove(repo, "blobs", sum(lone))) }},
		{"readyz", none, func() { must(t, http.StatusOK)(s.do(http.MethodGet, "/readyz", nil)) }},
	} {
		before := disk.Events()
		disk.Do(func() { clear(count) })
		c.do()
		var got syncs
		disk.Do(func() {
			got = syncs{}
			for name, n := range count {
				got[name] = n
			}
		})
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: fsyncs are not those that it may cost (-want +got):\n%s", c.name, diff)
		}
		t.Logf("%s: %v, %d changes of the disk", c.name, got, disk.Events()-before)
	}
	disk.Hook(nil)
	s.stop()
}

// must fails the test if an answer has another status.
func must(t *testing.T, status int) func(answer, error) {
	t.Helper()
	return func(a answer, err error) {
		t.Helper()
		if err != nil || a.status != status {
			t.Errorf("answer %s, error %v, want %d", a, err, status)
		}
	}
}
