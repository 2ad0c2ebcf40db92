package cli

import (
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/config"
)

func TestAge(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"30d": 30 * day, "2w": 14 * day, "1w3d12h": 10*day + 12*time.Hour, "1.5d": 36 * time.Hour,
		"90m": 90 * time.Minute, "1h30m": 90 * time.Minute, "5ms": 5 * time.Millisecond, "7s": 7 * time.Second, "0s": 0,
	} {
		var a age
		if err := a.Set(text); err != nil || time.Duration(a) != want {
			t.Errorf("%s is %v, %v; want %v", text, time.Duration(a), err, want)
		}
	}
	for _, text := range []string{"", "30", "d", "-1d", "1y", "1 d", "1d ", "1e3d", "300y", "99999999w", "1.d", "0x1d"} {
		var a age
		if err := a.Set(text); err == nil || a != 0 {
			t.Errorf("%q is %v, %v; want an error", text, time.Duration(a), err)
		}
	}
}

func TestRate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]config.Size{"50MiB": 50 << 20, "50MiB/s": 50 << 20, "1GB": 1e9, "1024": 1024} {
		var r rate
		if err := r.Set(text); err != nil || config.Size(r) != want {
			t.Errorf("%s is %d, %v; want %d", text, r, err, want)
		}
	}
	for _, text := range []string{"", "0", "-1", "fast", "1MiB/h"} {
		var r rate
		if err := r.Set(text); err == nil {
			t.Errorf("%q is %d; want an error", text, r)
		}
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1<<20 - 1: "1.0 MiB", 1 << 40: "1.0 TiB", 1<<63 - 1: "8.0 EiB",
	} {
		if got := size(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

func TestParseTarget(t *testing.T) {
	t.Parallel()
	const digest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	for text, want := range map[string]string{
		"acme/web":                   "acme/web ",
		"acme/web:1.0":               "acme/web 1.0",
		"acme/web@" + digest:         "acme/web " + digest,
		"registry.example/web:1":     "registry.example/web 1", // a valid repository's name
		"web":                        "web ",
		"acme/web:":                  "",
		"acme/web@":                  "",
		"acme/web@latest":            "",
		"acme/web:1@" + digest:       "",
		"localhost:5000/acme/web":    "",
		"localhost:5000/acme/web:1":  "",
		"http://registry.example/ab": "",
		"":                           "",
		":1":                         "",
	} {
		got, err := parseTarget(text, "")
		if want == "" {
			if err == nil {
				t.Errorf("%q is %+v, want an error", text, got)
			}
			continue
		}
		if s := string(got.repo) + " " + got.ref.String(); err != nil || s != want {
			t.Errorf("%q is %q, %v; want %q", text, s, err, want)
		}
	}
}
