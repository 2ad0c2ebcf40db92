package main

import (
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 2, 9}, 3}} {
		if got := median(c.in); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.in, got, c.want)
		}
	}
}

func TestNumber(t *testing.T) {
	for in, want := range map[float64]string{0: "–", 0.0421: "0.042", 1.234: "1.23", 45.67: "45.7", 999.6: "1,000", 123: "123", 1234567: "1,234,567"} {
		if got := number(in); got != want {
			t.Errorf("number(%v) = %q, want %q", in, got, want)
		}
	}
}

// A round's ratio is taken within the round: what slowed both does not show.
func TestRatioByRound(t *testing.T) {
	second := func(ops int) sample { return sample{ops: ops, wall: time.Second} }
	r := result{samples: map[string][]sample{
		"a": {second(100), second(10), second(60)},
		"b": {second(50), second(5), second(20)},
	}}
	got, ok := r.ratio("a", "b", sample.rate)
	if want := (ratio{2, 2, 3}); !ok || got != want {
		t.Errorf("ratio = %v, %v; want %v", got, ok, want)
	}
	if _, ok := r.ratio("a", "c", sample.rate); ok {
		t.Error("a ratio to a target that took no part")
	}
}

func TestReplace(t *testing.T) {
	file := "above\n" + begin + "old\n" + end + "\nbelow\n"
	got, err := replace(file, "new\n")
	if err != nil {
		t.Fatal(err)
	}
	if want := "above\n" + begin + "\nnew\n\n" + end + "\nbelow\n"; got != want {
		t.Errorf("replace = %q, want %q", got, want)
	}
	for _, bad := range []string{"", begin, end} {
		if _, err := replace(bad, ""); err == nil {
			t.Errorf("replace in %q: no error", bad)
		}
	}
}

func TestTicks(t *testing.T) {
	stat := "77 (a) b) S 1 77 77 0 -1 0 10 0 0 0 321 123 5 6 20 0 1 0 55 0 0"
	got, err := ticksOf([]byte(stat))
	if err != nil || got != 444 {
		t.Errorf("ticksOf = %d, %v; want 444", got, err)
	}
	if _, err := ticksOf([]byte("nonsense")); err == nil {
		t.Error("ticksOf nonsense: no error")
	}
}

func TestParseWrk(t *testing.T) {
	good := "Running 1s test\n  23456 requests in 1.10s, 3.20MB read\nRequests/sec:  21323.63\n"
	n, took, err := parseWrk(good)
	if err != nil || n != 23456 || took != 1100*time.Millisecond {
		t.Errorf("parseWrk = %d, %v, %v", n, took, err)
	}
	for _, bad := range []string{"", good + "  Non-2xx or 3xx responses: 3\n", good + "  Socket errors: connect 0, read 1\n"} {
		if _, _, err := parseWrk(bad); err == nil {
			t.Errorf("parseWrk of %q: no error", strings.TrimSpace(bad))
		}
	}
}

// Unfinished calls are counted where they begin, and only there.
func TestSyncCalls(t *testing.T) {
	out := "12 fsync(9) = 0\n13 fdatasync(4 <unfinished ...>\n12 fsync(5) = 0\n13 <... fdatasync resumed>) = 0\n12 sync_file_range(5, 0, 1, 2) = 0\n"
	if got := len(syncCall.FindAllString(out, -1)); got != 3 {
		t.Errorf("%d sync calls, want 3", got)
	}
}
