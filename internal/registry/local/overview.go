package local

import (
	"context"
	"time"

	"fairlead.dev/fairlead/internal/oci"
)

// Place is where to look: everything whose path is Prefix or lies below it.
// "" is everywhere. Since hides what happened before: in an earlier life of
// the namespace.
type Place struct {
	Prefix string
	Since  time.Time
}

// Bytes of blobs and manifests. Unique are those that nothing outside of what
// is counted needs; Shared the rest. Each blob counts once.
type Bytes struct {
	Unique, Shared int64
}

// RepositoryInfo is a repository in a list.
type RepositoryInfo struct {
	Repo            oci.Repo
	Created         time.Time
	Updated         time.Time // newest manifest, or tag that moved
	Tags, Manifests int
	Bytes           int64 // of its blobs and manifests, each once
	Pulls           int64
	LastPull        time.Time
}

// ImageInfo is a tag in a list. Size is that of the manifest with all it
// names: layers, config, and the children of an index.
type ImageInfo struct {
	Repo      oci.Repo
	Tag       oci.Tag
	Digest    oci.Digest
	MediaType string
	Artifact  string
	// Pushed is when the manifest was, Updated when the tag moved to it.
	Pushed, Updated time.Time
	Size            int64
	Pulls           int64
	LastPull        time.Time
}

// DigestInfo is a manifest in a list.
type DigestInfo struct {
	Repo      oci.Repo
	Digest    oci.Digest
	MediaType string
	Artifact  string
	Pushed    time.Time
	Tags      []oci.Tag
	Subject   oci.Digest
	Parents   int // indexes of the repository that name it
	Referrers int
	Size      int64
	Pulls     int64
	LastPull  time.Time
}

// UsageInfo is what a namespace, or a repository of one element, holds.
type UsageInfo struct {
	Namespace                     string
	Repositories, Tags, Manifests int
	Bytes                         int64 // each blob once
	Trash                         int64 // bytes of trash entries' blobs that no repository here has
	Pulls                         int64
	LastPull                      time.Time
}

// Overview lists what is there, for people. Every page costs what it shows,
// however much there is besides.
type Overview interface {
	// RepositoryPage in the order of names, after one.
	RepositoryPage(ctx context.Context, p Place, after oci.Repo, n int) ([]RepositoryInfo, error)
	// ImagePage in the order of repositories and tags, after one of both.
	ImagePage(ctx context.Context, p Place, repo oci.Repo, tag oci.Tag, n int) ([]ImageInfo, error)
	// DigestPage of a repository, newest first, below a cursor (0 for the
	// newest), with the next one. Error: NAME_UNKNOWN.
	DigestPage(ctx context.Context, repo oci.Repo, before int64, n int) (page []DigestInfo, next int64, err error)
	// TagsOf a manifest. Errors: NAME_UNKNOWN, MANIFEST_UNKNOWN.
	TagsOf(ctx context.Context, repo oci.Repo, digest oci.Digest) ([]oci.Tag, error)
	// BytesOf manifests of a repository with their children: unique are those
	// that nothing else in the whole registry needs.
	BytesOf(ctx context.Context, repo oci.Repo, digests []oci.Digest) (Bytes, error)
	// Usage of a namespace, or of a repository of one element.
	Usage(ctx context.Context, namespace string) (UsageInfo, error)
}
