package wire

import (
	"net/url"
	"strconv"
)

// Method is the HTTP method of the request.
func (r Request) Method() string {
	switch r.Kind {
	case BlobHead, ManifestHead:
		return "HEAD"
	case BlobDelete, UploadCancel, ManifestDelete:
		return "DELETE"
	case UploadBegin, UploadWhole, UploadMount:
		return "POST"
	case UploadAppend:
		return "PATCH"
	case UploadCommit, ManifestPut:
		return "PUT"
	}
	return "GET"
}

// Path is the URL's path. Nothing in it needs escaping.
func (r Request) Path() string {
	repo := "/v2/" + string(r.Repo)
	switch r.Kind {
	case BlobGet, BlobHead, BlobDelete:
		return repo + "/blobs/" + string(r.Digest)
	case UploadBegin, UploadWhole, UploadMount:
		return repo + "/blobs/uploads/"
	case UploadStatus, UploadAppend, UploadCommit, UploadCancel:
		return repo + "/blobs/uploads/" + r.Upload
	case ManifestGet, ManifestHead, ManifestPut, ManifestDelete:
		return repo + "/manifests/" + r.Ref.String()
	case TagList:
		return repo + "/tags/list"
	case ReferrerList:
		return repo + "/referrers/" + string(r.Digest)
	case Catalog:
		return "/v2/_catalog"
	}
	return "/v2/"
}

// Query is the URL's query, encoded, without '?'.
func (r Request) Query() string {
	q := url.Values{}
	set := func(k, v string) {
		if v != "" {
			q.Set(k, v)
		}
	}
	switch r.Kind {
	case UploadBegin, UploadWhole, UploadMount:
		set("digest-algorithm", string(r.Algorithm))
		if r.Kind == UploadMount {
			set("mount", string(r.Digest))
			set("from", string(r.From))
		} else {
			set("digest", string(r.Digest))
		}
	case UploadCommit:
		set("digest", string(r.Digest))
	case ManifestPut:
		for _, t := range r.Tags {
			q.Add("tag", string(t))
		}
	case TagList, ReferrerList, Catalog:
		if r.N != NoLimit {
			q.Set("n", strconv.Itoa(r.N))
		}
		set("last", r.Last)
		set("artifactType", r.ArtifactType)
	}
	return q.Encode()
}

// Target is path and query, as in a request line or a relative Location.
func (r Request) Target() string {
	if q := r.Query(); q != "" {
		return r.Path() + "?" + q
	}
	return r.Path()
}
