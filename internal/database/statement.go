package database

import (
	"slices"
	"strings"
)

// Statements is every text that this package runs, so that an engine can
// check them all.
func Statements() []string {
	all := []string{
		repositoryByName, addRepository, repositoryPage, repositoryPageBetween,
		manifestByTag, manifestByDigest, tagPage, referrerPage, referrerPageOfType,
		manifestPlace, contentByDigest, addContent, addManifest, touchManifest,
		tagTarget, addTag, addMove, movePage, movePageOfTag, oldMoves, deleteOldMove,
		blobOfRepository, blobByDigest, addBlob, replaceBlob, addLink, markLinked,
		linkedBlob, manifestNeeding, deleteLink, markUnlinked,
		addUpload, loadUpload, advanceUpload, uploadExists, endUpload, endUploadOf,
		usageOfOwner, usageOfAll,
		unlinkedBlobs, deleteBlob, abandonedUploads,
		addEntry, countEntry, addEntryRepository, addTrashTag, deleteTag, parentsOf,
		repositoriesBetween, manifestsOf, loneLinks, deleteLinksOf, endUploadsInto, deleteRepository,
		entryPage, entryPageOfNamespace, entryPageOfRepository,
		entryPageOfTag, entryPageOfTagInNamespace, entryPageOfTagInRepository,
		entryPageOfDigest, entryPageOfDigestInNamespace, entryPageOfDigestInRepository,
		entriesBefore, purgeEntry, purgedEntry, heldByEntry, deleteSomeTags, deleteSomeRepositories,
		deleteEntryRepositories, deleteEntry,
		repositoriesInEntry, manifestsInEntry, tagsInEntry, trashedManifest,
		noteTagsBack, bringTags, deleteTagsBack, deleteTrashTag,
		linkPage, linkByID, deleteUnneeded, notePull, waitingUploads, waitingBlobs, waitingEntries,
		newestManifest, untaggedBetween, liveSubject,
		blobPage, keyPage, manifestPage, trashedManifestPage, markDamaged, markGood,
		countBlobs, countManifests, countTrashedManifests,
		entryPageOfOwner, trashedPlace, dropTagCount, dropCounts,
	}
	all = append(all, directoryStatements()...)
	all = append(all, overviewStatements()...)
	for _, l := range []listed{
		linkManifestBlobs, linkedOf, linkManifestChildren, childrenOf, blobKeys, namedKeys,
		trashManifests, trashBlobs, trashChildren, trashTags, noteTagsGone,
		deleteTagsOf, deleteBlobsOf, deleteChildrenOf, deleteManifests, untaggedReferrers,
		entries, letGo, deleteContents, blobIDsOfTrashed,
		bringLinks, bringManifests, bringBlobs, bringChildren, lostChildren, trashedReferrers,
		deleteTrashBlobs, deleteTrashChildren, deleteTrashManifests,
		untaggedChildren, manifestsByID, trashedManifestsByID, blobsOf, blobsOfTrashed,
		dropTagCounts, dropDigestCounts, manifestSizes, liveChildren, blobSizes, manifestTags,
	} {
		for _, size := range chunkSizes {
			all = append(all, l.texts[size])
		}
	}
	return all
}

func directoryStatements() []string {
	all := []string{
		raiseCounter, accountByName, accountByID, accountPage, addAccount, anyNamespaceOf, removeAccount,
		namespaceByName, namespaceThere, namespacePage, namespacePageOfAccount, writeNamespace, setNamespace,
		removeNamespace, unremoveNamespace, adoptEntries, namespaceState, tagsOf,
		tokenByID, tokenByRequest, addToken, rotateToken, revokeToken, revokeTokensOf, revokeTokensOfKey,
		endFormerOfKey, tokensOfKey, formerOfKey, forgetTokens,
		counterNow, accountsChanged, namespacesChanged, tokensChanged, tokensChangedSince,
		addLine, pruneLines, firstLineSince, lastLineUntil,
	}
	for _, s := range []search{
		allTokens, tokensByAccount, tokensByCluster, tokensByKey,
		allLines, linesOfAccount, linesOfToken, linesOfRepository, linesOfNamespace, linesOfAction,
	} {
		all = append(all, s.floor, s.page)
	}
	return all
}

func overviewStatements() []string {
	return []string{
		countRepository, countTag, countDigest, countToken, noteUse,
		repositoryNamed, providedPage, repositoriesInfo, imagesOfRepository, imagesBetween, digestInfo,
		blobNeeds, blobTrashed, contentNeeds, contentTrashed,
		repositoriesUsed, tagsUsed, manifestsUsed, blobsUsed, trashUsed,
	}
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
	return chunks(l, first, len(values), func(i int) any { return string(values[i]) }, run)
}

// eachID is each of rows' ids.
func eachID(l listed, first []any, ids []int64, run func(text string, args []any) error) error {
	return chunks(l, first, len(ids), func(i int) any { return ids[i] }, run)
}

func chunks(l listed, first []any, total int, value func(i int) any, run func(text string, args []any) error) error {
	for begin := 0; begin < total; {
		left := total - begin
		size := chunkSizes[len(chunkSizes)-1]
		if i := slices.IndexFunc(chunkSizes, func(s int) bool { return s >= left }); i >= 0 {
			size = chunkSizes[i]
		}
		n := min(size, left)
		args := append(make([]any, 0, len(first)+size*l.lists), first...)
		for i := range size * l.lists {
			args = append(args, value(begin+min(i%size, n-1)))
		}
		if err := run(l.texts[size], args); err != nil {
			return err
		}
		begin += n
	}
	return nil
}
