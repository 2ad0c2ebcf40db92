package database

import (
	"slices"
	"strings"
)

// Statements is every text that this package runs, so that an engine can
// check them all.
func Statements() []string {
	all := []string{
		repositoryByName, addRepository, repositoryPage,
		manifestByTag, manifestByDigest, tagPage, referrerPage, referrerPageOfType,
		manifestPlace, contentByDigest, addContent, addManifest, addTag,
		deleteTag, deleteTagsOf, deleteBlobsOf, deleteChildrenOf, deleteManifest, deleteContent,
		blobOfRepository, blobByDigest, addBlob, addLink, markLinked,
		linkedBlob, manifestNeeding, deleteLink, markUnlinked,
		addUpload, loadUpload, advanceUpload, uploadExists, endUpload, endUploadOf,
		usageOfOwner, usageOfAll,
		unlinkedBlobs, deleteBlob, abandonedUploads,
	}
	for _, l := range []listed{linkManifestBlobs, linkedOf, linkManifestChildren, childrenOf, blobKeys, namedKeys} {
		for _, size := range chunkSizes {
			all = append(all, l.texts[size])
		}
	}
	return all
}

// chunkSizes are the lengths that lists of values are passed in. A fixed few
// keep the number of prepared statements small.
var chunkSizes = []int{4, 16, 64, 256}

// listed is a statement with lists of values at its end, as one text per
// chunk size. Several lists of one statement are given the same values.
type listed struct {
	texts map[int]string
	lists int
}

// newListed replaces every "(*)" of the format with a list of placeholders.
func newListed(format string) listed {
	l := listed{texts: make(map[int]string, len(chunkSizes)), lists: strings.Count(format, "(*)")}
	for _, size := range chunkSizes {
		l.texts[size] = strings.ReplaceAll(format, "(*)", "("+strings.Repeat("?,", size-1)+"?)")
	}
	return l
}

// each calls run with a text and its arguments (first, then the lists) until
// all values were passed. A chunk that is not full repeats its last value,
// which changes nothing in an IN list.
func each[T ~string](l listed, first []any, values []T, run func(text string, args []any) error) error {
	for len(values) > 0 {
		size := chunkSizes[len(chunkSizes)-1]
		if i := slices.IndexFunc(chunkSizes, func(s int) bool { return s >= len(values) }); i >= 0 {
			size = chunkSizes[i]
		}
		n := min(size, len(values))
		args := append(make([]any, 0, len(first)+size*l.lists), first...)
		for i := range size * l.lists {
			args = append(args, string(values[min(i%size, n-1)]))
		}
		if err := run(l.texts[size], args); err != nil {
			return err
		}
		values = values[n:]
	}
	return nil
}
