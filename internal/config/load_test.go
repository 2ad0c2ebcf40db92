package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/config"
	"github.com/google/go-cmp/cmp"
)

func write(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fairlead.yaml")
	if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	c, err := config.Load(config.Source{})
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{
		Data: "fairlead-data", Keys: filepath.Join("fairlead-data", "keys"),
		Listen: "127.0.0.1:5000", LogFormat: config.LogAuto,
		AuditRetention: 400 * 24 * time.Hour, TokenLifetime: 5 * time.Minute, ShutdownTimeout: 30 * time.Second,
		MaxManifestSize: 4 << 20, MinFreeDisk: config.FreeSpace{Percent: 5},
		MaxConcurrentUploads: 64, MaxOpenUploads: 1000, MaxUnfinishedBytes: 100 << 30,
		UploadExpiry: 24 * time.Hour, TrashRetention: 30 * 24 * time.Hour, HistoryRetention: 400 * 24 * time.Hour, SweepInterval: 10 * time.Minute, SweepGrace: time.Hour,
	}
	if d := cmp.Diff(want, c); d != "" {
		t.Error(d)
	}
	if w := c.Warnings(); len(w) > 0 {
		t.Errorf("the defaults warn: %v", w)
	}
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	file := write(t, "listen: 127.0.0.1:1\ndata: from-file\nlog-level: debug\n")
	c, origins, err := config.Trace(config.Source{
		Env:   []string{"FAIRLEAD_CONFIG=" + file, "FAIRLEAD_LISTEN=127.0.0.1:2", "FAIRLEAD_DATA=from-env", "FAIRLEAD_LOG_LEVEL=", "OTHER=1"},
		Flags: map[string][]string{"listen": {"127.0.0.1:3"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{"listen": c.Listen, "data": c.Data, "log-level": c.LogLevel.Level().String()}
	if d := cmp.Diff(map[string]string{"listen": "127.0.0.1:3", "data": "from-env", "log-level": "DEBUG"}, got); d != "" {
		t.Error(d)
	}
	from := map[string]string{"listen": "flag --listen", "data": "FAIRLEAD_DATA", "log-level": file + ":3", "token-lifetime": "default"}
	for key, want := range from {
		if origins[key] != want {
			t.Errorf("%s comes from %q, want %q", key, origins[key], want)
		}
	}
}

func TestLists(t *testing.T) {
	t.Parallel()
	file := write(t, "public-url: [https://A.example, 'http://b.example:80/']\ntrusted-proxies:\n- 10.0.0.0/8\n- ::1\n")
	c, err := config.Load(config.Source{File: file})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]config.Origin{{Scheme: "https", Host: "a.example"}, {Scheme: "http", Host: "b.example"}}, c.PublicURL); d != "" {
		t.Error(d)
	}
	if got := c.Proxies(); len(got) != 2 || got[0].String() != "10.0.0.0/8" || got[1].String() != "::1/128" {
		t.Errorf("proxies: %v", got)
	}
	c, err = config.Load(config.Source{
		File: file,
		Env:  []string{"FAIRLEAD_PUBLIC_URL=https://c.example:8443, https://d.example"},
		Flags: map[string][]string{
			"trusted-proxies": {"192.0.2.1", "::ffff:192.0.2.9,2001:db8::/32"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.PublicURL) != 2 || c.PublicURL[0].String() != "https://c.example:8443" {
		t.Errorf("public URLs: %v", c.PublicURL)
	}
	if got := c.Proxies(); len(got) != 3 || got[1].String() != "192.0.2.9/32" {
		t.Errorf("proxies: %v", got)
	}
}

// TestBadFile holds one bad file per line: what it says and what must be read
// in the answer.
func TestBadFile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body string
		want []string
	}{
		"unknown key with line":     {"data: x\n\npublic_url: https://a.example\n", []string{"public_url", "fairlead.yaml:3", "is no setting", "did you mean public-url?"}},
		"unknown key, nothing near": {"color: blue\n", []string{"color", "fairlead.yaml:1", "is no setting"}},
		"key twice":                 {"data: x\nlisten: :1\ndata: y\n", []string{"data", "fairlead.yaml:3", "already in line 1"}},
		"no value":                  {"data:\n", []string{"data", "fairlead.yaml:1", "has no value"}},
		"map for a value":           {"data:\n  path: x\n", []string{"data", "flat list"}},
		"list for a value":          {"data: [x, y]\n", []string{"data", "takes one value"}},
		"nested list":               {"public-url: [[x]]\n", []string{"public-url", "flat list"}},
		"two documents":             {"data: x\n---\ndata: y\n", []string{"more than one YAML document"}},
		"no mapping":                {"- data\n", []string{"must be a list of lines"}},
		"no YAML":                   {"data: [\n", []string{"is no YAML", "line 1"}},
		"key that is a list":        {"? [data]\n: x\n", []string{"is no setting"}},
		"bad value with line":       {"\ntoken-lifetime: 5\n", []string{"token-lifetime", `"5"`, "fairlead.yaml:2", "no duration", "--token-lifetime", "FAIRLEAD_TOKEN_LIFETIME"}},
		"a billion laughs":          {"a: &a [x, x]\nb: &b [*a, *a]\ndata: *b\n", []string{"data", "flat list"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(config.Source{File: write(t, c.body)})
			requireTold(t, err, c.want)
		})
	}
}

func requireTold(t *testing.T, err error, want []string) {
	t.Helper()
	if _, ok := config.AsError(err); !ok {
		t.Fatalf("got %v, want a *config.Error", err)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error does not say %q:\n%v", w, err)
		}
	}
}

func TestFileThatIsMissingOrTooLarge(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "absent.yaml")
	_, err := config.Load(config.Source{File: missing})
	requireTold(t, err, []string{missing, "cannot be read", "no such file"})
	_, err = config.Load(config.Source{File: write(t, "#"+strings.Repeat("x", 1<<20))})
	requireTold(t, err, []string{"larger than 1 MiB"})
	_, err = config.Load(config.Source{File: t.TempDir()})
	requireTold(t, err, []string{"cannot be read"})
	if _, err := config.Load(config.Source{File: write(t, "")}); err != nil {
		t.Errorf("an empty file: %v", err)
	}
	if _, err := config.Load(config.Source{File: write(t, "# nothing\n")}); err != nil {
		t.Errorf("a file of comments: %v", err)
	}
}

func TestBadValues(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ key, value, want string }{
		{"data", "", "must name a folder"},
		{"listen", "5000", "no address"},
		{"listen", "localhost:http", "bad port"},
		{"listen", ":65536", "bad port"},
		{"public-url", "registry.example.com", "no URL"},
		{"public-url", "ftp://registry.example.com", "no URL"},
		{"public-url", "https://registry.example.com/v2", "more than a host"},
		{"public-url", "https://user:pass@registry.example.com", "more than a host"},
		{"public-url", "https://registry.example.com?x", "more than a host"},
		{"public-url", "https://registry.example.com:", "bad port"},
		{"public-url", "https://registry.example.com:99999", "bad port"},
		{"public-url", "https://a.example,http://a.example", "twice"},
		{"public-url", "https://a.example:8443,http://a.example:8443", "twice"},
		{"trusted-proxies", "proxy.example", "neither an address nor a range"},
		{"trusted-proxies", "10.0.0.1/8", "10.0.0.0/8"},
		{"trusted-proxies", "fe80::1%eth0", "neither"},
		{"log-level", "verbose", "debug, info, warn or error"},
		{"log-level", "INFO+2", "no level"},
		{"log-format", "xml", "auto, text or json"},
		{"pprof-listen", "0.0.0.0:6060", "loopback"},
		{"pprof-listen", ":6060", "loopback"},
		{"tls-cert", "cert.pem", "needs tls-key"},
		{"tls-key", "key.pem", "needs tls-cert"},
		{"token-lifetime", "59s", "at least 1m"},
		{"token-lifetime", "61m", "at most 1h"},
		{"token-lifetime", "-5m", "at least 1m"},
		{"max-manifest-size", "1MiB", "at least 4MiB"},
		{"max-manifest-size", "65MiB", "at most 64MiB"},
		{"max-blob-size", "big", "no size"},
		{"max-blob-size", "-1", "no size"},
		{"max-blob-size", "9999999TiB", "too large"},
		{"max-blob-size", "NaN", "no size"},
		{"max-blob-size", "1e9", "no size"},
		{"min-free-disk", "100%", "no percentage"},
		{"min-free-disk", "a lot", "neither a percentage"},
		{"max-concurrent-uploads", "0", "at least 1"},
		{"max-open-uploads", "many", "no whole number"},
		{"upload-expiry", "1d", "no duration"},
	} {
		t.Run(c.key+"="+c.value, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(config.Source{Flags: map[string][]string{c.key: {c.value}}})
			requireTold(t, err, []string{c.key, c.want, "flag --" + c.key})
		})
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := config.Load(config.Source{
		File:  write(t, "colour: red\nsweep-grace: never\n"),
		Env:   []string{"FAIRLEAD_DATTA=x", "FAIRLEAD_LOG_LEVEL=loud"},
		Flags: map[string][]string{"listen": {"nowhere"}},
	})
	e, ok := config.AsError(err)
	if !ok || len(e.Problems) != 5 {
		t.Fatalf("want five problems, got %v", err)
	}
	requireTold(t, err, []string{"colour", "sweep-grace", "FAIRLEAD_DATTA", "did you mean FAIRLEAD_DATA?", "log-level", "listen"})
}

// TestServiceLinks: Kubernetes puts such variables into every pod that runs
// beside a Service named fairlead; they must not stop the server.
func TestServiceLinks(t *testing.T) {
	t.Parallel()
	_, err := config.Load(config.Source{Env: []string{
		"FAIRLEAD_SERVICE_HOST=10.0.0.1", "FAIRLEAD_SERVICE_PORT=5000", "FAIRLEAD_SERVICE_PORT_HTTP=5000",
		"FAIRLEAD_PORT=tcp://10.0.0.1:5000", "FAIRLEAD_PORT_5000_TCP=tcp://10.0.0.1:5000",
		"FAIRLEAD_PORT_5000_TCP_PROTO=tcp", "FAIRLEAD_PORT_5000_TCP_PORT=5000", "FAIRLEAD_PORT_5000_TCP_ADDR=10.0.0.1",
		"FAIRLEAD_CONSOLE_SERVICE_HOST=10.0.0.2", "FAIRLEAD_CONSOLE_PORT_80_TCP=x",
	}})
	if err != nil {
		t.Error(err)
	}
	_, err = config.Load(config.Source{Env: []string{"FAIRLEAD_PORTS=5000"}})
	requireTold(t, err, []string{"FAIRLEAD_PORTS", "no variable of Fairlead"})
}

func TestUnknownFlag(t *testing.T) {
	t.Parallel()
	_, err := config.Load(config.Source{Flags: map[string][]string{"listne": {"x"}}})
	requireTold(t, err, []string{"listne", "is no setting"})
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		flags map[string][]string
		want  string // "" for none
	}{
		"plain beyond loopback":   {map[string][]string{"listen": {"0.0.0.0:5000"}}, "without TLS"},
		"plain on every address":  {map[string][]string{"listen": {":5000"}}, "without TLS"},
		"plain on localhost":      {map[string][]string{"listen": {"localhost:5000"}}, ""},
		"TLS":                     {map[string][]string{"listen": {":443"}, "tls-cert": {"c"}, "tls-key": {"k"}}, ""},
		"behind a proxy":          {map[string][]string{"listen": {":80"}, "public-url": {"https://a.example"}, "trusted-proxies": {"10.0.0.1"}}, ""},
		"behind an unknown proxy": {map[string][]string{"listen": {":80"}, "public-url": {"https://a.example"}}, "no proxy is trusted"},
		"http URL with TLS":       {map[string][]string{"tls-cert": {"c"}, "tls-key": {"k"}, "public-url": {"http://a.example"}}, "plain http"},
		"everybody is trusted":    {map[string][]string{"trusted-proxies": {"0.0.0.0/0"}}, "trusts everybody"},
		"expiry below interval":   {map[string][]string{"upload-expiry": {"1m"}}, "shorter than sweep-interval"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, err := config.Load(config.Source{Flags: c.flags})
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(cfg.Warnings(), "\n")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("warnings %q, want %q", got, c.want)
			}
		})
	}
}

func TestCheckFiles(t *testing.T) {
	t.Parallel()
	c, err := config.Load(config.Source{Flags: map[string][]string{"tls-cert": {"absent.pem"}, "tls-key": {"absent.pem"}}})
	if err != nil {
		t.Fatal(err)
	}
	requireTold(t, c.CheckFiles(), []string{"tls-cert", "cannot be used", "absent.pem"})
	c, err = config.Load(config.Source{Flags: map[string][]string{"operator-token-file": {"absent.token"}}})
	if err != nil {
		t.Fatal(err)
	}
	requireTold(t, c.CheckFiles(), []string{"operator-token-file", "absent.token"})
	c.OperatorTokenFile = write(t, "x")
	if err := c.CheckFiles(); err != nil {
		t.Error(err)
	}
}

// TestSwitch: what is on or off takes true and false, from everywhere.
func TestSwitch(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "f.yaml")
	if err := os.WriteFile(file, []byte("anonymous-public: true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]config.Source{
		"flag": {Flags: map[string][]string{"anonymous-public": {"true"}}},
		"env":  {Env: []string{"FAIRLEAD_ANONYMOUS_PUBLIC=true"}},
		"file": {File: file},
	} {
		if c, err := config.Load(s); err != nil || !c.AnonymousPublic {
			t.Errorf("%s: %v, %v", name, c.AnonymousPublic, err)
		}
	}
	for _, v := range []string{"yes", "1", "TRUE", ""} {
		_, err := config.Load(config.Source{Flags: map[string][]string{"anonymous-public": {v}}})
		if err == nil || !strings.Contains(err.Error(), "anonymous-public") {
			t.Errorf("%q: %v", v, err)
		}
	}
}
