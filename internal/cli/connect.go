package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/admin"
	"fairlead.dev/fairlead/internal/client"
	"fairlead.dev/fairlead/internal/config"
)

// connection are the flags that say which server a command talks to.
type connection struct {
	server, context, caFile string
	insecure                bool
	settings                *settings
	cmd                     *cobra.Command
	noun                    string // what the command is about
	// prefix begins the names of the flags: registry- where --server and
	// --context are others'.
	prefix string
}

// session is the server, or the data folder, that a command talks to.
type session struct {
	// api is the server; nil when the data folder itself was opened.
	api    *client.Client
	upkeep admin.Upkeep
	// name says who answers, for people.
	name string
	// login is the context that it came from; nil if none.
	login *login
	// hosts may stand before a repository's name.
	hosts []string
	close func() error
}

// addConnection gives cmd the flags of a server. noun is what the command's
// hints list, such as namespace.
func addConnection(cmd *cobra.Command, e env, noun string) *connection {
	return addPrefixedConnection(cmd, e, noun, "")
}

// addPrefixedConnection is addConnection where flags of the same names are
// another server's.
func addPrefixedConnection(cmd *cobra.Command, e env, noun, prefix string) *connection {
	c := &connection{cmd: cmd, noun: noun, prefix: prefix}
	f := cmd.Flags()
	f.StringVar(&c.context, prefix+"context", "", "use this `context` of fairlead context list")
	f.StringVar(&c.server, prefix+"server", "", "use the server at this `URL` ("+serverEnv+"); its token is that of a login, or in "+tokenFileEnv)
	f.StringVar(&c.caFile, prefix+"ca-file", "", "trust the certificates in this `file` for --"+prefix+"server")
	f.BoolVar(&c.insecure, prefix+"insecure-http", false, "let --"+prefix+"server be plain http on another machine: the token travels in clear")
	complete(cmd, prefix+"server")
	_ = cmd.RegisterFlagCompletionFunc(prefix+"context", completeContexts(e))
	c.settings = addSettings(cmd, "data")
	return c
}

// errNobody says that no server is named anywhere.
var errNobody error = &hintError{errors.New("there is no server to talk to: nobody is signed in, and none runs here"), "fairlead login URL"}

// open finds the server: flags first, then the environment, the current
// context, and what runs on the default data folder. offline allows opening a
// data folder that no server runs on.
func (c *connection) open(ctx context.Context, e env, offline bool) (*session, error) {
	f := c.cmd.Flags()
	hint := c.cmd.CommandPath() + " --help"
	named := c.server != "" || c.context != ""
	switch {
	case c.server != "" && c.context != "":
		return nil, usagef(hint, "give --%sserver or --%[1]scontext, not both", c.prefix)
	case named && (f.Changed("data") || f.Changed("config")):
		return nil, usagef(hint, "--%sserver and --%[1]scontext name a server, --data and --config a data folder: give one", c.prefix)
	case named:
		return c.remote(ctx, e, c.server)
	case f.Changed("data"), f.Changed("config"):
		return c.local(ctx, e, offline)
	case e.variable(serverEnv) != "":
		return c.remote(ctx, e, e.variable(serverEnv))
	}
	_, origins, err := c.settings.load(e)
	if err != nil {
		return nil, err
	}
	if origins["data"] != "default" {
		return c.local(ctx, e, offline)
	}
	l, err := readLogins(e)
	if err != nil {
		return nil, err
	}
	if l.Current != "" {
		return c.remote(ctx, e, "")
	}
	s, err := c.local(ctx, e, offline)
	if err != nil && (errors.Is(err, errNoFolder) || errors.Is(err, client.ErrNoServer)) {
		return nil, errNobody
	}
	return s, err
}

// remote makes the session of a server, or of a context if that is "".
func (c *connection) remote(ctx context.Context, e env, server string) (*session, error) {
	l, err := readLogins(e)
	if err != nil {
		return nil, err
	}
	at := login{Server: server, InsecureHTTP: c.insecure, CAFile: c.caFile}
	var from *login
	file := ""
	if server == "" {
		name := c.context
		if name == "" {
			name = l.Current
		}
		if from = l.find(name); from == nil {
			return nil, usagef("fairlead context list", "there is no context %q", name)
		}
		at = *from
	} else {
		u, err := client.ParseServer(server)
		if err != nil {
			return nil, usagef(c.cmd.CommandPath()+" --"+c.prefix+"server https://HOST", "%w", err)
		}
		at.Server = u.String()
		if file = e.variable(tokenFileEnv); file == "" {
			if from = l.at(at.Server); from == nil {
				return nil, &hintError{fmt.Errorf("nobody is signed in to %s: %w", at.Server, errSignIn), "fairlead login " + at.Server + ", or set " + tokenFileEnv}
			}
			at.Name, at.Token, at.CredentialHelper = from.Name, from.Token, from.CredentialHelper
			at.InsecureHTTP = at.InsecureHTTP || from.InsecureHTTP
			if at.CAFile == "" {
				at.CAFile = from.CAFile
			}
		}
	}
	s, err := dial(at, func() (string, error) {
		if file != "" {
			return readToken(file)
		}
		return at.value(ctx)
	})
	if err != nil {
		return nil, err
	}
	s.login = from
	return s, nil
}

// errSignIn is wrapped by errors that signing in mends.
var errSignIn = errors.New("sign in first")

// dial makes the session of a login, without touching the server.
func dial(at login, token func() (string, error)) (*session, error) {
	ca, err := readCA(at.CAFile)
	if err != nil {
		return nil, err
	}
	u, err := client.ParseServer(at.Server)
	if err != nil {
		return nil, err
	}
	api, err := client.New(client.Options{Server: u.String(), Token: token, CA: ca, InsecureHTTP: at.InsecureHTTP, Version: build().Version})
	if err != nil {
		return nil, usagef("fairlead login "+at.Server+" --insecure-http", "%w", err)
	}
	return &session{api: api, upkeep: api, name: u.String(), hosts: []string{u.Host}, close: api.Close}, nil
}

// local makes the session of the data folder: of the server that runs on it,
// or of the folder itself where that is enough.
func (c *connection) local(ctx context.Context, e env, offline bool) (*session, error) {
	cfg, _, err := c.settings.load(e)
	if err != nil {
		return nil, err
	}
	s := &session{name: "the server of " + cfg.Data, hosts: hostsOf(cfg)}
	if offline {
		u, closeUpkeep, err := e.upkeep(ctx, cfg)
		if err != nil {
			return nil, err
		}
		s.upkeep, s.close = u, closeUpkeep
		s.api, _ = u.(*client.Client) // what serverOr gives while a server runs
		return s, nil
	}
	api, err := control(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s.api, s.upkeep, s.close = api, api, api.Close
	return s, nil
}

// control reaches the server that runs on a data folder.
func control(ctx context.Context, cfg config.Config) (*client.Client, error) {
	api := client.Socket(filepath.Join(cfg.Data, controlSocket))
	err := api.Ping(ctx)
	if errors.Is(err, client.ErrNoServer) {
		if info, serr := os.Stat(cfg.Data); serr != nil || !info.IsDir() {
			return nil, noFolder(cfg.Data)
		}
		return nil, &hintError{fmt.Errorf("%w on the data folder %s", client.ErrNoServer, cfg.Data), "fairlead serve --data " + cfg.Data}
	}
	if err != nil {
		return nil, foreign(cfg.Data, err)
	}
	return api, nil
}

// hostsOf are the names that the server of a configuration goes by.
func hostsOf(cfg config.Config) []string {
	hosts := []string{cfg.Listen}
	for _, o := range cfg.PublicURL {
		hosts = append(hosts, o.Host)
	}
	if host, port, err := net.SplitHostPort(cfg.Listen); err == nil && client.Loopback(host) {
		hosts = append(hosts, "localhost:"+port)
	}
	return hosts
}

// with runs do with the server that the flags name. what begins the error's
// sentence.
func (c *connection) with(e env, what string, do func(context.Context, *session) error) error {
	return c.run(e, what, false, do)
}

// withAny is with, for what a data folder without a server can do as well.
func (c *connection) withAny(e env, what string, do func(context.Context, *session) error) error {
	return c.run(e, what, true, do)
}

func (c *connection) run(e env, what string, offline bool, do func(context.Context, *session) error) error {
	ctx := c.cmd.Context()
	s, err := c.open(ctx, e, offline)
	if err != nil {
		return failed(what, err)
	}
	err = advised(do(ctx, s), s, c.noun)
	if cerr := s.close(); cerr != nil {
		err = errors.Join(err, cerr)
	}
	return failed(what, err)
}

// trim takes the server's host off a reference; another one's is refused.
func (s *session) trim(text, hint string) (string, error) {
	first, rest, more := strings.Cut(text, "/")
	if !more || !strings.ContainsAny(first, ".:") && first != "localhost" {
		return text, nil
	}
	if slices.Contains(s.hosts, strings.ToLower(first)) {
		return rest, nil
	}
	if strings.Contains(text, "://") {
		if u, err := url.Parse(text); err == nil && slices.Contains(s.hosts, u.Host) {
			return strings.TrimPrefix(u.Path, "/"), nil
		}
	}
	return "", usagef(hint, "%q is not of this registry (%s): leave the host out, or choose its context with --context", first, s.name)
}

// target reads REPO, REPO:TAG or REPO@DIGEST, perhaps with the host.
func (s *session) target(text, hint string) (target, error) {
	short, err := s.trim(text, hint)
	if err != nil {
		return target{}, err
	}
	return parseTarget(short, hint)
}

// image is target; no tag means latest.
func (s *session) image(text, hint string) (target, error) {
	t, err := s.target(text, hint)
	if err == nil && t.ref.IsZero() {
		t.ref.Tag = "latest"
	}
	return t, err
}

// repository reads REPO alone.
func (s *session) repository(text, hint string) (string, error) {
	t, err := s.target(text, hint)
	if err == nil && !t.ref.IsZero() {
		err = usagef(hint, "%q names an image: give its repository alone, without a tag or digest", text)
	}
	return string(t.repo), err
}
