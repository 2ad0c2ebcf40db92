package v1

import "time"

// PlaceQuery selects repositories or images of a list.
type PlaceQuery struct {
	// Repository or Namespace, not both; neither is all that one may see.
	Repository string `json:"repository,omitempty"`
	Namespace  string `json:"namespace,omitempty"`
	// IncludePublic adds provided images and public namespaces.
	IncludePublic bool   `json:"includePublic,omitempty"`
	Next          string `json:"next,omitempty"`
	Limit         int    `json:"limit,omitempty"`
}

// Repository in a list: GET /api/v1/repositories.
type Repository struct {
	Name      string     `json:"name"`
	Namespace string     `json:"namespace,omitempty"` // "" for a provided image
	Created   time.Time  `json:"created"`
	Updated   time.Time  `json:"updated"`
	Tags      int        `json:"tags"`
	Manifests int        `json:"manifests"`
	Bytes     int64      `json:"bytes"`
	Pulls     int64      `json:"pulls"`
	LastPull  *time.Time `json:"lastPull,omitempty"`
}

// RepositoryPage is a page of repositories by name.
type RepositoryPage struct {
	Items []Repository `json:"items"`
	Next  string       `json:"next,omitempty"`
}

// Image is a tag: GET /api/v1/images.
type Image struct {
	Repository string `json:"repository"`
	Namespace  string `json:"namespace,omitempty"`
	Tag        string `json:"tag"`
	Digest     string `json:"digest"`
	MediaType  string `json:"mediaType"`
	// Artifact type of what is no image.
	Artifact string    `json:"artifactType,omitempty"`
	Pushed   time.Time `json:"pushed"`
	Updated  time.Time `json:"updated"`
	// Size of the manifest with all it names, each blob once.
	Size     int64      `json:"size"`
	Pulls    int64      `json:"pulls"`
	LastPull *time.Time `json:"lastPull,omitempty"`
}

// ImagePage is a page of images by repository and tag.
type ImagePage struct {
	Items []Image `json:"items"`
	Next  string  `json:"next,omitempty"`
}

// DigestQuery of GET /api/v1/digests.
type DigestQuery struct {
	Repository string `json:"repository"`
	Next       string `json:"next,omitempty"`
	Limit      int    `json:"limit,omitempty"`
}

// Digest is a manifest of a repository.
type Digest struct {
	Repository string     `json:"repository"`
	Digest     string     `json:"digest"`
	MediaType  string     `json:"mediaType"`
	Artifact   string     `json:"artifactType,omitempty"`
	Pushed     time.Time  `json:"pushed"`
	Tags       []string   `json:"tags"`
	Subject    string     `json:"subject,omitempty"`
	Parents    int        `json:"parents"`   // indexes that name it
	Referrers  int        `json:"referrers"` // signatures and the like
	Size       int64      `json:"size"`
	Pulls      int64      `json:"pulls"`
	LastPull   *time.Time `json:"lastPull,omitempty"`
}

// DigestPage is a page of manifests, newest first.
type DigestPage struct {
	Items []Digest `json:"items"`
	Next  string   `json:"next,omitempty"`
}

// Layer of an image.
type Layer struct {
	Digest    string `json:"digest"`
	MediaType string `json:"mediaType"`
	Size      int64  `json:"size"`
}

// Platform of an image, or of a child of an index.
type Platform struct {
	Digest       string `json:"digest"`
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant,omitempty"`
	Size         int64  `json:"size"`
}

// ImageDetail is an image in full: GET /api/v1/images/inspect.
type ImageDetail struct {
	Repository string     `json:"repository"`
	Reference  string     `json:"reference"` // tag or digest that was asked for
	Digest     string     `json:"digest"`
	MediaType  string     `json:"mediaType"`
	Artifact   string     `json:"artifactType,omitempty"`
	Tags       []string   `json:"tags"`
	Platforms  []Platform `json:"platforms,omitempty"`
	Layers     []Layer    `json:"layers,omitempty"`
	// Config is the image's configuration, as it was pushed.
	Config      any               `json:"config,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Subject     string            `json:"subject,omitempty"`
	Referrers   []Referrer        `json:"referrers,omitempty"`
	// Size with all it names; UniqueBytes go with it, SharedBytes stay
	// because others need them.
	Size        int64 `json:"size"`
	UniqueBytes int64 `json:"uniqueBytes"`
	SharedBytes int64 `json:"sharedBytes"`
}

// Referrer of an image, such as a signature.
type Referrer struct {
	Digest   string `json:"digest"`
	Artifact string `json:"artifactType"`
	Size     int64  `json:"size"`
}

// ImageRef names an image: Reference is a tag or a digest.
type ImageRef struct {
	Repository string `json:"repository"`
	Reference  string `json:"reference"`
}

// TagOptions of POST /api/v1/images/tag: Tag names the image, too.
type TagOptions struct {
	ImageRef
	Tag string `json:"tag"`
}

// CopyOptions of POST /api/v1/images/copy: no byte is sent again.
type CopyOptions struct {
	From ImageRef `json:"from"`
	// To is a repository with a tag; without one, the digest alone.
	To ImageRef `json:"to"`
	// Referrers (signatures and the like) go along, unless NoReferrers.
	NoReferrers bool `json:"noReferrers,omitempty"`
}

// Copied is what a copy or a new tag made.
type Copied struct {
	Repository string `json:"repository"`
	Tag        string `json:"tag,omitempty"`
	Digest     string `json:"digest"`
	Manifests  int    `json:"manifests"`
	Blobs      int    `json:"blobs"`
	// Moved from the digest that the tag named before.
	Moved string `json:"moved,omitempty"`
}

// Usage of a namespace.
type Usage struct {
	Namespace    string `json:"namespace"`
	Account      string `json:"account,omitempty"`
	Repositories int    `json:"repositories"`
	Tags         int    `json:"tags"`
	Manifests    int    `json:"manifests"`
	// Bytes of blobs and manifests, each once; TrashBytes only the trash has.
	Bytes      int64      `json:"bytes"`
	TrashBytes int64      `json:"trashBytes"`
	Pulls      int64      `json:"pulls"`
	LastPull   *time.Time `json:"lastPull,omitempty"`
}

// UsageQuery of GET /api/v1/usage.
type UsageQuery struct {
	Account   string `json:"account,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Next      string `json:"next,omitempty"`
	Limit     int    `json:"limit,omitempty"`
}

// UsagePage is a page of usages by namespace.
type UsagePage struct {
	Items []Usage `json:"items"`
	Next  string  `json:"next,omitempty"`
}

// AuditQuery of GET /api/v1/audit. Since and Until are times (RFC 3339).
type AuditQuery struct {
	Account string `json:"account,omitempty"`
	TokenID string `json:"tokenId,omitempty"`
	// Action such as token.add; ending in a dot, all that begin so.
	Action     string    `json:"action,omitempty"`
	Namespace  string    `json:"namespace,omitempty"`
	Repository string    `json:"repository,omitempty"`
	Outcome    string    `json:"outcome,omitempty"`
	Since      time.Time `json:"since,omitzero"`
	Until      time.Time `json:"until,omitzero"`
	Next       string    `json:"next,omitempty"`
	Limit      int       `json:"limit,omitempty"`
}

// AuditLine is who did what, from where.
type AuditLine struct {
	ID      int64     `json:"id"`
	At      time.Time `json:"at"`
	Account string    `json:"account,omitempty"`
	Actor   string    `json:"actor,omitempty"`
	TokenID string    `json:"tokenId,omitempty"`
	Action  string    `json:"action"`
	// Namespace, Repository and Target (a tag, a digest, a token's id) say
	// what it was about.
	Namespace  string `json:"namespace,omitempty"`
	Repository string `json:"repository,omitempty"`
	Target     string `json:"target,omitempty"`
	// Outcome: allowed, denied, failed.
	Outcome string `json:"outcome"`
	Reason  string `json:"reason,omitempty"`
	Detail  string `json:"detail,omitempty"`
	Address string `json:"address,omitempty"`
	Client  string `json:"client,omitempty"`
	Request string `json:"request,omitempty"`
	// Count of equal ones in a row that the line stands for.
	Count int64 `json:"count"`
}

// AuditPage is a page of the audit trail, newest first.
type AuditPage struct {
	Items []AuditLine `json:"items"`
	Next  string      `json:"next,omitempty"`
}
