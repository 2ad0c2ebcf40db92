package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Names of the targets.
const (
	fairlead     = "fairlead"
	fairleadLine = "fairlead, access line on"
	distribution = "distribution"
	nginx        = "nginx"
	plain        = "write+fsync"
)

// target is something that is measured. The plain one has no process.
type target struct {
	name string
	dir  string // its data
	host string
	run  func(t *target, core int) (*process, error)
	url  string // answers when it is ready
	proc *process
	auth string // the Authorization header's value
}

// find looks for a program that `make deps` installs.
func find(root, name string) (string, error) {
	if path, err := exec.LookPath(filepath.Join(root, "bin", "tools", name)); err == nil {
		return path, nil
	}
	path, err := exec.LookPath(name)
	if err != nil {
		for _, dir := range []string{"/usr/sbin", "/usr/local/sbin"} {
			if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
				return path, nil
			}
		}
		return "", fmt.Errorf("%s is missing: run make deps", name)
	}
	return path, nil
}

func newTarget(ctx context.Context, name, dir string) (*target, error) {
	t := &target{name: name, dir: dir}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	t.host, err = freePort(ctx)
	t.url = "http://" + t.host + "/v2/"
	return t, err
}

// newFairlead runs with its defaults. level is that of the log, which goes to
// a file: at warn there is no access line.
func newFairlead(ctx context.Context, binary, name, dir, level string) (*target, error) {
	t, err := newTarget(ctx, name, dir)
	if err != nil {
		return nil, err
	}
	t.url = "http://" + t.host + "/readyz"
	t.run = func(t *target, core int) (*process, error) {
		args := []string{"serve", "--data", filepath.Join(t.dir, "data"), "--listen", t.host, "--log-level", level}
		if p := os.Getenv("BENCH_PPROF"); p != "" && name == fairlead {
			args = append(args, "--pprof-listen", p)
		}
		return start(core, t.dir, filepath.Join(t.dir, "log"), clean(os.Environ()), binary, args...)
	}
	return t, nil
}

const distributionConfig = `version: 0.1
log:
  level: error
  accesslog:
    disabled: true
storage:
  cache:
    blobdescriptor: inmemory
  delete:
    enabled: true
  filesystem:
    rootdirectory: %s
  maintenance:
    uploadpurging:
      enabled: false
http:
  addr: %s
  secret: bench
`

func newDistribution(ctx context.Context, binary, dir string) (*target, error) {
	t, err := newTarget(ctx, distribution, dir)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf(distributionConfig, filepath.Join(dir, "data"), t.host)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	t.run = func(t *target, core int) (*process, error) {
		env := append(clean(os.Environ()), "OTEL_TRACES_EXPORTER=none")
		return start(core, t.dir, filepath.Join(t.dir, "log"), env, binary, "serve", config)
	}
	return t, nil
}

const nginxConfig = `%sdaemon off;
worker_processes 2;
pid %[2]s/pid;
error_log %[2]s/log error;
events { worker_connections 1024; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  default_type application/octet-stream;
  client_body_temp_path %[2]s/body;
  proxy_temp_path %[2]s/proxy;
  fastcgi_temp_path %[2]s/fastcgi;
  uwsgi_temp_path %[2]s/uwsgi;
  scgi_temp_path %[2]s/scgi;
  server {
    listen %[3]s;
    root %[2]s/data;
  }
}
`

func newNginx(ctx context.Context, binary, dir string) (*target, error) {
	t, err := newTarget(ctx, nginx, dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, "data", "v2"), 0o700); err != nil {
		return nil, err
	}
	user := ""
	if os.Getuid() == 0 {
		user = "user root;\n" // else its workers could not read the files
	}
	config := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, nginxConfig, user, dir, t.host), 0o600); err != nil {
		return nil, err
	}
	t.run = func(t *target, core int) (*process, error) {
		return start(core, t.dir, filepath.Join(t.dir, "log"), clean(os.Environ()), binary, "-c", config, "-p", t.dir, "-e", filepath.Join(t.dir, "log"))
	}
	return t, nil
}

// up starts the target on a core (-1: on all) and waits until it answers.
func (t *target) up(ctx context.Context, core int) error {
	if t.run == nil {
		return nil
	}
	var err error
	if t.proc, err = t.run(t, core); err != nil {
		return err
	}
	return t.proc.ready(ctx, t.url)
}

func (t *target) down() error {
	if t.proc == nil {
		return nil
	}
	err := t.proc.stop()
	t.proc = nil
	return err
}

// signIn fetches a registry token for the repositories, as clients do;
// Fairlead only. It lives for minutes, so each measure fetches its own.
func (t *target) signIn(ctx context.Context, repos ...string) error {
	if t.name != fairlead && t.name != fairleadLine {
		return nil
	}
	secret, err := os.ReadFile(filepath.Join(t.dir, "data", "operator.token"))
	if err != nil {
		return err
	}
	q := url.Values{"service": {"fairlead"}}
	for _, r := range repos {
		q.Add("scope", "repository:"+r+":pull,push")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.host+"/token?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	r.SetBasicAuth("token", strings.TrimSpace(string(secret)))
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("fetch a registry token: %w", err)
	}
	defer a.Body.Close()
	var body struct {
		Token string `json:"token"`
	}
	if err := json.NewDecoder(a.Body).Decode(&body); err != nil {
		return fmt.Errorf("fetch a registry token: %s: %w", a.Status, err)
	}
	if body.Token == "" {
		return errors.New("fetch a registry token: " + a.Status)
	}
	t.auth = "Bearer " + body.Token
	return nil
}
