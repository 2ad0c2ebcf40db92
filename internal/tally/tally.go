// Package tally counts pulls: per repository, tag, digest and token, how many
// and when last. Counts are gathered in memory and written every few seconds,
// so that a pull costs no write; a crash loses those of that time.
package tally

import (
	"context"
	"net/netip"
	"time"

	"fairlead.dev/fairlead/internal/oci"
)

// Pull is one, as it is seen.
type Pull struct {
	Repo   oci.Repo
	Tag    oci.Tag // "" when it was by digest
	Digest oci.Digest
	Token  string // id; "" for anonymous
	At     time.Time
}

// Use of a Fairlead token: the last one.
type Use struct {
	Token   string
	At      time.Time
	Address netip.Addr
	Client  string // the program, clipped
}

// Count of pulls since the repository was made.
type Count struct {
	Total int64
	Last  time.Time
}

// Kind of what is counted for.
type Kind string

// The kinds. The name is "" for the repository itself.
const (
	OfRepository Kind = "repository"
	OfTag        Kind = "tag"
	OfDigest     Kind = "digest"
)

// Key of a count.
type Key struct {
	Repo oci.Repo
	Kind Kind
	Name string
}

// Batch is what is written at once.
type Batch struct {
	Counts map[Key]Count
	// Tokens' pulls, by id.
	Tokens map[string]Count
	// Uses: the last of each token.
	Uses map[string]Use
}

// Store keeps counts.
type Store interface {
	// Add counts to what is there, in one transaction that need not survive a
	// power cut. Counts of repositories that are gone are dropped.
	Add(ctx context.Context, b Batch) error
}
