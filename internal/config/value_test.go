package config_test

import (
	"testing"

	"fairlead.dev/fairlead/internal/config"
)

func TestSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]config.Size{
		"0": 0, "1": 1, "1048576": 1 << 20, "4MiB": 4 << 20, "4 MiB": 4 << 20, "1.5GiB": 3 << 29,
		"1GB": 1e9, "2kB": 2000, "2KB": 2000, "17B": 17, "0.5KiB": 512, "3TiB": 3 << 40,
	} {
		var s config.Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%q: %d, %v; want %d", text, s, err, want)
		}
	}
}

func TestSizeString(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]config.Size{
		"0": 0, "1": 1, "4MiB": 4 << 20, "1GB": 1e9, "1025": 1025, "1536KiB": 3 << 19, "100GiB": 100 << 30, "9223372036854775807": 1<<63 - 1,
	} {
		if got := s.String(); got != want {
			t.Errorf("%d is written %q, want %q", int64(s), got, want)
		}
	}
}

func FuzzSize(f *testing.F) {
	for _, s := range []string{"4MiB", "1.5GB", "-1", "1e3", "0x1p4", "9223372036854775807", "", "B", "Infinity"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var s, again config.Size
		if s.UnmarshalText([]byte(text)) != nil {
			return
		}
		if s < 0 {
			t.Fatalf("%q is read as %d", text, int64(s))
		}
		if err := again.UnmarshalText([]byte(s.String())); err != nil || again != s {
			t.Fatalf("%q: %d is written %q and read as %d, %v", text, int64(s), s, int64(again), err)
		}
	})
}

func TestFreeSpace(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"5%": 50, "0": 0, "0%": 0, "12.5%": 125, "1KiB": 1024} {
		var f config.FreeSpace
		if err := f.UnmarshalText([]byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if got := f.Of(1000); got != want {
			t.Errorf("%q of 1000: %d, want %d", text, got, want)
		}
	}
}
