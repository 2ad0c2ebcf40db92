package cli

import (
	"bytes"
	"testing"
	"time"
)

func TestColumns(t *testing.T) {
	t.Parallel()
	lines := func() [][]string {
		return [][]string{{"ID", "STATE", "BY"}, {"é1", "revoked", "active"}, {"long", "other", "a\x1b[2Jb\nc"}}
	}
	for colour, want := range map[bool]string{
		false: "ID    STATE    BY\né1    revoked  active\nlong  other    a·[2Jb·c\n",
		true: "\x1b[1mID\x1b[0m    \x1b[1mSTATE\x1b[0m    \x1b[1mBY\x1b[0m\n" +
			"é1    \x1b[31mrevoked\x1b[0m  active\nlong  other    a·[2Jb·c\n",
	} {
		var b bytes.Buffer
		columns(&b, lines(), colour)
		if b.String() != want {
			t.Errorf("colour %t: %q, want %q", colour, b.String(), want)
		}
	}
}

func TestSince(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	l := look{now: now}
	for d, want := range map[time.Duration]string{
		0: "now", -time.Second: "1 second ago", -90 * time.Minute: "1 hour ago", -72 * time.Hour: "3 days ago",
		time.Hour: "in 1 hour", 25 * time.Hour: "in 1 day",
	} {
		if got := l.since(now.Add(d)); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
	if got := l.since(time.Time{}); got != "" {
		t.Errorf("no time is %q", got)
	}
}

func TestParseMoment(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"": {}, "24h": now.Add(-24 * time.Hour), "1w": now.AddDate(0, 0, -7),
		"2026-06-01T10:00:00Z": time.Date(2026, 6, 1, 10, 0, 0, 0, time.UTC),
		"2026-06-01":           time.Date(2026, 6, 1, 0, 0, 0, 0, time.Local),
		"2026-06-01 10:30":     time.Date(2026, 6, 1, 10, 30, 0, 0, time.Local),
	} {
		if got, err := parseMoment(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"yesterday", "2026", "-1d", "2026-13-01"} {
		if got, err := parseMoment(text, now); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func TestSpan(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{0: "0s", 90 * 24 * time.Hour: "2160h", 90 * time.Minute: "1h30m", 5 * time.Second: "5s"} {
		if got := span(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}
