package crash

import (
	"context"
	"net/http"
)

// upload that was begun.
type upload struct {
	repo    string
	place   string
	content content
	life    int   // of the server that it was last seen open in
	acked   int64 // bytes that the server acknowledged
	sent    int64 // bytes that it may have at most
	ending  bool  // the request that ends it left
}

// ensure that the repository has the blob, as clients do: ask and skip, mount,
// or upload.
func (k *worker) ensure(ctx context.Context, repo string, b content) error {
	switch k.rng.IntN(4) {
	case 0, 1:
		at := key{'b', repo, b.digest}
		saw := k.w.ledger.look()
		r := request{method: http.MethodHead, target: "/v2/" + repo + "/blobs/" + b.digest}
		a, err := k.do(ctx, r)
		if err != nil {
			return err
		}
		switch a.status {
		case http.StatusOK:
			saw(at, present)
			return nil
		case http.StatusNotFound:
			saw(at, absent)
		default:
			k.unexpected(r, a)
		}
	case 2:
		return k.mount(ctx, repo, b)
	}
	return k.upload(ctx, repo, b)
}

// mount from another repository; if that has no such blob, an upload begins.
func (k *worker) mount(ctx context.Context, repo string, b content) error {
	op := k.w.ledger.begin(write{key: key{'b', repo, b.digest}, value: present})
	from := repos[k.rng.IntN(len(repos))]
	r := request{method: http.MethodPost, target: "/v2/" + repo + "/blobs/uploads/?mount=" + b.digest + "&from=" + from}
	a, err := k.do(ctx, r)
	if err != nil {
		return err
	}
	switch a.status {
	case http.StatusCreated:
		op.done()
		return nil
	case http.StatusAccepted:
		op.refused()
		return k.feed(ctx, &upload{repo: repo, place: place(a), content: b, life: k.life})
	}
	k.unexpected(r, a)
	return nil
}

func (k *worker) pushLarge(ctx context.Context, repo string) error {
	k.w.mu.Lock()
	list := k.w.larges
	k.w.mu.Unlock()
	var c content
	if len(list) < larges {
		c = k.w.content(large)
	} else {
		c = list[k.rng.IntN(len(list))]
	}
	return k.upload(ctx, repo, c)
}

// upload in one of the protocol's forms.
func (k *worker) upload(ctx context.Context, repo string, b content) error {
	if k.rng.IntN(3) == 0 {
		return k.whole(ctx, repo, b)
	}
	r := request{method: http.MethodPost, target: "/v2/" + repo + "/blobs/uploads/"}
	a, err := k.do(ctx, r)
	if err != nil {
		return err
	}
	if a.status != http.StatusAccepted {
		k.unexpected(r, a)
		return nil
	}
	return k.feed(ctx, &upload{repo: repo, place: place(a), content: b, life: k.life})
}

func (k *worker) sending(c content) func(int) {
	if c.size < large {
		return nil
	}
	return k.large
}

func (k *worker) whole(ctx context.Context, repo string, b content) error {
	op := k.w.ledger.begin(write{key: key{'b', repo, b.digest}, value: present})
	r := request{
		method: http.MethodPost, target: "/v2/" + repo + "/blobs/uploads/?digest=" + b.digest,
		kind: "application/octet-stream", body: b.bytes(), sending: k.sending(b),
	}
	a, err := k.do(ctx, r)
	if err != nil {
		return err
	}
	if a.status != http.StatusCreated {
		k.unexpected(r, a)
		return nil
	}
	op.done()
	return nil
}

// feed an open upload with what it lacks, in one piece or several, and end it;
// some are left open for somebody else, in this life or the next.
func (k *worker) feed(ctx context.Context, u *upload) error {
	form, body := k.rng.IntN(8), u.content.bytes()
	size := int64(len(body))
	step := size
	if form < 4 {
		step = max(2, size/4)
	}
	for form < 6 && u.acked < size {
		next := min(u.acked+step, size)
		if size-next == 1 {
			next = size // no chunk of one byte, see offset
		}
		if gone, err := k.patch(ctx, u, body, next); gone || err != nil {
			return err
		}
		if k.rng.IntN(12) == 0 {
			k.w.leave(u)
			return nil
		}
	}
	return k.end(ctx, u, body)
}

// patch sends the bytes up to next.
func (k *worker) patch(ctx context.Context, u *upload, body []byte, next int64) (gone bool, err error) {
	u.sent = max(u.sent, next)
	r := request{
		method: http.MethodPatch, target: u.place, kind: "application/octet-stream",
		from: u.acked, chunk: true, body: body[u.acked:next], sending: k.sending(u.content),
	}
	a, err := k.do(ctx, r)
	if err != nil {
		k.w.leave(u)
		return true, err
	}
	n, err := offset(a)
	if a.status != http.StatusAccepted || err != nil || n != next {
		k.unexpected(r, a)
		return true, nil
	}
	u.acked = n
	return false, nil
}

// end the upload with what it lacks.
func (k *worker) end(ctx context.Context, u *upload, body []byte) error {
	op := k.w.ledger.begin(write{key: key{'b', u.repo, u.content.digest}, value: present})
	u.ending, u.sent = true, int64(len(body))
	r := request{method: http.MethodPut, target: u.place + "?digest=" + u.content.digest, body: body[u.acked:], sending: k.sending(u.content)}
	if len(r.body) > 0 {
		r.kind = "application/octet-stream"
	}
	a, err := k.do(ctx, r)
	if err != nil {
		k.w.leave(u)
		return err
	}
	if a.status != http.StatusCreated || a.header.Get("Docker-Content-Digest") != u.content.digest {
		k.unexpected(r, a)
		return nil
	}
	op.done()
	return nil
}

// resume somebody's open upload, or cancel it.
func (k *worker) resume(ctx context.Context) error {
	u := k.w.take(k.rng)
	if u == nil {
		return nil
	}
	if open, err := k.stands(ctx, u); err != nil || !open {
		return err
	}
	if k.rng.IntN(4) > 0 {
		return k.feed(ctx, u)
	}
	u.ending = true
	r := request{method: http.MethodDelete, target: u.place}
	a, err := k.do(ctx, r)
	if err != nil {
		k.w.leave(u)
		return err
	}
	if a.status != http.StatusNoContent {
		k.unexpected(r, a)
	}
	return nil
}

// stands asks where the upload stands. A process that was killed loses none
// that it acknowledged, nor a byte that it acknowledged.
func (k *worker) stands(ctx context.Context, u *upload) (open bool, err error) {
	r := request{method: http.MethodGet, target: u.place}
	a, err := k.do(ctx, r)
	if err != nil {
		k.w.leave(u)
		return false, err
	}
	if a.status == http.StatusNotFound && u.ending {
		return false, nil
	}
	n, err := offset(a)
	if a.status != http.StatusNoContent || err != nil {
		k.w.fault("an open upload of life %d (%d of %d bytes acknowledged) answers in life %d: %d %s (%v)",
			u.life, u.acked, u.content.size, k.life, a.status, a.body, err)
		return false, nil
	}
	if n < u.acked || n > u.sent {
		k.w.fault("an upload stands at %d, %d bytes were acknowledged and %d sent", n, u.acked, u.sent)
	}
	if u.life != k.life {
		k.w.resumed.Add(1)
	}
	u.acked, u.sent, u.life = n, max(n, u.sent), k.life
	return true, nil
}
