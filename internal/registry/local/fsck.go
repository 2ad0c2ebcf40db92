package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"fairlead.dev/fairlead/internal/blob"
	"fairlead.dev/fairlead/internal/oci"
)

const (
	fsckPage      = 1000    // rows of one statement
	fsckManifests = 64      // manifests of one statement: each may have megabytes
	fsckChunk     = 1 << 20 // bytes read at once when hashing
	mostProblems  = 1000    // that a report lists
	saveEvery     = 10 * time.Second
)

// ProblemKind is what is wrong.
type ProblemKind string

// The kinds.
const (
	MissingBytes  ProblemKind = "missing-bytes"  // a row without its bytes
	WrongSize     ProblemKind = "wrong-size"     // bytes of another length than the row says
	WrongDigest   ProblemKind = "wrong-digest"   // bytes of another digest than the row says
	WrongManifest ProblemKind = "wrong-manifest" // a manifest whose digest or references do not fit its body
	UnknownFile   ProblemKind = "unknown-file"   // bytes that nothing names, older than the grace period
	Database      ProblemKind = "database"       // the database complains of itself
)

// Problem is one thing that is not as it should be.
type Problem struct {
	Kind   ProblemKind
	Repo   oci.Repo
	Digest oci.Digest
	Key    blob.Key
	Detail string
	// Loss: content that was acknowledged is gone or wrong.
	Loss     bool
	Repaired bool
}

// FsckOptions of one fsck.
type FsckOptions struct {
	// Rehash reads every blob, from the row after From on, at most Rate bytes
	// a second (0: no limit). Save is told now and then how far it came, and
	// at the end 0.
	Rehash bool
	From   int64
	Rate   int64
	Save   func(row int64) error
	// Repair does what is safe: keys that nothing names go, and blobs whose
	// bytes are lost are marked, so that the next push heals them.
	Repair   bool
	Progress Progress
}

// FsckReport is what was looked at and found.
type FsckReport struct {
	Blobs, Manifests, Files, Rehashed int64
	Bytes                             int64 // of all blobs
	Problems                          []Problem
	Found, Lost, Repaired             int64
}

// Fsck checks that every row has its bytes, every key its row, and that
// manifests say what the catalog knows of them. Pushes and pulls go on; sweeps
// wait. It holds one page of rows in memory.
func (r *Registry) Fsck(ctx context.Context, o FsckOptions) (FsckReport, error) {
	r.upkeep.Lock()
	defer r.upkeep.Unlock()
	f := &fsck{Registry: r, opts: o}
	var err error
	if f.blobs, f.manifests, err = r.o.Inspection.Counts(ctx); err != nil {
		return f.report, fmt.Errorf("count rows: %w", err)
	}
	steps := []func(context.Context) error{f.database, f.checkBlobs, f.checkManifests, f.checkFiles}
	if o.Rehash {
		steps = append(steps, f.rehash)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return f.report, err
		}
	}
	return f.report, nil
}

type fsck struct {
	*Registry
	opts             FsckOptions
	report           FsckReport
	blobs, manifests int64
}

func (f *fsck) found(p Problem) {
	f.report.Found++
	if p.Loss {
		f.report.Lost++
	}
	if p.Repaired {
		f.report.Repaired++
	}
	if len(f.report.Problems) < mostProblems {
		f.report.Problems = append(f.report.Problems, p)
	}
}

func (f *fsck) database(ctx context.Context) error {
	f.opts.Progress.tell("database", 0, 0, 0)
	complaints, err := f.o.Inspection.Integrity(ctx)
	if err != nil {
		return fmt.Errorf("ask the database for its integrity: %w", err)
	}
	for _, c := range complaints {
		f.found(Problem{Kind: Database, Detail: c, Loss: true})
	}
	return nil
}

// eachBlob walks the rows above after.
func (f *fsck) eachBlob(ctx context.Context, after int64, check func(BlobCheck) error) error {
	for {
		page, err := f.o.Inspection.BlobRows(ctx, after, fsckPage)
		if err != nil {
			return fmt.Errorf("read blob rows: %w", err)
		}
		for _, b := range page {
			if err := check(b); err != nil {
				return err
			}
			after = b.ID
		}
		if len(page) < fsckPage {
			return nil
		}
	}
}

func (f *fsck) checkBlobs(ctx context.Context) error {
	return f.eachBlob(ctx, 0, func(b BlobCheck) error {
		f.report.Blobs++
		f.report.Bytes += b.Size
		if f.report.Blobs%fsckPage == 0 {
			f.opts.Progress.tell("blobs", f.report.Blobs, f.blobs, 0)
		}
		size, err := f.o.Blobs.Size(ctx, b.Key)
		switch {
		case errors.Is(err, blob.ErrNotFound):
			return f.damaged(ctx, b, Problem{Kind: MissingBytes, Detail: "the file is gone"})
		case err != nil:
			return fmt.Errorf("look at key %s: %w", b.Key, err)
		case size != b.Size:
			return f.damaged(ctx, b, Problem{Kind: WrongSize, Detail: fmt.Sprintf("%d bytes instead of %d", size, b.Size)})
		}
		return nil
	})
}

// damaged reports a blob that is lost and, if asked to, marks it.
func (f *fsck) damaged(ctx context.Context, b BlobCheck, p Problem) error {
	p.Digest, p.Key, p.Loss = b.Digest, b.Key, true
	if f.opts.Repair && !b.Damaged {
		if err := f.mark(ctx, b.BlobRow, true); err != nil {
			return err
		}
		p.Detail += "; marked: the next push of this blob heals it"
	}
	f.found(p)
	return nil
}

func (f *fsck) mark(ctx context.Context, row BlobRow, damaged bool) error {
	if err := f.o.Inspection.MarkDamaged(ctx, []BlobRow{row}, damaged); err != nil {
		return fmt.Errorf("mark blob %s: %w", row.Digest, err)
	}
	f.cache.forgetAll()
	return nil
}

func (f *fsck) checkManifests(ctx context.Context) error {
	for _, trashed := range []bool{false, true} {
		for after := int64(0); ; {
			page, err := f.o.Inspection.ManifestRows(ctx, trashed, after, fsckManifests)
			if err != nil {
				return fmt.Errorf("read manifest rows: %w", err)
			}
			for _, m := range page {
				f.checkManifest(m)
				after = m.ID
			}
			f.opts.Progress.tell("manifests", f.report.Manifests, f.manifests, 0)
			if len(page) == 0 { // a page may be short before the end
				break
			}
		}
	}
	return nil
}

func (f *fsck) checkManifest(m ManifestCheck) {
	f.report.Manifests++
	bad := func(format string, args ...any) {
		f.found(Problem{Kind: WrongManifest, Repo: m.Repo, Digest: m.Digest, Detail: fmt.Sprintf(format, args...), Loss: true})
	}
	if sum := oci.DigestOf(m.Digest.Algorithm(), m.Bytes); sum != m.Digest {
		bad("its bytes have the digest %s", sum)
		return
	}
	_, content, err := oci.ParseManifest(m.Type, m.Bytes)
	if err != nil {
		bad("it is no manifest of the type %s: %v", m.Type, err)
		return
	}
	for _, d := range content.Blobs {
		if !slices.Contains(m.Blobs, d.Digest) {
			bad("it names the blob %s, which is not held for it", d.Digest)
		}
	}
}

func (f *fsck) checkFiles(ctx context.Context) error {
	before := f.o.Now().Add(-f.o.Grace)
	return f.unknownKeys(ctx, before, func(keys []blob.Key) error {
		for _, key := range keys {
			p := Problem{Kind: UnknownFile, Key: key, Detail: "nothing names it"}
			if f.opts.Repair {
				if err := f.o.Blobs.Delete(ctx, key); err != nil {
					return fmt.Errorf("remove key %s: %w", key, err)
				}
				p.Repaired = true
			}
			f.found(p)
		}
		return nil
	}, func(seen int64) error {
		f.report.Files = seen
		f.opts.Progress.tell("files", seen, max(f.blobs, seen), 0)
		return nil
	})
}

// rehash reads every blob. It can be stopped and goes on from the row that was
// saved last.
func (f *fsck) rehash(ctx context.Context) error {
	limit := rate.NewLimiter(rate.Inf, fsckChunk)
	if f.opts.Rate > 0 {
		limit = rate.NewLimiter(rate.Limit(f.opts.Rate), max(fsckChunk, int(min(f.opts.Rate, 1<<30))))
	}
	buf := make([]byte, fsckChunk)
	saved := f.o.Now()
	var read int64
	err := f.eachBlob(ctx, f.opts.From, func(b BlobCheck) error {
		n, err := f.rehashOne(ctx, b, buf, limit)
		if err != nil {
			return err
		}
		read += n
		f.report.Rehashed++
		f.opts.Progress.tell("digests", f.report.Rehashed, f.blobs, read)
		if f.o.Now().Sub(saved) < saveEvery {
			return nil
		}
		saved = f.o.Now()
		return f.save(b.ID)
	})
	if err != nil {
		return err
	}
	return f.save(0)
}

func (f *fsck) save(row int64) error {
	if f.opts.Save == nil {
		return nil
	}
	return f.opts.Save(row)
}

func (f *fsck) rehashOne(ctx context.Context, b BlobCheck, buf []byte, limit *rate.Limiter) (int64, error) {
	file, err := f.o.Blobs.Open(ctx, b.Key, 0, -1)
	if errors.Is(err, blob.ErrNotFound) {
		return 0, nil // was reported with the rows
	}
	if err != nil {
		return 0, fmt.Errorf("read blob %s: %w", b.Digest, err)
	}
	h := b.Digest.Algorithm().New()
	n, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{&limited{ctx, file, limit}}, buf)
	if cerr := ctx.Err(); cerr != nil {
		return n, errors.Join(cerr, file.Close())
	}
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	sum := oci.SumOf(b.Digest.Algorithm(), h)
	switch {
	case err != nil:
		return n, f.damaged(ctx, b, Problem{Kind: WrongDigest, Detail: "its bytes cannot be read: " + err.Error()})
	case sum != b.Digest:
		return n, f.damaged(ctx, b, Problem{Kind: WrongDigest, Detail: "its bytes have the digest " + string(sum)})
	case b.Damaged:
		return n, f.mark(ctx, b.BlobRow, false)
	}
	return n, nil
}

// limited reads no faster than the limiter allows.
type limited struct {
	ctx   context.Context //nolint:containedctx // io.Reader has no parameter for it; it lives for one blob
	from  io.Reader
	limit *rate.Limiter
}

func (l *limited) Read(p []byte) (int, error) {
	p = p[:min(len(p), fsckChunk)]
	if err := l.limit.WaitN(l.ctx, len(p)); err != nil {
		return 0, fmt.Errorf("wait for the rate limit: %w", err)
	}
	return l.from.Read(p)
}
