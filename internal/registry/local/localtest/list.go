package localtest

import (
	"fmt"
	"slices"

	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
	"fairlead.dev/fairlead/internal/registry/local"
)

// pages reads a list in pages of n and checks their length.
func pages[T comparable](s *suite, n int, page func(after T, n int) ([]T, error)) []T {
	s.Helper()
	var all []T
	var after T
	for {
		got, err := page(after, n)
		s.must(err)
		if len(got) > n {
			s.Fatalf("a page of %d has %d", n, len(got))
		}
		all = append(all, got...)
		if len(got) < n {
			return all
		}
		after = got[n-1]
	}
}

var listCases = []testCase{
	{"repositories of a namespace, and of one element", func(s *suite) {
		for _, repo := range []oci.Repo{"acme/web", "ubuntu", "acme", "zeta/x", "nginx", "acme/web/api", "acme-x/y", "acme0", "acmee/z"} {
			s.link(repo, newBlob("b"))
		}
		for namespace, want := range map[string][]oci.Repo{
			"":     {"acme", "acme0", "nginx", "ubuntu"},
			"acme": {"acme/web", "acme/web/api"}, "acme-x": {"acme-x/y"}, "ubuntu": nil, "absent": nil, "acme/web": {"acme/web/api"},
		} {
			for n := 1; n < 6; n++ {
				got := pages(s, n, func(after oci.Repo, n int) ([]oci.Repo, error) {
					return s.Catalog.Repositories(s.Context(), registry.Within{Namespace: namespace}, after, n)
				})
				s.equal(fmt.Sprintf("%q, pages of %d", namespace, n), got, want)
			}
		}
	}},
	{"repositories in byte order", func(s *suite) {
		want := []oci.Repo{"a", "a-b", "a.b", "a/b", "a/b/c", "a0", "a_b", "b", "ibm"}
		for _, i := range []int{4, 0, 8, 2, 6, 1, 3, 7, 5} {
			s.link(want[i], newBlob("b"))
		}
		s.put("a/b", s.index())
		for n := 1; n <= len(want)+1; n++ {
			got := pages(s, n, func(after oci.Repo, n int) ([]oci.Repo, error) {
				return s.Catalog.Repositories(s.Context(), registry.Everywhere, after, n)
			})
			s.equal(fmt.Sprintf("pages of %d", n), got, want)
		}
		got, err := s.Catalog.Repositories(s.Context(), registry.Everywhere, "a/a", 2) // one that is not there
		s.must(err)
		s.equal("after a/a", got, []oci.Repo{"a/b", "a/b/c"})
		got, err = s.Catalog.Repositories(s.Context(), registry.Everywhere, "zzz", 2)
		s.must(err)
		s.equal("after zzz", got, []oci.Repo(nil))
	}},
	{"tags in byte order", func(s *suite) {
		want := []oci.Tag{"0", "1.0", "10", "9", "A", "V1", "Z", "_x", "a", "latest", "v1", "v1-rc", "v1.1", "v1_1", "v2"}
		m := s.pushed("acme/web", "m", 1)
		shuffled := slices.Clone(want)
		slices.Reverse(shuffled)
		s.put("acme/web", m, shuffled...)
		s.pushed("acme/api", "n", 1, "b", "other")
		for n := 1; n <= len(want)+1; n++ {
			got := pages(s, n, func(after oci.Tag, n int) ([]oci.Tag, error) {
				return s.Catalog.Tags(s.Context(), "acme/web", after, n)
			})
			s.equal(fmt.Sprintf("pages of %d", n), got, want)
		}
		got, err := s.Catalog.Tags(s.Context(), "acme/web", "b", 1)
		s.must(err)
		s.equal("after b", got, []oci.Tag{"latest"})
	}},
	{"tags of nothing", func(s *suite) {
		_, err := s.Catalog.Tags(s.Context(), "acme/web", "", 10)
		s.code(err, oci.CodeNameUnknown)
		s.link("acme/web", newBlob("b"))
		tags, err := s.Catalog.Tags(s.Context(), "acme/web", "", 10)
		s.must(err)
		s.equal("tags", tags, []oci.Tag(nil))
	}},
	{"none of zero", func(s *suite) {
		m := s.pushed("acme/web", "m", 1, "v1")
		s.put("acme/web", s.artifact("acme/web", m.Digest, "application/vnd.example", nil))
		for _, n := range []int{0, -1} {
			repos, err := s.Catalog.Repositories(s.Context(), registry.Everywhere, "", n)
			s.must(err)
			s.equal("repositories", repos, []oci.Repo(nil))
			tags, err := s.Catalog.Tags(s.Context(), "acme/web", "", n)
			s.must(err)
			s.equal("tags", tags, []oci.Tag(nil))
			referrers, err := s.Catalog.Referrers(s.Context(), "acme/web", m.Digest, "", "", n)
			s.must(err)
			s.equal("referrers", referrers, []oci.Descriptor(nil))
		}
	}},
}

// artifact has an empty config, which is linked, and a subject.
func (s *suite) artifact(repo oci.Repo, subject oci.Digest, artifactType string, annotations map[string]string) local.ManifestRow {
	s.Helper()
	config := newBlob("{}")
	s.link(repo, config)
	return s.manifest(document{
		MediaType: oci.MediaTypeImageManifest, ArtifactType: artifactType, Annotations: annotations,
		Subject: &oci.Descriptor{MediaType: oci.MediaTypeImageManifest, Digest: subject, Size: 1},
	}, config)
}

// descriptor is what Referrers shows of a manifest.
func descriptor(m local.ManifestRow) oci.Descriptor {
	d := m.Descriptor
	d.ArtifactType, d.Annotations = m.Content.ArtifactType, m.Content.Annotations
	return d
}

var referrerCases = []testCase{
	{"by digest, filtered and in pages", func(s *suite) {
		m := s.pushed("acme/web", "m", 1, "v1")
		var all, signatures []oci.Descriptor
		for i := range 9 {
			artifactType := "application/vnd.example.sbom"
			if i%3 == 0 {
				artifactType = "application/vnd.example.signature"
			}
			a := s.artifact("acme/web", m.Digest, artifactType, map[string]string{"n": fmt.Sprint(i), "ü": "\"<&>"})
			s.put("acme/web", a)
			all = append(all, descriptor(a))
			if i%3 == 0 {
				signatures = append(signatures, descriptor(a))
			}
		}
		s.put("acme/web", s.artifact("acme/web", newBlob("other").Digest, "application/vnd.example.sbom", nil))
		for n := 1; n <= 10; n++ {
			s.equal("all", s.referrers("acme/web", m.Digest, "", n), sorted(all))
			s.equal("signatures", s.referrers("acme/web", m.Digest, "application/vnd.example.signature", n), sorted(signatures))
		}
		s.equal("of no such type", s.referrers("acme/web", m.Digest, "text/plain", 5), []oci.Descriptor(nil))
	}},
	{"an unknown repository or subject has none", func(s *suite) {
		m := s.pushed("acme/web", "m", 1)
		s.equal("repository", s.referrers("acme/none", m.Digest, "", 5), []oci.Descriptor(nil))
		s.equal("subject", s.referrers("acme/web", newBlob("x").Digest, "", 5), []oci.Descriptor(nil))
	}},
	{"another repository's do not count", func(s *suite) {
		m := s.pushed("acme/web", "same", 1)
		s.pushed("acme/api", "same", 1)
		a := s.artifact("acme/api", m.Digest, "application/vnd.example", nil)
		s.put("acme/api", a)
		s.equal("web", s.referrers("acme/web", m.Digest, "", 5), []oci.Descriptor(nil))
		s.equal("api", s.referrers("acme/api", m.Digest, "", 5), []oci.Descriptor{descriptor(a)})
	}},
	{"before the subject and after it", func(s *suite) {
		m := s.image(newBlobs("m", 2)...)
		a := s.artifact("acme/web", m.Digest, "application/vnd.example", nil)
		s.put("acme/web", a, "kept") // or it would go with its subject
		s.equal("before", s.referrers("acme/web", m.Digest, "", 5), []oci.Descriptor{descriptor(a)})
		s.pushed("acme/web", "m", 1)
		s.must(s.Catalog.DeleteManifest(s.Context(), "acme/web", m.Digest, nil))
		s.equal("after", s.referrers("acme/web", m.Digest, "", 5), []oci.Descriptor{descriptor(a)})
		s.must(s.Catalog.DeleteManifest(s.Context(), "acme/web", a.Digest, nil))
		s.equal("gone", s.referrers("acme/web", m.Digest, "", 5), []oci.Descriptor(nil))
	}},
	{"an image shows its config's type, an index its own", func(s *suite) {
		m := s.pushed("acme/web", "m", 1)
		subject := &oci.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: m.Size}
		config := newBlob("config")
		s.link("acme/web", config)
		image := s.manifest(document{MediaType: oci.MediaTypeImageManifest, Subject: subject}, config)
		index := s.manifest(document{MediaType: oci.MediaTypeImageIndex, Subject: subject, Manifests: []oci.Descriptor{m.Descriptor}})
		s.put("acme/web", image)
		s.put("acme/web", index)
		s.equal("types", descriptor(image).ArtifactType, "application/vnd.oci.image.config.v1+json")
		s.equal("all", s.referrers("acme/web", m.Digest, "", 5), sorted([]oci.Descriptor{descriptor(image), descriptor(index)}))
	}},
}

func (s *suite) referrers(repo oci.Repo, subject oci.Digest, artifactType string, n int) []oci.Descriptor {
	s.Helper()
	var all []oci.Descriptor
	var after oci.Digest
	for {
		got, err := s.Catalog.Referrers(s.Context(), repo, subject, artifactType, after, n)
		s.must(err)
		if len(got) > n {
			s.Fatalf("a page of %d has %d", n, len(got))
		}
		all = append(all, got...)
		if len(got) < n {
			return all
		}
		after = got[n-1].Digest
	}
}

func sorted(d []oci.Descriptor) []oci.Descriptor {
	d = slices.Clone(d)
	slices.SortFunc(d, func(a, b oci.Descriptor) int {
		if a.Digest < b.Digest {
			return -1
		}
		return 1
	})
	return d
}
