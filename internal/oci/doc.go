// Package oci is Fairlead's vocabulary: repositories, tags, digests,
// references, descriptors, manifests, scopes and the errors of the OCI
// Distribution protocol.
//
// Strings from outside become these types exactly once, at the door, through
// the Parse functions; everything behind the door may trust them. The package
// is pure: it performs no I/O, knows no clock, and imports neither net/http
// nor database/sql. (HTTP status numbers are plain ints here.)
//
// Sources: OCI Distribution Specification 1.1 and its main branch ("dist"),
// OCI Image Specification 1.1 ("image"), Docker image manifest V2 schema 2.
package oci
