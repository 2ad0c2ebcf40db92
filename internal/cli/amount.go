package cli

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/config"
)

// age is a flag for a duration that people count in days and weeks, too.
type age time.Duration

var agePart = regexp.MustCompile(`^(\d+(?:\.\d+)?)(w|d|h|ms|m|s|us|µs|ns)`)

// Set reads 30d, 2w, 1w3d and what Go reads.
func (a *age) Set(text string) error {
	sum, rest := 0.0, text
	for rest != "" {
		m := agePart.FindStringSubmatch(rest)
		if m == nil {
			return fmt.Errorf("%q is no age: write a number with a unit, such as 30d, 2w or 12h", text)
		}
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return fmt.Errorf("%q is no age: %w", text, err)
		}
		sum += n * float64(ageUnit(m[2]))
		rest = rest[len(m[0]):]
	}
	if text == "" || sum >= math.MaxInt64 {
		return fmt.Errorf("%q is no age: write a number with a unit, such as 30d, 2w or 12h", text)
	}
	*a = age(sum)
	return nil
}

func ageUnit(name string) time.Duration {
	switch name {
	case "w":
		return 7 * 24 * time.Hour
	case "d":
		return 24 * time.Hour
	}
	d, err := time.ParseDuration("1" + name)
	if err != nil { // agePart lets only known units through
		return 0
	}
	return d
}

func (a *age) String() string {
	if *a == 0 {
		return ""
	}
	return time.Duration(*a).String()
}

// Type names the flag's kind.
func (a *age) Type() string { return "duration" }

// rate is a flag for bytes per second.
type rate int64

// Set reads sizes as the configuration does, with or without a /s.
func (r *rate) Set(text string) error {
	var s config.Size
	if err := s.UnmarshalText([]byte(strings.TrimSuffix(text, "/s"))); err != nil {
		return fmt.Errorf("%q %w", text, err)
	}
	if s == 0 {
		return errors.New("0 would never end: leave it out for no limit")
	}
	*r = rate(s)
	return nil
}

func (r *rate) String() string {
	if *r == 0 {
		return ""
	}
	return config.Size(*r).String() + "/s"
}

// Type names the flag's kind.
func (r *rate) Type() string { return "size" }

// size writes bytes for people, such as 1.5 GiB.
func size(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return strconv.FormatInt(n, 10) + " B"
	}
	f, i := float64(n)/1024, 0
	for f >= 1023.95 && i < len(units)-1 {
		f /= 1024
		i++
	}
	return strconv.FormatFloat(f, 'f', 1, 64) + " " + units[i:i+1] + "iB"
}
