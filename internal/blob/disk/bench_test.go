package disk_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"fairlead.dev/fairlead/internal/blob"
)

// BenchmarkAppendSeal writes a new key and makes it durable.
func BenchmarkAppendSeal(b *testing.B) {
	for _, size := range []int64{1 << 10, 1 << 20, 100 << 20} {
		b.Run(bytesName(size), func(b *testing.B) {
			s := open(b, b.TempDir())
			content := bytes.Repeat([]byte("fairlead"), int(size/8))
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				key := blob.NewKey()
				if _, err := s.Append(b.Context(), key, 0, bytes.NewReader(content)); err != nil {
					b.Fatal(err)
				}
				if err := s.Seal(b.Context(), key); err != nil {
					b.Fatal(err)
				}
				b.StopTimer() // or the disk fills
				if err := s.Delete(b.Context(), key); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

// BenchmarkOpenRead reads a small blob that is in the page cache.
func BenchmarkOpenRead(b *testing.B) {
	const size = 1 << 10
	s := open(b, b.TempDir())
	key := blob.NewKey()
	if _, err := s.Append(b.Context(), key, 0, bytes.NewReader(make([]byte, size))); err != nil {
		b.Fatal(err)
	}
	if err := s.Seal(b.Context(), key); err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, size)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		rc, err := s.Open(b.Context(), key, 0, size)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(rc, buf); err != nil {
			b.Fatal(err)
		}
		if err := rc.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReopen opens a store whose folders are there.
func BenchmarkReopen(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		open(b, dir)
	}
}

func bytesName(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%dKiB", n>>10)
	}
	return fmt.Sprintf("%dMiB", n>>20)
}

// BenchmarkFirstOpen makes the folders.
func BenchmarkFirstOpen(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		dir := b.TempDir()
		b.StartTimer()
		open(b, dir)
	}
}
