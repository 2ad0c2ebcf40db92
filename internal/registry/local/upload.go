package local

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"fairlead.dev/fairlead/internal/blob"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
)

const (
	// stride is how many bytes of one request are received before the row
	// moves on: what a crash of the server costs the client at most.
	stride = 64 << 20
	// checkEvery is how often a running upload asks for room and limits.
	checkEvery = 16 << 20
	// tidyTime bounds the bookkeeping after a client has gone.
	tidyTime = 10 * time.Second
)

// upload implements registry.Upload. The hash is kept between Append and
// Commit of one request, and in the row between requests.
type upload struct {
	r    *Registry
	row  UploadRow
	hash hash.Hash
	once bool // begins and ends within one request: there is no row
}

// Upload implements registry.Writer.
func (r *Registry) Upload(ctx context.Context, repo oci.Repo, s registry.Session) (registry.Upload, error) {
	if s.ID != "" {
		row, err := r.o.Uploads.Load(ctx, repo, s.Owner, s.ID)
		if err != nil {
			return nil, fmt.Errorf("upload %s into %s: %w", s.ID, repo, err)
		}
		return &upload{r: r, row: row}, nil
	}
	if err := r.room(ctx); err != nil {
		return nil, err
	}
	algorithm := s.Algorithm
	if algorithm == "" {
		algorithm = oci.SHA256
	}
	row := UploadRow{
		ID: rand.Text(), Repo: repo, Owner: s.Owner, Key: blob.NewKey(),
		Algorithm: algorithm, Epoch: r.epoch, Updated: r.o.Now(),
	}
	u := &upload{r: r, row: row, hash: algorithm.New(), once: s.OneRequest}
	if u.once {
		r.load.hold(row.Key)
		return u, nil
	}
	others, begun := r.load.begin(s.Owner)
	defer begun()
	if err := r.mayOpen(ctx, s.Owner, others); err != nil {
		return nil, err
	}
	var err error
	if u.row.Hash, err = marshal(u.hash); err != nil {
		return nil, err
	}
	if err := r.o.Uploads.Begin(ctx, u.row); err != nil {
		return nil, fmt.Errorf("begin an upload into %s: %w", repo, err)
	}
	return u, nil
}

// mayOpen checks the limits of the owner, of whom others more uploads are
// being begun at this moment.
func (r *Registry) mayOpen(ctx context.Context, owner string, others int) error {
	l := r.o.Limits
	if l.OpenUploads <= 0 && l.UnfinishedBytes <= 0 {
		return nil
	}
	use, err := r.o.Uploads.Usage(ctx, owner)
	if err != nil {
		return fmt.Errorf("count open uploads: %w", err)
	}
	if l.OpenUploads > 0 && use.Uploads+others >= l.OpenUploads {
		return oci.Errorf(oci.CodeTooManyRequests, "%d uploads of this token are open, no more are allowed: end or cancel some (max-open-uploads)", l.OpenUploads)
	}
	if l.UnfinishedBytes > 0 && use.Bytes >= l.UnfinishedBytes {
		return tooMuchUnfinished(use.Bytes)
	}
	return nil
}

func tooMuchUnfinished(n int64) error {
	return oci.Errorf(oci.CodeTooManyRequests, "%d bytes of this token lie in unfinished uploads, no more are allowed: end or cancel some (max-unfinished-bytes)", n)
}

func (u *upload) ID() string      { return u.row.ID }
func (u *upload) Offset() int64   { return u.row.Offset }
func (u *upload) MinChunk() int64 { return 0 }

// Close implements registry.Upload. By now a key that is a blob's has its row.
func (u *upload) Close() error {
	if u.once {
		u.r.load.release(u.row.Key)
	}
	return nil
}

// Append implements registry.Upload.
func (u *upload) Append(ctx context.Context, offset int64, body io.Reader) error {
	done, err := u.r.load.turn(ctx, u.row.ID)
	if err != nil {
		return err
	}
	defer done()
	if err := u.resume(ctx); err != nil {
		return err
	}
	if offset != u.row.Offset {
		return &registry.OffsetError{ID: u.row.ID, Offset: u.row.Offset, Sent: offset}
	}
	if err := u.r.room(ctx); err != nil {
		return err
	}
	if err := u.r.load.enter(u.row.Owner, u.row.Key, u.r.o.Limits.ConcurrentUploads); err != nil {
		return err
	}
	in := &intake{ctx: ctx, u: u, body: body, size: u.row.Offset}
	defer func() { u.r.load.leave(u.row.Owner, u.row.Key, in.flying) }()
	if !u.once {
		// Here too, or many small requests would pass the limit unseen.
		if err := in.checkUnfinished(u.r.load.grow(u.row.Owner, 0)); err != nil {
			return err
		}
	}
	for {
		got, err := u.receive(ctx, in)
		if err != nil || got < stride {
			return u.settle(ctx, err)
		}
	}
}

// receive stores one stride and moves the row on.
func (u *upload) receive(ctx context.Context, in *intake) (int64, error) {
	before := u.row.Offset
	end, err := u.r.o.Blobs.Append(ctx, u.row.Key, before, io.LimitReader(in, stride))
	if errors.Is(err, blob.ErrFull) {
		err = diskFull(fmt.Sprintf("the upload stands at byte %d, go on", end), err)
	}
	if errors.Is(err, blob.ErrSealed) {
		return 0, u.whole(ctx, in, end, err)
	}
	err = u.unlessSwept(ctx, err)
	if end < before {
		lost := fmt.Errorf("the store holds %d bytes of upload %s, %d were acknowledged", end, u.row.ID, before)
		return 0, errors.Join(lost, err, u.drop(ctx))
	}
	if end != in.size {
		// A failed write: the store holds less than was hashed.
		h, rerr := u.rehash(context.WithoutCancel(ctx), u.row.Algorithm, end)
		if rerr != nil {
			return 0, errors.Join(err, rerr, u.drop(ctx))
		}
		u.hash = h
		in.takeBack(in.size - end)
		in.size = end
	}
	if u.once {
		u.row.Offset = end
		return end - before, err
	}
	return end - before, errors.Join(err, u.advance(ctx, end, in))
}

// whole lets an upload go on whose bytes a commit has sealed before the server
// died, if the row counts all of them and the client has no more to send: then
// only the commit is missing.
func (u *upload) whole(ctx context.Context, in *intake, end int64, sealed error) error {
	if end == u.row.Offset {
		switch _, err := io.ReadFull(in, make([]byte, 1)); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err // the client is gone, and may come back
		}
	}
	return errors.Join(notSurvived(), sealed, u.abandon(ctx))
}

func diskFull(then string, cause error) error {
	return oci.Errorf(oci.CodeStorageFull, "the registry's disk is full: %s when the operator has made room", then).WithCause(cause)
}

// advance moves the row to what the store holds, also when the client is gone.
func (u *upload) advance(ctx context.Context, end int64, in *intake) error {
	if end == u.row.Offset {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTime)
	defer cancel()
	next := u.row
	var err error
	if next.Hash, err = marshal(u.hash); err != nil {
		return err
	}
	next.Offset, next.Epoch, next.Updated = end, u.r.epoch, u.r.o.Now()
	if err := u.r.o.Uploads.Advance(ctx, next, u.row.Offset); err != nil {
		return fmt.Errorf("advance upload %s to byte %d: %w", u.row.ID, end, err)
	}
	u.r.load.grow(u.row.Owner, -in.flying)
	in.flying = 0
	u.row = next
	return nil
}

// settle ends an Append: an upload that cannot go on is dropped.
func (u *upload) settle(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var e *oci.Error
	if u.once || errors.As(err, &e) && e.Code == oci.CodeBlobTooLarge {
		return errors.Join(err, u.drop(ctx))
	}
	return err
}

// Commit implements registry.Upload.
func (u *upload) Commit(ctx context.Context, digest oci.Digest) (oci.Descriptor, error) {
	done, err := u.r.load.turn(ctx, u.row.ID)
	if err != nil {
		return oci.Descriptor{}, err
	}
	defer done()
	if err := u.resume(ctx); err != nil {
		return oci.Descriptor{}, err
	}
	if u.row.Offset == 0 {
		if _, err := u.r.o.Blobs.Append(ctx, u.row.Key, 0, bytes.NewReader(nil)); err != nil {
			return oci.Descriptor{}, u.unsealed(ctx, digest, err)
		}
	}
	sum := oci.SumOf(u.row.Algorithm, u.hash)
	if digest.Algorithm() != u.row.Algorithm {
		h, err := u.rehash(ctx, digest.Algorithm(), u.row.Offset)
		if err != nil {
			return oci.Descriptor{}, err
		}
		sum = oci.SumOf(digest.Algorithm(), h)
	}
	if sum != digest {
		bad := oci.Errorf(oci.CodeDigestInvalid, "the %d bytes received have the digest %s, not %s: upload the blob again", u.row.Offset, sum, digest)
		return oci.Descriptor{}, errors.Join(bad, u.discard(ctx))
	}
	return u.link(ctx, digest)
}

// link seals the bytes and makes them a blob of the repository.
func (u *upload) link(ctx context.Context, digest oci.Digest) (oci.Descriptor, error) {
	if err := u.r.o.Blobs.Seal(ctx, u.row.Key); err != nil {
		return oci.Descriptor{}, u.unsealed(ctx, digest, err)
	}
	id := u.row.ID
	if u.once {
		id = ""
	}
	defer u.r.cache.forgetBlob(u.row.Repo, digest)
	// A link that is there already may keep its old date, see LinkBlob.
	u.r.lease(digest)
	mine := BlobRow{Digest: digest, Size: u.row.Offset, Key: u.row.Key}
	row, err := u.r.o.Catalog.LinkBlob(ctx, u.row.Repo, mine, id)
	if err != nil {
		// Whether the row was written may be unknown (a lost commit): the
		// bytes stay, and the sweep removes them if nobody names them.
		return oci.Descriptor{}, fmt.Errorf("link blob %s into %s: %w", digest, u.row.Repo, err)
	}
	if row.Key != mine.Key {
		if err := u.r.o.Blobs.Delete(ctx, mine.Key); err != nil {
			u.r.o.Log.WarnContext(ctx, "a second copy of a blob stays until the sweep", "key", mine.Key, "error", err)
		}
	}
	return oci.Descriptor{Digest: digest, Size: row.Size}, nil
}

// unsealed ends an upload whose bytes the store could not make durable: it may
// have lost them, so that the client must not be left to try the same again.
func (u *upload) unsealed(ctx context.Context, digest oci.Digest, err error) error {
	if ctx.Err() != nil && !u.once {
		return fmt.Errorf("seal blob %s: %w", digest, err) // the client is gone, and may come back
	}
	if errors.Is(err, blob.ErrFull) {
		err = diskFull("upload the blob again", err)
	}
	err = u.unlessSwept(ctx, err)
	return errors.Join(fmt.Errorf("seal blob %s: %w", digest, err), u.drop(ctx))
}

// unlessSwept makes the error of bytes that are gone that of an unknown
// upload, if its row is gone as well: it was abandoned until this moment, and
// the sweep came first.
func (u *upload) unlessSwept(ctx context.Context, err error) error {
	if u.once || !errors.Is(err, blob.ErrNotFound) {
		return err
	}
	_, unknown := u.r.o.Uploads.Load(context.WithoutCancel(ctx), u.row.Repo, u.row.Owner, u.row.ID)
	return errors.Join(unknown, err)
}

// Cancel implements registry.Upload.
func (u *upload) Cancel(ctx context.Context) error {
	done, err := u.r.load.turn(ctx, u.row.ID)
	if err != nil {
		return err
	}
	defer done()
	if !u.once {
		if _, err := u.r.o.Uploads.Load(ctx, u.row.Repo, u.row.Owner, u.row.ID); err != nil {
			return err
		}
	}
	return u.discard(ctx)
}

// discard ends an upload that the client gave up, or got wrong.
func (u *upload) discard(ctx context.Context) error {
	_, err := u.r.o.Blobs.Append(ctx, u.row.Key, u.row.Offset, bytes.NewReader(nil))
	if errors.Is(err, blob.ErrSealed) {
		return u.abandon(ctx)
	}
	return u.drop(ctx)
}

// drop forgets the upload, row first: a key without a row is the sweep's.
func (u *upload) drop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTime)
	defer cancel()
	if !u.once {
		if err := u.r.o.Uploads.End(ctx, u.row.ID); err != nil {
			return fmt.Errorf("end upload %s: %w", u.row.ID, err)
		}
	}
	if err := u.r.o.Blobs.Delete(ctx, u.row.Key); err != nil {
		return fmt.Errorf("delete the bytes of upload %s: %w", u.row.ID, err)
	}
	return nil
}

// resume brings row and hash to where the upload stands. Bytes that another
// life of the server received are hashed again: a power cut may have taken
// some that the row counts.
func (u *upload) resume(ctx context.Context) error {
	if u.once {
		return nil
	}
	row, err := u.r.o.Uploads.Load(ctx, u.row.Repo, u.row.Owner, u.row.ID)
	if err != nil {
		return err
	}
	if u.hash != nil && row.Offset == u.row.Offset && row.Epoch == u.r.epoch {
		return nil
	}
	u.row = row
	u.hash = row.Algorithm.New()
	if row.Offset == 0 {
		return nil
	}
	if row.Epoch == u.r.epoch {
		return unmarshal(u.hash, row.Hash)
	}
	h, err := u.rehash(ctx, row.Algorithm, row.Offset)
	if err != nil && !errors.Is(err, blob.ErrNotFound) {
		return err
	}
	if err == nil {
		state, err := marshal(h)
		if err != nil {
			return err
		}
		if bytes.Equal(state, row.Hash) {
			u.hash = h
			// Once is enough: the next request need not read all of it again.
			u.row.Epoch = u.r.epoch
			return u.r.o.Uploads.Advance(ctx, u.row, row.Offset)
		}
	}
	return errors.Join(notSurvived(), u.drop(ctx))
}

func notSurvived() error {
	return oci.Errorf(oci.CodeBlobUploadUnknown, "the upload did not survive a failure of the server: start it again")
}

// abandon forgets an upload whose bytes are sealed, which a crash between the
// seal and the end of its row has left. The bytes stay for the sweep: it may be
// unknown whether a commit named them.
func (u *upload) abandon(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTime)
	defer cancel()
	if err := u.r.o.Uploads.End(ctx, u.row.ID); err != nil {
		return fmt.Errorf("end upload %s: %w", u.row.ID, err)
	}
	return nil
}

// rehash reads back the first n bytes that the store holds of the upload.
func (u *upload) rehash(ctx context.Context, a oci.Algorithm, n int64) (hash.Hash, error) {
	f, err := u.r.o.Blobs.Open(ctx, u.row.Key, 0, n)
	if err != nil {
		return nil, fmt.Errorf("read back upload %s: %w", u.row.ID, err)
	}
	h := a.New()
	_, err = io.CopyN(h, reading(ctx, f), n)
	if err = errors.Join(err, f.Close()); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read back upload %s: %w", u.row.ID, err)
	}
	return h, nil
}

// reading stops when ctx ends: for a client that is gone, gigabytes need not
// be read back.
func reading(ctx context.Context, r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(p)
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// intake hashes and counts what arrives, and stops it at the limits.
type intake struct {
	ctx    context.Context //nolint:containedctx // io.Reader has no parameter for it; the intake lives for one Append
	u      *upload
	body   io.Reader
	size   int64 // of the upload, with what was read
	flying int64 // bytes that no row counts yet
	since  int64 // bytes since the last check
}

func (in *intake) Read(p []byte) (int, error) {
	n, err := in.body.Read(p)
	if n <= 0 {
		return n, err
	}
	limit := in.u.r.o.Limits.BlobBytes
	if limit > 0 && in.size+int64(n) > limit {
		return 0, oci.Errorf(oci.CodeBlobTooLarge, "the blob is larger than the %d bytes this registry accepts (max-blob-size): make the layer smaller", limit)
	}
	in.flying += int64(n)
	in.since += int64(n)
	sum := in.u.r.load.grow(in.u.row.Owner, int64(n))
	if in.since >= checkEvery {
		in.since = 0
		if err := in.check(sum); err != nil {
			in.takeBack(int64(n))
			return 0, err
		}
	}
	in.u.hash.Write(p[:n])
	in.size += int64(n)
	return n, err
}

// takeBack uncounts bytes that were read but not stored.
func (in *intake) takeBack(n int64) {
	in.flying -= n
	in.u.r.load.grow(in.u.row.Owner, -n)
}

func (in *intake) check(flying int64) error {
	if err := in.u.r.room(in.ctx); err != nil {
		return err
	}
	return in.checkUnfinished(flying)
}

// checkUnfinished compares what the owner's rows count, and what flies, with
// the limit.
func (in *intake) checkUnfinished(flying int64) error {
	limit := in.u.r.o.Limits.UnfinishedBytes
	if limit <= 0 {
		return nil
	}
	use, err := in.u.r.o.Uploads.Usage(in.ctx, in.u.row.Owner)
	if err != nil {
		return fmt.Errorf("count unfinished bytes: %w", err)
	}
	if use.Bytes+flying >= limit {
		return tooMuchUnfinished(use.Bytes + flying)
	}
	return nil
}

func marshal(h hash.Hash) ([]byte, error) {
	m, ok := h.(encoding.BinaryMarshaler)
	if !ok {
		return nil, errors.New("the hash cannot be remembered")
	}
	return m.MarshalBinary()
}

func unmarshal(h hash.Hash, state []byte) error {
	m, ok := h.(encoding.BinaryUnmarshaler)
	if !ok {
		return errors.New("the hash cannot be remembered")
	}
	if err := m.UnmarshalBinary(state); err != nil {
		return fmt.Errorf("resume the hash: %w", err)
	}
	return nil
}
