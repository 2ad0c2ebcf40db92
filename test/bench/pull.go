package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The repositories: one that is pulled from, one that is pushed to, one with
// many tags.
const (
	pullRepo = "bench/pull"
	pushRepo = "bench/push"
	tagsRepo = "bench/tags"
)

var repos = []string{pullRepo, pushRepo, tagsRepo}

// tagCount is how many tags the walk passes.
const tagCount = 10_000

// content is what lies in every target before pulls are measured. large stays
// empty where no measure reads it.
type content struct {
	image        image
	small, large blob
}

// singles are the blobs that belong to no image.
func (c content) singles() []blob {
	if c.large.digest == "" {
		return []blob{c.small}
	}
	return []blob{c.small, c.large}
}

// fill puts the same content into every target, and reads it back once.
func (b *bench) fill(ctx context.Context, measures []measure) error {
	var err error
	if b.pulled.image, err = b.source.image(); err != nil {
		return err
	}
	b.pulled.small = b.source.blob(smallBytes)
	walks := false
	for _, m := range measures {
		walks = walks || strings.Contains(m.name, "tags")
		if strings.Contains(m.name, "100 MiB") {
			b.pulled.large = b.source.blob(largeBytes)
		}
	}
	for _, t := range b.targets {
		switch t.name {
		case plain:
			continue
		case nginx:
			err = b.fillFiles(t)
		default:
			err = b.push(ctx, t, walks)
		}
		if err == nil {
			err = b.check(ctx, t)
		}
		if err != nil {
			return fmt.Errorf("put content into %s: %w", t.name, err)
		}
	}
	return nil
}

func (b *bench) push(ctx context.Context, t *target, walks bool) error {
	if err := t.signIn(ctx, repos...); err != nil {
		return err
	}
	c, err := dial(ctx, t)
	if err != nil {
		return err
	}
	defer c.c.Close() //nolint:errcheck // what counts was answered
	i := b.pulled.image
	for _, repo := range []string{pullRepo, tagsRepo} {
		for _, blob := range i.blobs {
			if err := c.pushBlob(repo, blob, patched); err != nil {
				return err
			}
		}
		if err := c.putManifest(repo, i.tag, i.manifest.bytes); err != nil {
			return err
		}
	}
	for _, x := range b.pulled.singles() {
		if err := c.pushBlob(pullRepo, x, whole); err != nil {
			return err
		}
	}
	switch {
	case !walks || t.name == fairleadLine:
		return nil
	case t.name == distribution:
		return b.tagFiles(t)
	}
	return b.tagAll(c)
}

func tagName(n int) string { return fmt.Sprintf("t%05d", n) }

// tagAll sets the tags, 100 with each request. One was there already.
func (b *bench) tagAll(c *conn) error {
	m := b.pulled.image.manifest
	for n := 1; n < tagCount; {
		q := ""
		for i := 0; i < 100 && n < tagCount; i++ {
			q += "&tag=" + tagName(n)
			n++
		}
		if err := c.putManifest(tagsRepo, m.digest+"?"+q[1:], m.bytes); err != nil {
			return err
		}
	}
	return nil
}

// tagFiles writes the tags as distribution's driver keeps them: by its API
// that would take minutes.
func (b *bench) tagFiles(t *target) error {
	digest := b.pulled.image.manifest.digest
	dir := filepath.Join(t.dir, "data", "docker", "registry", "v2", "repositories", tagsRepo, "_manifests", "tags")
	for n := 1; n < tagCount; n++ {
		for _, sub := range []string{"current", filepath.Join("index", strings.Replace(digest, ":", "/", 1))} {
			d := filepath.Join(dir, tagName(n), sub)
			if err := os.MkdirAll(d, 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(d, "link"), []byte(digest), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// fillFiles lays the same bytes out under the same paths.
func (b *bench) fillFiles(t *target) error {
	base := filepath.Join(t.dir, "data", "v2", pullRepo)
	files := map[string][]byte{
		"manifests/" + b.pulled.image.tag:             b.pulled.image.manifest.bytes,
		"manifests/" + b.pulled.image.manifest.digest: b.pulled.image.manifest.bytes,
	}
	for _, x := range append(b.pulled.singles(), b.pulled.image.blobs...) {
		files["blobs/"+x.digest] = x.bytes
	}
	for name, body := range files {
		path := filepath.Join(base, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, body, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// check reads everything once: what is measured must be right.
func (b *bench) check(ctx context.Context, t *target) error {
	c, err := dial(ctx, t)
	if err != nil {
		return err
	}
	defer c.c.Close() //nolint:errcheck // only read from
	want := map[string][]byte{manifestPath(b.pulled.image.tag): b.pulled.image.manifest.bytes}
	for _, x := range append(b.pulled.singles(), b.pulled.image.blobs...) {
		want[blobPath(x)] = x.bytes
	}
	for path, body := range want {
		a, err := c.do(request{method: http.MethodGet, path: path, keep: true}, http.StatusOK)
		if err != nil {
			return err
		}
		if !bytes.Equal(a.body, body) {
			return fmt.Errorf("GET %s: other bytes than were pushed", path)
		}
	}
	return nil
}

func manifestPath(ref string) string { return "/v2/" + pullRepo + "/manifests/" + ref }
func blobPath(b blob) string         { return "/v2/" + pullRepo + "/blobs/" + b.digest }

// pulls are the measures of reading.
func (b *bench) pulls() []measure {
	small := []string{fairlead, distribution, nginx, fairleadLine}
	few := []string{fairlead, distribution, nginx}
	pair := []string{fairlead, distribution}
	count := pick(b.o.quick, 20, 60)
	return []measure{
		{name: "manifest GET by tag", unit: "req/s", scale: 1, of: small, make: b.hammer(func() string { return manifestPath(b.pulled.image.tag) })},
		{name: "manifest GET by digest", unit: "req/s", scale: 1, of: few, make: b.hammer(func() string { return manifestPath(b.pulled.image.manifest.digest) })},
		{name: "blob GET 1 KiB", unit: "req/s", scale: 1, of: small, make: b.hammer(func() string { return blobPath(b.pulled.small) })},
		{name: "blob GET 100 MiB", unit: "MB/s", scale: largeBytes / 1e6, of: few, make: b.readLarge(count)},
		{name: "image pull, 10 layers", unit: "images/s", scale: 1, of: few, make: b.pullImages(count * 5)},
		{name: "walk of 10,000 tags, n=1000", unit: "walks/s", scale: 1, of: pair, make: b.walk(count/2, "?n=1000")},
		{name: "walk of 10,000 tags, no n", unit: "walks/s", scale: 1, of: pair, make: b.walk(count/2, "")},
	}
}

type maker = func(ctx context.Context, t *target) (func() (int, time.Duration, error), error)

const wrkConnections = 8

var (
	wrkTotal = regexp.MustCompile(`(\d+) requests in ([\d.]+)s`)
	wrkBad   = regexp.MustCompile(`(?m)^.*(?:Non-2xx or 3xx responses|Socket errors).*$`)
)

// hammer has wrk fetch one path over and over. The header goes by a file: a
// command line can be read by everybody.
func (b *bench) hammer(path func() string) maker {
	return func(ctx context.Context, t *target) (func() (int, time.Duration, error), error) {
		script := filepath.Join(b.dir, "wrk.lua")
		text := "wrk.headers[\"Accept\"] = \"" + accepted + "\"\n"
		if t.auth != "" {
			text += "wrk.headers[\"Authorization\"] = \"" + t.auth + "\"\n"
		}
		if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
			return nil, err
		}
		return func() (int, time.Duration, error) {
			out, err := exec.CommandContext(ctx, b.wrk, "-t1", "-c", strconv.Itoa(wrkConnections),
				"-d", fmt.Sprintf("%ds", max(1, int(b.o.span/time.Second))), "-s", script, "http://"+t.host+path()).CombinedOutput()
			if err != nil {
				return 0, 0, fmt.Errorf("wrk: %w: %s", err, out)
			}
			return parseWrk(string(out))
		}, nil
	}
}

func parseWrk(out string) (int, time.Duration, error) {
	if bad := wrkBad.FindString(out); bad != "" {
		return 0, 0, fmt.Errorf("wrk: %s", strings.TrimSpace(bad))
	}
	m := wrkTotal.FindStringSubmatch(out)
	if m == nil {
		return 0, 0, fmt.Errorf("wrk said something unknown: %s", out)
	}
	n, err1 := strconv.Atoi(m[1])
	s, err2 := strconv.ParseFloat(m[2], 64)
	return n, time.Duration(s * float64(time.Second)), errors.Join(err1, err2)
}

// readLarge reads the large blob n times on one connection.
func (b *bench) readLarge(n int) maker {
	return func(ctx context.Context, t *target) (func() (int, time.Duration, error), error) {
		c, err := dial(ctx, t)
		if err != nil {
			return nil, err
		}
		return func() (int, time.Duration, error) {
			for range n {
				if err := c.get(blobPath(b.pulled.large), largeBytes); err != nil {
					return 0, 0, errors.Join(err, c.c.Close())
				}
			}
			return n, 0, c.c.Close()
		}, nil
	}
}

// pullImages pulls the image n times: HEAD of the tag, the manifest, then all
// blobs, three at a time, as docker does.
func (b *bench) pullImages(n int) maker {
	const parallel = 3
	return func(ctx context.Context, t *target) (func() (int, time.Duration, error), error) {
		all, err := dialAll(ctx, t, parallel)
		if err != nil {
			return nil, err
		}
		return func() (int, time.Duration, error) {
			for range n {
				if err := b.pullImage(all); err != nil {
					return 0, 0, errors.Join(err, closeAll(all))
				}
			}
			return n, 0, closeAll(all)
		}, nil
	}
}

func (b *bench) pullImage(all []*conn) error {
	i := b.pulled.image
	if _, err := all[0].do(request{method: http.MethodHead, path: manifestPath(i.tag)}, http.StatusOK); err != nil {
		return err
	}
	if err := all[0].get(manifestPath(i.manifest.digest), len(i.manifest.bytes)); err != nil {
		return err
	}
	return each(all, i.blobs, func(c *conn, x blob) error { return c.get(blobPath(x), len(x.bytes)) })
}

// each does something with every item, on as many connections as there are.
func each[C, T any](conns []C, items []T, do func(C, T) error) error {
	var group sync.WaitGroup
	errs := make([]error, len(conns))
	for k, c := range conns {
		group.Go(func() {
			for i := k; i < len(items) && errs[k] == nil; i += len(conns) {
				errs[k] = do(c, items[i])
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

var tagInList = []byte(`"t0`)

// walk reads all the tags n times, page after page.
func (b *bench) walk(n int, query string) maker {
	return func(ctx context.Context, t *target) (func() (int, time.Duration, error), error) {
		c, err := dial(ctx, t)
		if err != nil {
			return nil, err
		}
		return func() (int, time.Duration, error) {
			for range n {
				if err := walkOnce(c, "/v2/"+tagsRepo+"/tags/list"+query); err != nil {
					return 0, 0, errors.Join(err, c.c.Close())
				}
			}
			return n, 0, c.c.Close()
		}, nil
	}
}

func walkOnce(c *conn, path string) error {
	seen := 0
	for path != "" {
		a, err := c.do(request{method: http.MethodGet, path: path, keep: true}, http.StatusOK)
		if err != nil {
			return err
		}
		seen += bytes.Count(a.body, tagInList)
		next, _, _ := strings.Cut(strings.TrimPrefix(a.header.Get("Link"), "<"), ">")
		path = next
	}
	if seen != tagCount-1 { // and the one that the image was pushed with
		return fmt.Errorf("the walk passed %d tags, want %d", seen, tagCount-1)
	}
	return nil
}
