package registrytest

import (
	"testing"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
)

// testCopy: an index comes with its children, and with what refers to any of
// them, unless that is not wanted.
func testCopy(t *testing.T, r registry.Registry) {
	amd := Spec{Layers: []Content{Blob("amd64"), Blob("base")}}.Push(t, r, "a")
	arm := Spec{Layers: []Content{Blob("arm64"), Blob("base")}}.Push(t, r, "a")
	index := Spec{Children: []Content{amd, arm}}.Push(t, r, "a", "v1")
	subject, child := index.Descriptor(), arm.Descriptor()
	signature := Spec{Subject: &subject, ArtifactType: "example/sig"}.Push(t, r, "a")
	sd := signature.Descriptor()
	note := Spec{Subject: &sd, ArtifactType: "example/note"}.Push(t, r, "a")
	sbom := Spec{Subject: &child, ArtifactType: "example/sbom"}.Push(t, r, "a")
	for _, c := range []struct {
		to        oci.Repo
		tag       oci.Tag
		referrers bool
		manifests int
		there     []Content
		absent    []Content
	}{
		{"b", "v2", true, 6, []Content{index, amd, arm, signature, note, sbom}, nil},
		{"c", "", false, 3, []Content{index, amd, arm}, []Content{signature, note, sbom}},
		{"a", "v3", true, 0, []Content{index}, nil},
	} {
		n, err := registry.Copy(ctx, r, c.to, c.tag, "a", oci.Ref{Tag: "v1"}, c.referrers)
		if err != nil || n.Digest != index.Digest() || n.Manifests != c.manifests {
			t.Errorf("to %s: %+v, %v", c.to, n, err)
		}
		for _, m := range c.there {
			if _, err := r.Manifest(ctx, c.to, oci.Ref{Digest: m.Digest()}); err != nil {
				t.Errorf("to %s: %v", c.to, err)
			}
		}
		for _, m := range c.absent {
			_, err := r.Resolve(ctx, c.to, oci.Ref{Digest: m.Digest()})
			wantErr(t, err, oci.CodeManifestUnknown)
		}
		if d, err := r.Resolve(ctx, c.to, oci.Ref{Tag: c.tag}); c.tag != "" && (err != nil || d.Digest != index.Digest()) {
			t.Errorf("to %s: the tag names %s, %v", c.to, d.Digest, err)
		}
	}
	ReadBlob(t, r, "b", Blob("base").Digest(), registry.Whole)
	_, err := registry.Copy(ctx, r, "p", "v1", "a", oci.Ref{Tag: "absent"}, true)
	wantErr(t, err, oci.CodeManifestUnknown)
	if _, err := r.Resolve(ctx, "p", oci.Ref{Tag: "v1"}); err == nil {
		t.Error("a copy of nothing is there")
	}
}
