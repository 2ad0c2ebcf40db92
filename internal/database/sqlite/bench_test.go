package sqlite

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/blob"
	"fairlead.dev/fairlead/internal/database"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry/local"
)

// named is a blob's row that every call with the same number gives.
func named(n uint64) local.BlobRow {
	return local.BlobRow{
		Digest: oci.DigestOf(oci.SHA256, binary.BigEndian.AppendUint64(nil, n)),
		Size:   int64(n % (1 << 30)), Key: blob.NewKey(),
	}
}

// imageOf is an image of blobs, its bytes as long as those of a real one.
func imageOf(blobs []local.BlobRow) local.ManifestRow {
	var m local.ManifestRow
	m.MediaType = oci.MediaTypeImageManifest
	for _, b := range blobs {
		d := oci.Descriptor{MediaType: "application/vnd.oci.image.layer.v1.tar+gzip", Digest: b.Digest, Size: b.Size}
		m.Content.Blobs = append(m.Content.Blobs, d)
		m.Bytes = fmt.Appendf(m.Bytes, `{"mediaType":%q,"digest":%q,"size":%d},`, d.MediaType, d.Digest, d.Size)
	}
	m.Digest, m.Size = oci.DigestOf(oci.SHA256, m.Bytes), int64(len(m.Bytes))
	return m
}

// stocked has 50 repositories of 20 images with 10 layers and 5 tags.
func stocked(b *testing.B) *DB {
	b.Helper()
	db := open(b, Options{})
	for r := range 50 {
		err := db.Write(b.Context(), database.Relaxed, func(tx database.Queryer) error {
			c := database.NewCatalog(inside{tx}, time.Now)
			return stock(b, c, r)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return db
}

func stock(b *testing.B, c *database.Catalog, r int) error {
	for i := range 20 {
		blobs := layers(r, i)
		for _, row := range blobs {
			if _, err := c.LinkBlob(b.Context(), repoOf(r), row, ""); err != nil {
				return err
			}
		}
		var tags []oci.Tag
		for t := range 5 {
			tags = append(tags, tagOf(i, t))
		}
		if err := c.PutManifest(b.Context(), repoOf(r), imageOf(blobs), tags, nil); err != nil {
			return err
		}
	}
	return nil
}

func repoOf(r int) oci.Repo  { return oci.Repo(fmt.Sprintf("acme/r%04d", r)) }
func tagOf(i, t int) oci.Tag { return oci.Tag(fmt.Sprintf("v%d.%d", i, t)) }
func layers(r, i int) []local.BlobRow {
	var blobs []local.BlobRow
	for l := range 11 {
		blobs = append(blobs, named(uint64(r*1000+i*20+l)))
	}
	return blobs
}

// inside makes a transaction look like an engine, so that the benchmarks'
// stock is written in a few transactions.
type inside struct{ database.Queryer }

func (i inside) Write(_ context.Context, _ database.Durability, fn func(database.Queryer) error) error {
	return fn(i.Queryer)
}

func BenchmarkRead(b *testing.B) {
	db := stocked(b)
	digests := map[[2]int]oci.Digest{}
	for r := range 50 {
		for i := range 20 {
			digests[[2]int{r, i}] = imageOf(layers(r, i)).Digest
		}
	}
	run := func(name string, one func(r, i int) error) {
		for _, parallel := range []bool{false, true} {
			kind := "serial"
			if parallel {
				kind = "parallel"
			}
			b.Run(name+"/"+kind, func(b *testing.B) {
				b.ReportAllocs()
				if !parallel {
					for b.Loop() {
						if err := one(rand.IntN(50), rand.IntN(20)); err != nil {
							b.Fatal(err)
						}
					}
					return
				}
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := one(rand.IntN(50), rand.IntN(20)); err != nil {
							b.Error(err)
						}
					}
				})
			})
		}
	}
	run("ManifestByTag", func(r, i int) error {
		_, err := db.Catalog.Manifest(b.Context(), repoOf(r), oci.Ref{Tag: tagOf(i, r%5)})
		return err
	})
	run("ManifestByDigest", func(r, i int) error {
		_, err := db.Catalog.Manifest(b.Context(), repoOf(r), oci.Ref{Digest: digests[[2]int{r, i}]})
		return err
	})
	run("Blob", func(r, i int) error {
		_, err := db.Catalog.Blob(b.Context(), repoOf(r), named(uint64(r*1000+i*20+3)).Digest)
		return err
	})
	run("Tags100", func(r, _ int) error {
		_, err := db.Catalog.Tags(b.Context(), repoOf(r), "", 100)
		return err
	})
}

func BenchmarkLinkBlob(b *testing.B) {
	for _, n := range []int{1, 32} {
		b.Run(fmt.Sprintf("durable/%d", n), func(b *testing.B) {
			db := stocked(b)
			before := db.Stats()
			var next atomic.Uint64
			next.Store(1 << 40)
			b.SetParallelism((n + 1) / 2) // times GOMAXPROCS
			link := func() {
				if _, err := db.Catalog.LinkBlob(b.Context(), repoOf(rand.IntN(50)), named(next.Add(1)), ""); err != nil {
					b.Error(err)
				}
			}
			b.ReportAllocs()
			b.ResetTimer()
			if n == 1 {
				for b.Loop() {
					link()
				}
			} else {
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						link()
					}
				})
			}
			after := db.Stats()
			b.ReportMetric(float64(after.Writes-before.Writes)/float64(after.Commits-before.Commits), "writes/commit")
		})
	}
}

func BenchmarkPutManifest(b *testing.B) {
	for _, n := range []int{1, 32} {
		b.Run(fmt.Sprintf("layers=10/%d", n), func(b *testing.B) {
			db := stocked(b)
			blobs := layers(7, 7)
			var next atomic.Uint64
			put := func() {
				m := imageOf(blobs)
				m.Bytes = binary.BigEndian.AppendUint64(m.Bytes, next.Add(1))
				m.Digest = oci.DigestOf(oci.SHA256, m.Bytes)
				if err := db.Catalog.PutManifest(b.Context(), repoOf(7), m, []oci.Tag{"latest"}, nil); err != nil {
					b.Error(err)
				}
			}
			b.SetParallelism((n + 1) / 2)
			b.ReportAllocs()
			b.ResetTimer()
			if n == 1 {
				for b.Loop() {
					put()
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					put()
				}
			})
		})
	}
}

func BenchmarkAdvanceRelaxed(b *testing.B) {
	db := open(b, Options{})
	up := local.UploadRow{ID: "u", Repo: "acme/web", Key: blob.NewKey(), Algorithm: oci.SHA256, Hash: make([]byte, 108)}
	if err := db.Uploads.Begin(b.Context(), up); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		offset := up.Offset
		up.Offset++
		if err := db.Uploads.Advance(b.Context(), up, offset); err != nil {
			b.Fatal(err)
		}
	}
}
