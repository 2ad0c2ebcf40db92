package tally

import (
	"context"
	"log/slog"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"fairlead.dev/fairlead/internal/oci"
)

const (
	// writeEvery is how often counts are written.
	writeEvery = 5 * time.Second
	// mostKeys bounds the memory of one interval; a pull beyond is not
	// counted.
	mostKeys = 100_000
	// lookAhead: clients ask for a tag's digest (HEAD) and then fetch the
	// digest; within this time that is a pull of the tag.
	lookAhead = time.Minute
	lookups   = 8192
	lastWrite = 10 * time.Second
)

// Recorder gathers pulls and uses of tokens.
type Recorder struct {
	store Store
	log   *slog.Logger

	mu    sync.Mutex
	batch Batch
	heads *lru.Cache[head, looked]
}

// head is who looked up which digest.
type head struct {
	token  string
	repo   oci.Repo
	digest oci.Digest
}

type looked struct {
	tag oci.Tag
	at  time.Time
}

// NewRecorder makes a Recorder; Run writes what it gathers.
func NewRecorder(store Store, log *slog.Logger) *Recorder {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	heads, _ := lru.New[head, looked](lookups) // fails for sizes < 1 only
	return &Recorder{store: store, log: log, batch: empty(), heads: heads}
}

func empty() Batch {
	return Batch{Counts: map[Key]Count{}, Tokens: map[string]Count{}, Uses: map[string]Use{}}
}

// Looked notes that a tag was resolved, which is no pull yet.
func (r *Recorder) Looked(p Pull) {
	if p.Tag != "" {
		r.heads.Add(head{p.Token, p.Repo, p.Digest}, looked{p.Tag, p.At})
	}
}

// Pulled counts one.
func (r *Recorder) Pulled(p Pull) {
	if p.Tag == "" {
		at := head{p.Token, p.Repo, p.Digest}
		if l, ok := r.heads.Get(at); ok {
			r.heads.Remove(at)
			if p.At.Sub(l.at) < lookAhead {
				p.Tag = l.tag
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.batch.Counts) >= mostKeys {
		return
	}
	r.count(Key{p.Repo, OfRepository, ""}, p.At)
	r.count(Key{p.Repo, OfDigest, string(p.Digest)}, p.At)
	if p.Tag != "" {
		r.count(Key{p.Repo, OfTag, string(p.Tag)}, p.At)
	}
	if p.Token != "" {
		c := r.batch.Tokens[p.Token]
		r.batch.Tokens[p.Token] = Count{c.Total + 1, p.At}
	}
}

func (r *Recorder) count(k Key, at time.Time) {
	r.batch.Counts[k] = Count{r.batch.Counts[k].Total + 1, at}
}

// Used notes the use of a token.
func (r *Recorder) Used(u Use) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.batch.Uses) < mostKeys {
		r.batch.Uses[u.Token] = u
	}
}

// Flush writes what was gathered.
func (r *Recorder) Flush(ctx context.Context) {
	r.mu.Lock()
	b := r.batch
	r.batch = empty()
	r.mu.Unlock()
	if len(b.Counts)+len(b.Tokens)+len(b.Uses) == 0 {
		return
	}
	if err := r.store.Add(ctx, b); err != nil {
		r.log.WarnContext(ctx, "counts of pulls could not be written", "repositories and images", len(b.Counts), "error", err)
	}
}

// Run writes counts until ctx ends; then it writes what is left and returns
// nil.
func (r *Recorder) Run(ctx context.Context) error {
	tick := time.NewTicker(writeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWrite)
			defer cancel()
			r.Flush(last)
			return nil
		case <-tick.C:
			r.Flush(ctx)
		}
	}
}
