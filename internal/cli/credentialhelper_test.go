package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	v1 "fairlead.dev/fairlead/api/v1"
)

// The commands of testdata/server/credential-helper.txtar.
var helperCommands = map[string]func(*testscript.TestScript, bool, []string){
	// "hostfile HOST" writes host and url, as clients name a registry.
	"hostfile": func(ts *testscript.TestScript, _ bool, args []string) {
		ts.Check(os.WriteFile(ts.MkAbs("host"), []byte(args[0]), 0o600))
		ts.Check(os.WriteFile(ts.MkAbs("url"), []byte("http://"+strings.ToUpper(args[0])+"/v2/\n"), 0o600))
	},
	// "storefile HOST USER FILE" writes request, what a client stores.
	"storefile": func(ts *testscript.TestScript, _ bool, args []string) {
		b, err := json.Marshal(map[string]string{"ServerURL": args[0], "Username": args[1], "Secret": strings.TrimSpace(ts.ReadFile(args[2]))})
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs("request"), b, 0o600))
	},
	// "secretof JSON FILE" takes the secret out of an answer.
	"secretof": func(ts *testscript.TestScript, _ bool, args []string) {
		var answer struct{ Secret string }
		ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &answer))
		ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(answer.Secret+"\n"), 0o600))
	},
	// "credhelpers FILE" is a client's configuration that names the helper.
	"credhelpers": func(ts *testscript.TestScript, _ bool, args []string) {
		text := fmt.Sprintf(`{"credHelpers": {%q: "fairlead"}}`, ts.Getenv("REGISTRY"))
		ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
	},
	"perm": func(ts *testscript.TestScript, _ bool, args []string) {
		info, err := os.Stat(ts.MkAbs(args[0]))
		ts.Check(err)
		if got := fmt.Sprintf("%o", info.Mode().Perm()); got != args[1] {
			ts.Fatalf("%s has the mode %s", args[0], got)
		}
	},
	// "bigfile FILE" has a byte more than 1 MiB.
	"bigfile": func(ts *testscript.TestScript, _ bool, args []string) {
		ts.Check(os.WriteFile(ts.MkAbs(args[0]), bytes.Repeat([]byte("a"), 1<<20+1), 0o600))
	},
	// "crowd N FILE": N processes get at once, and get the same.
	"crowd": crowd,
}

func crowd(ts *testscript.TestScript, _ bool, args []string) {
	n := 0
	_, err := fmt.Sscan(args[0], &n)
	ts.Check(err)
	answers, failures := make([]string, n), make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			cmd := exec.Command(programCredential, "get")
			cmd.Env = []string{"HOME=" + ts.Getenv("HOME"), "PATH=" + ts.Getenv("PATH")}
			cmd.Stdin = strings.NewReader(ts.ReadFile(args[1]))
			out, err := cmd.Output()
			answers[i], failures[i] = string(out), err
		})
	}
	all.Wait()
	for i := range n {
		if failures[i] != nil || answers[i] != answers[0] {
			ts.Fatalf("process %d: %v; its answer is another than the first one's: %v", i, failures[i], answers[i] != answers[0])
		}
	}
}

func TestHostsAsClientsNameThem(t *testing.T) {
	t.Parallel()
	l := &logins{Current: "second", Contexts: []login{
		{Name: "first", Server: "https://registry.example.com"},
		{Name: "second", Server: "https://registry.example.com"},
		{Name: "odd", Server: "https://registry.example.com:8443"},
		{Name: "plain", Server: "http://plain.example"},
		{Name: "local", Server: "http://127.0.0.1:5000"},
		{Name: "six", Server: "http://[::1]:5000"},
	}}
	for server, want := range map[string]string{
		"registry.example.com":                 "second first",
		"registry.example.com:443":             "second first",
		"Registry.Example.COM":                 "second first",
		"https://registry.example.com":         "second first",
		"https://registry.example.com/v2/":     "second first",
		"registry.example.com/team/app":        "second first",
		"registry.example.com:":                "second first",
		"http://registry.example.com":          "",
		"registry.example.com:8443":            "odd",
		"registry.example.com:5000":            "",
		"registry.example.com.":                "",
		"xregistry.example.com":                "",
		"plain.example":                        "plain",
		"plain.example:80":                     "plain",
		"https://plain.example":                "",
		"127.0.0.1:5000":                       "local",
		"https://127.0.0.1:5000":               "local", // clients that know no http
		"localhost:5000":                       "",
		"[::1]:5000":                           "six",
		"token:flt_x@registry.example.com":     "",
		"ftp://registry.example.com":           "",
		"https://":                             "",
		"%zz":                                  "",
		"\x00\xff":                             "",
		"registry.example.com:port":            "",
		"https://index.docker.io/v1/":          "",
		"https://registry.example.com@evil.io": "",
	} {
		var got []string
		for _, c := range l.of(server) {
			got = append(got, c.Name)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q is of %q, want %q", server, got, want)
		}
	}
}

func TestLeases(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 7, 1, 10, 0, 0, 0, time.UTC)
	in := func(d time.Duration) *time.Time { at := now.Add(d); return &at }
	for _, c := range []struct {
		who    v1.Whoami
		access string
		life   string
	}{
		{v1.Whoami{Kind: "operator"}, "", ""},
		{v1.Whoami{Kind: "account", Access: "readonly"}, "", ""},
		{v1.Whoami{Kind: "account", Access: "readwrite"}, "", ""},
		{v1.Whoami{Kind: "account", Access: "admin"}, "readwrite", "4h"},
		{v1.Whoami{Kind: "account", Access: "admin", Expires: in(5 * time.Hour)}, "readwrite", "4h"},
		{v1.Whoami{Kind: "account", Access: "admin", Expires: in(90*time.Minute + time.Millisecond)}, "readwrite", "1h30m"},
		{v1.Whoami{Kind: "account", Access: "admin", Expires: in(-time.Hour)}, "readwrite", "1m"}, // this clock is fast
		{v1.Whoami{Kind: "account", Access: "cluster"}, "readonly", "4h"},
	} {
		spec, _, ok := leaseFor(c.who, now)
		if ok != (c.access != "") || spec.Access != c.access || spec.Expires != c.life {
			t.Errorf("%+v: %+v, %v", c.who, spec, ok)
		}
	}
	old := lease{Login: "a", Value: "old", Fresh: now.Add(time.Minute)}
	for i, c := range []struct {
		fresh time.Duration
		login string
		want  bool
	}{
		{time.Minute, "a", true},
		{0, "a", false},
		{-time.Minute, "a", false},
		{time.Minute, "b", false},
		{time.Minute, "", false},
		{5 * time.Hour, "a", false}, // the clock was set back
	} {
		l, ok := freshOf([]lease{old, {Login: "a", Value: "new", Fresh: now.Add(c.fresh)}}, c.login, now)
		if ok != c.want || ok && l.Value != "new" {
			t.Errorf("%d: %v, %v", i, l, ok)
		}
	}
	if _, ok := freshOf(nil, "a", now); ok {
		t.Error("no lease is fresh")
	}
}

// TestSilentServer: a server that takes the connection and says nothing is
// given up.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	home := t.TempDir()
	e := env{environ: []string{"HOME=" + home}, stderr: os.Stderr}
	at := login{Name: "x", Server: "http://" + l.Addr().String(), Token: "flt_secret"}
	if err := changeLogins(t.Context(), e, func(l *logins) error { l.put(at); return l.write() }); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	_, _, err = keeper{e}.Get(t.Context(), l.Addr().String())
	if err == nil || !strings.Contains(err.Error(), at.Server+" gave no answer within 10s") || strings.Contains(err.Error(), "flt_") {
		t.Errorf("%v", err)
	}
	if took := time.Since(start); took < serverTime || took > 2*serverTime {
		t.Errorf("it took %v", took)
	}
}

// TestLoginLock: one at a time, and whoever waits can be stopped.
func TestLoginLock(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	e := env{environ: []string{"HOME=" + home}}
	unlock, err := lockLogins(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := lockLogins(ctx, e); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("twice: %v", err)
	}
	unlock()
	unlock, err = lockLogins(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
	if info, err := os.Stat(filepath.Join(home, ".config", "fairlead", "lock")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := lockLogins(t.Context(), env{}); err == nil || !strings.Contains(err.Error(), "set HOME") {
		t.Errorf("without a home: %v", err)
	}
}
