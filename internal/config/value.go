package config

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Size is a number of bytes.
type Size int64

// units in the order String prefers them.
var units = []struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40},
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
	{"TB", 1e12},
	{"GB", 1e9},
	{"MB", 1e6},
	{"KB", 1e3},
	{"kB", 1e3},
	{"B", 1},
}

// UnmarshalText reads sizes such as 4MiB, 1.5GB and 1048576.
func (s *Size) UnmarshalText(text []byte) error {
	number, unit := strings.TrimSpace(string(text)), int64(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(number, u.name); ok {
			number, unit = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	if n, err := strconv.ParseInt(number, 10, 64); err == nil && n >= 0 {
		if n > math.MaxInt64/unit {
			return errors.New("is too large")
		}
		*s = Size(n * unit)
		return nil
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || !(f >= 0) || strings.ContainsAny(number, "eExXpP+_nN") {
		return errors.New("is no size: write a number with a unit, such as 512KiB, 4MiB or 1GB")
	}
	if f*float64(unit) >= math.MaxInt64 {
		return errors.New("is too large")
	}
	*s = Size(f * float64(unit))
	return nil
}

// String writes the size with the largest unit that leaves no rest.
func (s Size) String() string {
	for _, u := range units {
		if int64(s) >= u.bytes && int64(s)%u.bytes == 0 && u.bytes > 1 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalText writes what UnmarshalText reads.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// FreeSpace is how much of a disk must stay free: a share or an amount.
// The zero value asks for nothing.
type FreeSpace struct {
	Percent float64 // of the whole disk, 0 when Bytes says it
	Bytes   Size
}

// Of gives the bytes that must stay free on a disk of total bytes.
func (f FreeSpace) Of(total int64) int64 {
	if f.Percent > 0 {
		return int64(float64(total) / 100 * f.Percent)
	}
	return int64(f.Bytes)
}

// UnmarshalText reads a percentage (5%) or a size (20GiB).
func (f *FreeSpace) UnmarshalText(text []byte) error {
	number, isShare := strings.CutSuffix(strings.TrimSpace(string(text)), "%")
	if !isShare {
		var s Size
		if err := s.UnmarshalText(text); err != nil {
			return errors.New("is neither a percentage such as 5% nor a size such as 20GiB")
		}
		*f = FreeSpace{Bytes: s}
		return nil
	}
	p, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !(p >= 0 && p < 100) {
		return errors.New("is no percentage: write 0% to 99%")
	}
	*f = FreeSpace{Percent: p}
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (f FreeSpace) MarshalText() ([]byte, error) {
	if f.Percent > 0 {
		return []byte(strconv.FormatFloat(f.Percent, 'f', -1, 64) + "%"), nil
	}
	return f.Bytes.MarshalText()
}

// Origin is scheme://host[:port] in lower case, without the port when it is
// the scheme's own.
type Origin struct {
	Scheme string // "http" or "https"
	Host   string // host or host:port, as in the Host header
}

// String is the origin as a URL without a path.
func (o Origin) String() string { return o.Scheme + "://" + o.Host }

// UnmarshalText reads a URL that has no path but perhaps a last slash.
func (o *Origin) UnmarshalText(text []byte) error {
	const form = "write scheme://host[:port], such as https://registry.example.com"
	u, err := url.Parse(string(text))
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return errors.New("is no URL of a registry: " + form)
	}
	if u.User != nil || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return errors.New("has more than a host (a registry answers at the root): " + form)
	}
	host := strings.ToLower(u.Host)
	port := u.Port()
	if strings.HasSuffix(host, ":") || !validPort(port, "") {
		return errors.New("has a bad port: " + form)
	}
	if (u.Scheme == "https" && port == "443") || (u.Scheme == "http" && port == "80") {
		host = strings.TrimSuffix(host, ":"+port)
	}
	*o = Origin{Scheme: u.Scheme, Host: host}
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (o Origin) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// Network is a range of addresses; a single address is a range of one.
type Network struct{ netip.Prefix }

// UnmarshalText reads an address (10.0.0.7) or a CIDR range (10.0.0.0/8).
func (n *Network) UnmarshalText(text []byte) error {
	const form = "write an address such as 10.0.0.7 or a range such as 10.0.0.0/8"
	if a, err := netip.ParseAddr(string(text)); err == nil && a.Zone() == "" {
		a = a.Unmap()
		n.Prefix = netip.PrefixFrom(a, a.BitLen())
		return nil
	}
	p, err := netip.ParsePrefix(string(text))
	if err != nil {
		return errors.New("is neither an address nor a range: " + form)
	}
	if m := p.Masked(); m != p {
		return fmt.Errorf("has bits set behind its prefix: write %s, or the address alone", m)
	}
	n.Prefix = p
	return nil
}

// LogLevel is one of slog's four named levels.
type LogLevel slog.Level

// Level makes a LogLevel a slog.Leveler.
func (l LogLevel) Level() slog.Level { return slog.Level(l) }

// UnmarshalText reads debug, info, warn or error.
func (l *LogLevel) UnmarshalText(text []byte) error {
	switch string(text) {
	case "debug":
		*l = LogLevel(slog.LevelDebug)
	case "info":
		*l = LogLevel(slog.LevelInfo)
	case "warn":
		*l = LogLevel(slog.LevelWarn)
	case "error":
		*l = LogLevel(slog.LevelError)
	default:
		return errors.New("is no level: write debug, info, warn or error")
	}
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (l LogLevel) MarshalText() ([]byte, error) {
	return []byte(strings.ToLower(slog.Level(l).String())), nil
}

// LogFormat is "auto", "text" or "json".
type LogFormat string

// The formats. Auto is text on a terminal and JSON otherwise.
const (
	LogAuto LogFormat = "auto"
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// UnmarshalText reads one of the three.
func (f *LogFormat) UnmarshalText(text []byte) error {
	switch v := LogFormat(text); v {
	case LogAuto, LogText, LogJSON:
		*f = v
		return nil
	}
	return errors.New("is no log format: write auto, text or json")
}

// MarshalText writes what UnmarshalText reads.
func (f LogFormat) MarshalText() ([]byte, error) { return []byte(f), nil }

// validPort says whether port is a number of 0 to 65535 or equals other.
func validPort(port, other string) bool {
	if port == other {
		return true
	}
	_, err := strconv.ParseUint(port, 10, 16)
	return err == nil
}

// loopback says whether the host part of an address to listen on can only be
// reached from this machine.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
