package registrytest

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
)

func testManifest(t *testing.T, r registry.Registry) {
	m := Spec{Layers: []Content{Blob("one"), Blob("two")}}.Push(t, r, "a/b", "latest")
	for _, ref := range []oci.Ref{{Tag: "latest"}, {Digest: m.Digest()}} {
		for range 2 { // the second time from a cache, if there is one
			got := must(r.Manifest(ctx, "a/b", ref))(t)
			if !bytes.Equal(got.Bytes, m.Bytes) || got.Digest != m.Digest() || got.MediaType != m.MediaType || got.Size != int64(len(m.Bytes)) {
				t.Errorf("%v: %+v", ref, got.Descriptor)
			}
			d := must(r.Resolve(ctx, "a/b", ref))(t)
			if d.Digest != m.Digest() || d.Size != int64(len(m.Bytes)) || d.MediaType != m.MediaType {
				t.Errorf("resolve %v: %+v", ref, d)
			}
		}
	}
	// Byte-identical: white space and unknown fields stay.
	odd := Content{MediaType: oci.MediaTypeDockerManifest, Bytes: []byte(" {\n \"config\" : " + string(mustJSON(t, config.Descriptor())) + ",\"x\":[ 1 ],\n\"layers\":[], \"schemaVersion\":2 }\n")}
	PushManifest(t, r, "a/b", odd, "odd")
	if got := must(r.Manifest(ctx, "a/b", oci.Ref{Tag: "odd"}))(t); !bytes.Equal(got.Bytes, odd.Bytes) || got.MediaType != odd.MediaType {
		t.Errorf("got %q", got.Bytes)
	}
}

func testManifestSHA512(t *testing.T, r registry.Registry) {
	m := Spec{}.Manifest(t)
	m.Algorithm = oci.SHA512
	PushBlob(t, r, "a", config)
	stored := PushManifest(t, r, "a", m, "big", "bigger")
	if stored.Digest != m.Digest() {
		t.Errorf("stored as %s", stored.Digest)
	}
	for _, ref := range []oci.Ref{{Tag: "big"}, {Tag: "bigger"}, {Digest: m.Digest()}} {
		if got := must(r.Manifest(ctx, "a", ref))(t); got.Digest != m.Digest() {
			t.Errorf("%v is %s", ref, got.Digest)
		}
	}
}

func testManifestNeeds(t *testing.T, r registry.Registry) {
	PushBlob(t, r, "a", config)
	PushBlob(t, r, "other", Blob("elsewhere"))
	missing := Blob("elsewhere")
	m := Spec{Layers: []Content{missing}}.Manifest(t)
	_, err := r.PutManifest(ctx, "a", Put(m, "t"))
	wantErr(t, err, oci.CodeManifestBlobUnknown)
	if err != nil && !strings.Contains(err.Error(), string(missing.Digest())) {
		t.Errorf("the missing digest is not named: %v", err)
	}
	child := Spec{Layers: []Content{Blob("child")}}.Manifest(t)
	index := Spec{Children: []Content{child}}.Manifest(t)
	_, err = r.PutManifest(ctx, "a", Put(index, "t"))
	wantErr(t, err, oci.CodeManifestBlobUnknown)
	_, err = r.Resolve(ctx, "a", oci.Ref{Tag: "t"})
	wantErr(t, err, oci.CodeManifestUnknown)
	// With the child there it is fine, and so is an index of an index.
	Spec{Layers: []Content{Blob("child")}}.Push(t, r, "a")
	PushManifest(t, r, "a", index, "t")
	PushManifest(t, r, "a", Spec{Children: []Content{index, child}}.Manifest(t), "nested")
	// What an index lists as a blob is looked for among the blobs.
	PushManifest(t, r, "a", Spec{Children: []Content{config}}.Manifest(t), "cache")
	if _, err := r.PutManifest(ctx, "a", Put(Content{MediaType: m.MediaType, Bytes: []byte("{")}, "t")); err == nil {
		t.Error("a broken manifest is accepted")
	}
}

func testManifestDigest(t *testing.T, r registry.Registry) {
	PushBlob(t, r, "a", config)
	m := Spec{}.Manifest(t)
	put := Put(m)
	put.Digest = Blob("x").Digest()
	_, err := r.PutManifest(ctx, "a", put)
	wantErr(t, err, oci.CodeDigestInvalid)
}

func testTags(t *testing.T, r registry.Registry) {
	one := Spec{Layers: []Content{Blob("1")}}.Push(t, r, "a", "b", "a", "Z", "a.1", "_")
	if got := take(t, r.Tags(ctx, "a", ""), all); cmp.Diff([]oci.Tag{"Z", "_", "a", "a.1", "b"}, got) != "" {
		t.Errorf("not in byte order: %v", got)
	}
	if got := take(t, r.Tags(ctx, "a", "a"), 1); cmp.Diff([]oci.Tag{"a.1"}, got) != "" {
		t.Errorf("after a: %v", got)
	}
	if got := take(t, r.Tags(ctx, "a", "aa"), all); cmp.Diff([]oci.Tag{"b"}, got) != "" {
		t.Errorf("after a name that is none: %v", got)
	}
	two := Spec{Layers: []Content{Blob("2")}}.Push(t, r, "a", "a")
	if d := must(r.Resolve(ctx, "a", oci.Ref{Tag: "a"}))(t); d.Digest != two.Digest() {
		t.Error("the tag did not move")
	}
	if d := must(r.Resolve(ctx, "a", oci.Ref{Tag: "b"}))(t); d.Digest != one.Digest() {
		t.Error("the other tag moved, too")
	}
}

func testDeletes(t *testing.T, r registry.Registry) {
	m := Spec{Layers: []Content{Blob("l")}}.Push(t, r, "a", "one", "two")
	must(r.Resolve(ctx, "a", oci.Ref{Tag: "one"}))(t)
	must(r.Resolve(ctx, "a", oci.Ref{Tag: "two"}))(t)
	if err := r.DeleteManifest(ctx, "a", oci.Ref{Tag: "one"}); err != nil {
		t.Fatal(err)
	}
	_, err := r.Resolve(ctx, "a", oci.Ref{Tag: "one"})
	wantErr(t, err, oci.CodeManifestUnknown)
	wantErr(t, r.DeleteManifest(ctx, "a", oci.Ref{Tag: "one"}), oci.CodeManifestUnknown)
	must(r.Resolve(ctx, "a", oci.Ref{Tag: "two"}))(t)
	if err := r.DeleteManifest(ctx, "a", oci.Ref{Digest: m.Digest()}); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []oci.Ref{{Tag: "two"}, {Digest: m.Digest()}} {
		_, err := r.Resolve(ctx, "a", ref)
		wantErr(t, err, oci.CodeManifestUnknown)
		wantErr(t, r.DeleteManifest(ctx, "a", ref), oci.CodeManifestUnknown)
	}
	// Pushed again by digest, the tags do not come back.
	PushManifest(t, r, "a", m)
	_, err = r.Resolve(ctx, "a", oci.Ref{Tag: "two"})
	wantErr(t, err, oci.CodeManifestUnknown)
	if err := r.DeleteManifest(ctx, "a", oci.Ref{Digest: m.Digest()}); err != nil {
		t.Fatal(err)
	}
	if got := take(t, r.Tags(ctx, "a", ""), all); len(got) != 0 {
		t.Errorf("tags left: %v", got)
	}
	if err := r.DeleteBlob(ctx, "a", Blob("l").Digest()); err != nil {
		t.Fatal(err)
	}
	_, err = r.StatBlob(ctx, "a", Blob("l").Digest())
	wantErr(t, err, oci.CodeBlobUnknown)
	wantErr(t, r.DeleteBlob(ctx, "a", Blob("l").Digest()), oci.CodeBlobUnknown)
}

func testBlobNeeded(t *testing.T, r registry.Registry) {
	l := Blob("needed")
	m := Spec{Layers: []Content{l}}.Push(t, r, "a", "t")
	Spec{Layers: []Content{l}}.Push(t, r, "b", "t")
	wantErr(t, r.DeleteBlob(ctx, "a", l.Digest()), oci.CodeUnsupported)
	must(r.StatBlob(ctx, "a", l.Digest()))(t)
	if err := r.DeleteManifest(ctx, "a", oci.Ref{Digest: m.Digest()}); err != nil {
		t.Fatal(err)
	}
	if err := r.DeleteBlob(ctx, "a", l.Digest()); err != nil {
		t.Errorf("another repository's manifest holds the blob: %v", err)
	}
	if got := ReadBlob(t, r, "b", l.Digest(), registry.Whole); string(got) != "needed" {
		t.Error("the blob went from the other repository as well")
	}
}

func testReferrers(t *testing.T, r registry.Registry) {
	subject := Spec{Layers: []Content{Blob("s")}}.Push(t, r, "a", "latest")
	sd := subject.Descriptor()
	sbom := Spec{Subject: &sd, ArtifactType: "example/sbom", Annotations: map[string]string{"k": "v"}}.Push(t, r, "a")
	sig := Spec{Subject: &sd, ArtifactType: "example/sig"}.Push(t, r, "a")
	plain := Spec{Subject: &sd}.Push(t, r, "a", "plain")
	index := Spec{Children: []Content{}, Subject: &sd}.Push(t, r, "a")
	stored := PushManifest(t, r, "a", sbom)
	if stored.Subject != subject.Digest() {
		t.Errorf("the subject is not reported: %+v", stored)
	}
	got := map[oci.Digest]oci.Descriptor{}
	last := oci.Digest("")
	for _, d := range take(t, r.Referrers(ctx, "a", subject.Digest(), registry.Filter{}), all) {
		if d.Digest <= last {
			t.Error("not in order")
		}
		last = d.Digest
		got[d.Digest] = d
	}
	want := map[oci.Digest]oci.Descriptor{}
	for _, w := range []struct {
		c           Content
		artifact    string
		annotations map[string]string
	}{
		{sbom, "example/sbom", map[string]string{"k": "v"}},
		{sig, "example/sig", nil},
		{plain, config.MediaType, nil},
		{index, "", nil},
	} {
		d := w.c.Descriptor()
		d.ArtifactType, d.Annotations = w.artifact, w.annotations
		want[d.Digest] = d
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if f := take(t, r.Referrers(ctx, "a", subject.Digest(), registry.Filter{ArtifactType: "example/sig"}), all); len(f) != 1 || f[0].Digest != sig.Digest() {
		t.Errorf("filtered: %+v", f)
	}
	if f := take(t, r.Referrers(ctx, "a", subject.Digest(), registry.Filter{After: last}), all); len(f) != 0 {
		t.Errorf("after the last: %+v", f)
	}
	for _, repo := range []oci.Repo{"b", "nowhere"} {
		if f := take(t, r.Referrers(ctx, repo, subject.Digest(), registry.Filter{}), all); len(f) != 0 {
			t.Errorf("%s has referrers: %+v", repo, f)
		}
	}
	// A subject that is not there is fine, and found when asked for.
	absent := Blob("absent").Descriptor()
	absent.MediaType = oci.MediaTypeImageManifest
	Spec{Subject: &absent}.Push(t, r, "b")
	if f := take(t, r.Referrers(ctx, "b", absent.Digest, registry.Filter{}), all); len(f) != 1 {
		t.Errorf("referrers of an absent subject: %+v", f)
	}
	if err := r.DeleteManifest(ctx, "a", oci.Ref{Digest: sig.Digest()}); err != nil {
		t.Fatal(err)
	}
	if f := take(t, r.Referrers(ctx, "a", subject.Digest(), registry.Filter{}), all); len(f) != 3 {
		t.Errorf("after a delete: %d", len(f))
	}
}
