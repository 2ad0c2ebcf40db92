// Package wire is the grammar of /v2/: a method and a URL become a Request,
// and a Request becomes a method and a URL again. Server and client use the
// same table, so they cannot drift apart.
//
// Parse is the only door: what it returns is valid, whatever a stranger sent.
// Names are read from the end of the path (a repository may be called
// "a/blobs/uploads"), and every path has exactly one reading.
//
// Source: OCI Distribution Specification, "Endpoints" (end-1 to end-14).
package wire

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"fairlead.dev/fairlead/internal/oci"
)

// Kind of a request.
type Kind int

// The kinds, with the specification's endpoint numbers.
const (
	Ping           Kind = iota + 1 // end-1
	BlobGet                        // end-2
	BlobHead                       // end-2
	BlobDelete                     // end-10
	UploadBegin                    // end-4a, end-4c
	UploadWhole                    // end-4b: one POST
	UploadMount                    // end-11
	UploadStatus                   // end-13
	UploadAppend                   // end-5
	UploadCommit                   // end-6
	UploadCancel                   // end-14
	ManifestGet                    // end-3
	ManifestHead                   // end-3
	ManifestPut                    // end-7
	ManifestDelete                 // end-9
	TagList                        // end-8
	ReferrerList                   // end-12
	Catalog                        // Docker Registry HTTP API V2
)

var kindNames = [...]string{
	Ping: "ping", BlobGet: "blob-get", BlobHead: "blob-head", BlobDelete: "blob-delete",
	UploadBegin: "upload-begin", UploadWhole: "upload-whole", UploadMount: "upload-mount",
	UploadStatus: "upload-status", UploadAppend: "upload-append", UploadCommit: "upload-commit",
	UploadCancel: "upload-cancel", ManifestGet: "manifest-get", ManifestHead: "manifest-head",
	ManifestPut: "manifest-put", ManifestDelete: "manifest-delete", TagList: "tag-list",
	ReferrerList: "referrer-list", Catalog: "catalog",
}

// String is the kind's name in logs and metrics.
func (k Kind) String() string {
	if k <= 0 || int(k) >= len(kindNames) {
		return "unknown"
	}
	return kindNames[k]
}

// NoLimit is the N of a listing that asked for no number.
const NoLimit = -1

// maxTags bounds the tag parameters of one manifest push; the specification
// asks for at least 10.
const maxTags = 100

// Request is a parsed request. Which fields are set depends on Kind.
type Request struct {
	Kind Kind
	Repo oci.Repo
	// Ref of a manifest.
	Ref oci.Ref
	// Tags that a manifest pushed by digest gets (?tag=).
	Tags []oci.Tag
	// Digest of a blob, or the subject of a referrer list.
	Digest oci.Digest
	// Algorithm of an upload (digest-algorithm=), "" if not said.
	Algorithm oci.Algorithm
	// From is the repository to mount from; "" if none was named.
	From oci.Repo
	// Upload is the ID of an open upload.
	Upload string
	// N entries at most (NoLimit: not said), after Last.
	N    int
	Last string
	// ArtifactType filters referrers.
	ArtifactType string
}

// MethodError refuses a method that the path does not have.
type MethodError struct {
	Method string
	Allow  []string
}

func (e *MethodError) Error() string {
	return fmt.Sprintf("the method %s is not possible here, only %s", oci.Clip(e.Method), strings.Join(e.Allow, ", "))
}

// Unwrap makes it UNSUPPORTED, 405.
func (e *MethodError) Unwrap() error { return oci.Errorf(oci.CodeUnsupported, "%s", e.Error()) }

// Parse reads a request line. Errors: ROUTE_UNKNOWN, UNSUPPORTED
// (a *MethodError), NAME_INVALID, DIGEST_INVALID, MANIFEST_INVALID,
// BLOB_UPLOAD_UNKNOWN, REQUEST_INVALID; the message names the parameter.
func Parse(method string, u *url.URL) (Request, error) {
	if raw := strings.ToLower(u.RawPath); strings.Contains(raw, "%2f") || strings.Contains(raw, "%2e") {
		return Request{}, oci.Errorf(oci.CodeRequestInvalid, "the path holds an encoded '/' or '.': send it as it is")
	}
	path, ok := strings.CutPrefix(u.Path, "/v2")
	if !ok || path != "" && path[0] != '/' {
		return Request{}, errRoute
	}
	if path == "" || path == "/" {
		return pick(method, Request{}, methods{"GET": Ping, "HEAD": Ping})
	}
	q, err := parseQuery(u.RawQuery)
	if err != nil {
		return Request{}, err
	}
	if path == "/_catalog" {
		r, err := pick(method, Request{}, methods{"GET": Catalog, "HEAD": Catalog})
		if err != nil {
			return r, err
		}
		return r, q.page(&r, func(s string) error { _, err := oci.ParseRepo(s); return err })
	}
	return parseRepoPath(method, strings.Split(path[1:], "/"), q)
}

var errRoute = &oci.Error{Code: oci.CodeRouteUnknown}

type methods map[string]Kind

func pick(method string, r Request, m methods) (Request, error) {
	k, ok := m[method]
	if !ok {
		e := &MethodError{Method: method}
		for _, name := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
			if _, ok := m[name]; ok {
				e.Allow = append(e.Allow, name)
			}
		}
		return r, e
	}
	r.Kind, r.N = k, NoLimit
	return r, nil
}

// parseRepoPath reads everything that lies in a repository, from the end.
func parseRepoPath(method string, seg []string, q query) (Request, error) {
	n := len(seg)
	at := func(i int) string { // i-th from the end, from 1
		if i > n {
			return ""
		}
		return seg[n-i]
	}
	switch {
	case at(3) == "blobs" && at(2) == "uploads":
		if at(1) == "" {
			return parseUploadBegin(method, seg[:n-3], q)
		}
		return parseUpload(method, seg[:n-3], at(1), q)
	case at(2) == "blobs" && at(1) == "uploads":
		return parseUploadBegin(method, seg[:n-2], q)
	case at(2) == "blobs":
		return parseBlob(method, seg[:n-2], at(1))
	case at(2) == "manifests":
		return parseManifest(method, seg[:n-2], at(1), q)
	case at(2) == "tags" && at(1) == "list":
		return parseTags(method, seg[:n-2], q)
	case at(2) == "referrers":
		return parseReferrers(method, seg[:n-2], at(1), q)
	}
	return Request{}, errRoute
}

func inRepo(method string, name []string, m methods) (Request, error) {
	if len(name) == 0 {
		return Request{}, errRoute
	}
	r, err := pick(method, Request{}, m)
	if err != nil {
		return r, err
	}
	r.Repo, err = oci.ParseRepo(strings.Join(name, "/"))
	return r, err
}

func parseBlob(method string, name []string, digest string) (Request, error) {
	r, err := inRepo(method, name, methods{"GET": BlobGet, "HEAD": BlobHead, "DELETE": BlobDelete})
	if err != nil {
		return r, err
	}
	r.Digest, err = oci.ParseDigest(digest)
	return r, err
}

func parseManifest(method string, name []string, ref string, q query) (Request, error) {
	r, err := inRepo(method, name, methods{"GET": ManifestGet, "HEAD": ManifestHead, "PUT": ManifestPut, "DELETE": ManifestDelete})
	if err != nil {
		return r, err
	}
	if r.Ref, err = oci.ParseRef(ref); err != nil || r.Kind != ManifestPut {
		return r, err
	}
	tags := q["tag"]
	if len(tags) > 0 && r.Ref.Digest == "" {
		return r, oci.Errorf(oci.CodeRequestInvalid, "the parameter tag goes with a push by digest only: put the digest in the path")
	}
	if len(tags) > maxTags {
		return r, oci.Errorf(oci.CodeRequestInvalid, "%d tag parameters, %d are allowed in one push", len(tags), maxTags)
	}
	for _, s := range tags {
		t, err := oci.ParseTag(s)
		if err != nil {
			return r, err
		}
		r.Tags = append(r.Tags, t)
	}
	return r, nil
}

func parseTags(method string, name []string, q query) (Request, error) {
	r, err := inRepo(method, name, methods{"GET": TagList, "HEAD": TagList})
	if err != nil {
		return r, err
	}
	err = q.page(&r, func(s string) error { _, err := oci.ParseTag(s); return err })
	return r, err
}

func parseReferrers(method string, name []string, digest string, q query) (Request, error) {
	r, err := inRepo(method, name, methods{"GET": ReferrerList, "HEAD": ReferrerList})
	if err != nil {
		return r, err
	}
	if r.Digest, err = oci.ParseDigest(digest); err != nil {
		return r, err
	}
	if r.ArtifactType, err = q.one("artifactType"); err != nil {
		return r, err
	}
	err = q.page(&r, func(s string) error { _, err := oci.ParseDigest(s); return err })
	return r, err
}

func parseUploadBegin(method string, name []string, q query) (Request, error) {
	r, err := inRepo(method, name, methods{"POST": UploadBegin})
	if err != nil {
		return r, err
	}
	if r.Algorithm, err = q.algorithm(); err != nil {
		return r, err
	}
	mount, err := q.one("mount")
	if err != nil {
		return r, err
	}
	if mount != "" {
		r.Kind = UploadMount
		return parseMount(r, mount, q)
	}
	if q.has("digest") {
		r.Kind = UploadWhole
		r.Digest, err = q.digest()
	}
	return r, err
}

func parseMount(r Request, mount string, q query) (Request, error) {
	var err error
	if r.Digest, err = oci.ParseDigest(mount); err != nil {
		return r, err
	}
	from, err := q.one("from")
	if err != nil || from == "" {
		return r, err
	}
	r.From, err = oci.ParseRepo(from)
	return r, err
}

func parseUpload(method string, name []string, id string, q query) (Request, error) {
	r, err := inRepo(method, name, methods{"GET": UploadStatus, "HEAD": UploadStatus, "PATCH": UploadAppend, "PUT": UploadCommit, "DELETE": UploadCancel})
	if err != nil {
		return r, err
	}
	if !validUploadID(id) {
		return r, oci.ErrBlobUploadUnknown
	}
	r.Upload = id
	if r.Kind == UploadCommit {
		if !q.has("digest") {
			return r, oci.Errorf(oci.CodeDigestInvalid, "the parameter digest is missing: end the upload with ?digest=<digest of the whole blob>")
		}
		r.Digest, err = q.digest()
	}
	return r, err
}

func validUploadID(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return len(s) <= 128
}

// query is what came behind '?'.
type query map[string][]string

func parseQuery(raw string) (query, error) {
	if raw == "" {
		return nil, nil
	}
	v, err := url.ParseQuery(raw)
	if err != nil {
		return nil, oci.Errorf(oci.CodeRequestInvalid, "the query is not readable: %s", oci.Clip(err.Error()))
	}
	return query(v), nil
}

func (q query) has(name string) bool { return len(q[name]) > 0 }

func (q query) one(name string) (string, error) {
	switch v := q[name]; len(v) {
	case 0:
		return "", nil
	case 1:
		return v[0], nil
	}
	return "", oci.Errorf(oci.CodeRequestInvalid, "the parameter %s occurs more than once", name)
}

func (q query) digest() (oci.Digest, error) {
	s, err := q.one("digest")
	if err != nil {
		return "", err
	}
	return oci.ParseDigest(s)
}

func (q query) algorithm() (oci.Algorithm, error) {
	s, err := q.one("digest-algorithm")
	if err != nil || s == "" {
		return "", err
	}
	return oci.ParseAlgorithm(s)
}

// page reads n and last; check is the grammar of last.
func (q query) page(r *Request, check func(string) error) error {
	n, err := q.one("n")
	if err != nil {
		return err
	}
	if n != "" {
		i, err := strconv.ParseUint(n, 10, 31)
		if err != nil {
			return oci.Errorf(oci.CodeRequestInvalid, "the parameter n is %q: it must be a number from 0 to 2147483647", oci.Clip(n))
		}
		r.N = int(i)
	}
	last, err := q.one("last")
	if err != nil || last == "" {
		return err
	}
	if err := check(last); err != nil {
		return oci.Errorf(oci.CodeRequestInvalid, "the parameter last is not the last entry of a page: %s", err.Error())
	}
	r.Last = last
	return nil
}
