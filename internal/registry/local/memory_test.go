package local_test

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"
)

// memory is how far the process grew while it was watched, in bytes: Go's
// heap, and all that is its own (0 where the system does not say): what SQLite
// allocates is outside of the heap.
type memory struct{ heap, own int64 }

func (m memory) String() string {
	return fmt.Sprintf("heap grew by at most %d MiB, the process by %d MiB", m.heap>>20, m.own>>20)
}

// check says when the growth was not bounded by limit bytes.
func (m memory) check(t *testing.T, limit int64) {
	t.Helper()
	if m.heap > limit {
		t.Errorf("the heap grew by %d bytes, more than %d", m.heap, limit)
	}
}

func memoryNow() memory {
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return memory{heap: int64(s.HeapAlloc), own: ownPages()}
}

// ownPages reads the resident memory that is no file's.
func ownPages() int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, text, _ = bytes.Cut(text, []byte("RssAnon:"))
	kib, _, _ := bytes.Cut(bytes.TrimSpace(text), []byte(" "))
	n, err := strconv.ParseInt(string(kib), 10, 64)
	if err != nil {
		return 0
	}
	return n << 10
}

// watch samples the memory until it is stopped.
type watch struct{ stop func() memory }

func watchMemory() watch {
	runtime.GC()
	first := memoryNow()
	peak := first
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			now := memoryNow()
			peak = memory{max(peak.heap, now.heap), max(peak.own, now.own)}
			select {
			case <-tick.C:
			case <-end:
				return
			}
		}
	}()
	return watch{stop: func() memory {
		close(end)
		<-ended
		return memory{peak.heap - first.heap, peak.own - first.own}
	}}
}

// at is the given percentile.
func (l *latencies) at(percent int) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) == 0 {
		return 0
	}
	slices.Sort(l.all)
	return l.all[(len(l.all)-1)*percent/100].Round(10 * time.Microsecond)
}
