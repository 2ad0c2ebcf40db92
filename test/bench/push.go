package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"
)

// pushes are the measures of writing. Their limit is a program that writes the
// same bytes into files and syncs each.
func (b *bench) pushes() []measure {
	of := []string{fairlead, distribution, plain}
	withLine := []string{fairlead, distribution, plain, fairleadLine}
	large, images, small := pick(b.o.quick, 2, 4), pick(b.o.quick, 10, 40), pick(b.o.quick, 100, 400)
	return []measure{
		{name: "blob push 100 MiB, POST PATCH PUT", unit: "MB/s", scale: largeBytes / 1e6, of: of, counted: true, make: b.pushBlobs(large, largeBytes, 1, patched)},
		{name: "blob push 100 MiB, POST PUT", unit: "MB/s", scale: largeBytes / 1e6, of: of, counted: true, make: b.pushBlobs(large, largeBytes, 1, whole)},
		{name: "image push, 10 layers", unit: "images/s", scale: 1, of: withLine, counted: true, make: b.pushImages(images, 1)},
		{name: "image push, 10 layers, 4 clients", unit: "images/s", scale: 1, of: of, counted: true, make: b.pushImages(2*images, 4)},
		{name: "blob push 1 KiB, serial", unit: "blobs/s", scale: 1, of: of, counted: true, make: b.pushBlobs(small, smallBytes, 1, patched)},
		{name: "blob push 1 KiB, 16 clients", unit: "blobs/s", scale: 1, of: of, counted: true, make: b.pushBlobs(4*small, smallBytes, 16, patched)},
	}
}

// pushBlobs pushes n new blobs over a number of connections.
func (b *bench) pushBlobs(n, size, clients int, how style) maker {
	var buffers []blob // the large ones are used again, numbered anew
	return func(ctx context.Context, t *target) (func() (int, time.Duration, error), error) {
		for len(buffers) < n {
			buffers = append(buffers, b.source.blob(size))
		}
		for i := range buffers {
			buffers[i] = b.source.fresh(buffers[i].bytes)
		}
		return pushing(ctx, t, clients, buffers,
			func(c *conn, x blob) error { return c.pushBlob(pushRepo, x, how) },
			writeFile)
	}
}

// pushing does remote on the connections of a server, or local where there is
// none.
func pushing[T any](ctx context.Context, t *target, clients int, items []T, remote func(*conn, T) error, local func(string, T) error) (func() (int, time.Duration, error), error) {
	if t.proc == nil {
		dirs := make([]string, clients)
		for i := range dirs {
			dirs[i] = t.dir
		}
		return func() (int, time.Duration, error) { return len(items), 0, each(dirs, items, local) }, nil
	}
	all, err := dialAll(ctx, t, clients)
	if err != nil {
		return nil, err
	}
	return func() (int, time.Duration, error) {
		err := each(all, items, remote)
		return len(items), 0, errors.Join(err, closeAll(all))
	}, nil
}

// layersAtOnce is how many layers docker pushes at the same time.
const layersAtOnce = 5

// pushImages pushes n new images by a number of clients, each as docker does:
// asks for every blob, pushes it, five at a time, and the manifest at last.
func (b *bench) pushImages(n, clients int) maker {
	return func(ctx context.Context, t *target) (func() (int, time.Duration, error), error) {
		images, err := b.source.images(n)
		if err != nil {
			return nil, err
		}
		if t.proc == nil {
			return func() (int, time.Duration, error) {
				return n, 0, each(make([]struct{}, clients), images, func(_ struct{}, i image) error { return writeImage(t.dir, i) })
			}, nil
		}
		sets := make([][]*conn, clients)
		for k := range sets {
			if sets[k], err = dialAll(ctx, t, layersAtOnce); err != nil {
				return nil, err
			}
		}
		return func() (int, time.Duration, error) {
			err := each(sets, images, pushImage)
			for _, s := range sets {
				err = errors.Join(err, closeAll(s))
			}
			return n, 0, err
		}, nil
	}
}

func pushImage(conns []*conn, i image) error {
	err := each(conns, i.blobs, func(c *conn, x blob) error {
		if err := c.absent(pushRepo, x.digest); err != nil {
			return err
		}
		return c.pushBlob(pushRepo, x, patched)
	})
	if err != nil {
		return err
	}
	return conns[0].putManifest(pushRepo, i.tag, i.manifest.bytes)
}

func writeImage(dir string, i image) error {
	err := each(make([]struct{}, layersAtOnce), i.blobs, func(_ struct{}, x blob) error { return writeFile(dir, x) })
	return errors.Join(err, writeFile(dir, i.manifest))
}

// writeFile is the least that makes bytes durable.
func writeFile(dir string, x blob) error {
	f, err := os.OpenFile(filepath.Join(dir, x.digest), os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(x.bytes)
	return errors.Join(err, f.Sync(), f.Close())
}
