package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/client"
)

// loginFlags are those of login.
type loginFlags struct {
	at                login
	stdin             bool
	tokenFile, onLine string
	clients           []string
}

// noTokenHere is why a token is no argument.
const noTokenHere = "a token does not belong on a command line, where other users and the shell's history see it"

func newLogin(e env) *cobra.Command {
	var l loginFlags
	cmd := &cobra.Command{
		Use:   "login URL",
		Short: "Sign in to a registry",
		Long: `Sign in to a registry with a token, and let the commands that follow talk to it.
The token is asked for on a terminal, and otherwise read from the standard
input. The server is asked who it stands for before it is kept: in
contexts.yaml in the folder fairlead of $XDG_CONFIG_HOME or ~/.config, readable
by you only, or in a credential helper of docker.

Without a URL, sign in to the current context's server again. With --client,
docker or podman is signed in, too; with the credential helper
docker-credential-fairlead clients use this login instead (docs/cli.md).`,
		Example: `  fairlead login https://registry.example.com
  fairlead login http://127.0.0.1:5000 --name local --token-file fairlead-data/operator.token
  fairlead token add --quiet | fairlead login https://registry.example.com --name robot
  fairlead login https://registry.example.com --credential-helper pass --client docker`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				// The argument is not repeated: it may be the token.
				return usagef("fairlead login URL", "login takes one URL; %s: it is asked for, or read from the standard input or --token-file", noTokenHere)
			}
			return nil
		},
		ValidArgsFunction: completeServers(e),
	}
	l.add(cmd)
	_ = cmd.RegisterFlagCompletionFunc("name", completeContexts(e))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().Changed("token") {
			return usagef("fairlead login URL", "%s: leave --token out, and it is asked for", noTokenHere)
		}
		file, err := readLogins(e)
		if err != nil {
			return failed("sign in", err)
		}
		if err := l.read(file, args); err != nil {
			return err
		}
		return failed("sign in", l.run(cmd.Context(), e))
	}
	return cmd
}

func (l *loginFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&l.at.Name, "name", "", "`name` of the context (default the server's host)")
	f.BoolVar(&l.stdin, "token-stdin", false, "read the token from the standard input, also on a terminal")
	f.StringVar(&l.tokenFile, "token-file", "", "read the token from this `file`")
	f.StringVar(&l.at.CredentialHelper, "credential-helper", "", "keep the token in docker-credential-`NAME`, such as pass, secretservice or osxkeychain")
	f.StringVar(&l.at.CAFile, "ca-file", "", "trust the certificates in this `file`")
	f.BoolVar(&l.at.InsecureHTTP, "insecure-http", false, "let the token travel in clear to another machine")
	f.StringSliceVar(&l.clients, "client", nil, "also sign in `docker or podman`, by their own login")
	f.StringVar(&l.onLine, "token", "", "refused: "+noTokenHere)
	_ = f.MarkHidden("token") // the flag is there
	complete(cmd, "client", "docker", "podman")
	complete(cmd, "credential-helper", "pass", "secretservice", "osxkeychain", "wincred")
}

// read checks the flags, and fills in what they leave out.
func (l *loginFlags) read(file *logins, args []string) error {
	const hint = "fairlead login URL"
	server := ""
	if len(args) == 1 {
		server = args[0]
	}
	if server == "" {
		name := l.at.Name
		if name == "" {
			name = file.Current
		}
		old := file.find(name)
		if old == nil {
			return usagef("fairlead login https://HOST", "name the URL of a registry")
		}
		l.again(*old)
	} else {
		u, err := client.ParseServer(server)
		if err != nil {
			return usagef("fairlead login https://HOST", "%w", err)
		}
		l.at.Server = u.String()
		if l.at.Name == "" {
			l.at.Name = u.Host
		}
	}
	if strings.ContainsAny(l.at.Name, " \t\r\n/") {
		return usagef(hint, "a context's name has no space and no '/'")
	}
	for _, c := range l.clients {
		if c != "docker" && c != "podman" {
			return usagef(hint, "--client is %q: write docker or podman", c)
		}
	}
	if l.stdin && l.tokenFile != "" {
		return usagef(hint, "give --token-stdin or --token-file, not both")
	}
	if l.at.CredentialHelper != "" {
		if _, err := helperOf(l.at.CredentialHelper); err != nil {
			return usagef(hint, "%w", err)
		}
	}
	if l.at.CAFile != "" {
		abs, err := filepath.Abs(l.at.CAFile)
		if err != nil {
			return fmt.Errorf("find the CA file: %w", err)
		}
		l.at.CAFile = abs
	}
	return nil
}

// again signs in to a context as it was, but for what the flags say.
func (l *loginFlags) again(old login) {
	if l.at.CredentialHelper == "" {
		l.at.CredentialHelper = old.CredentialHelper
	}
	if l.at.CAFile == "" {
		l.at.CAFile = old.CAFile
	}
	l.at.InsecureHTTP = l.at.InsecureHTTP || old.InsecureHTTP
	l.at.Name, l.at.Server = old.Name, old.Server
}

func (l *loginFlags) run(ctx context.Context, e env) error {
	value := ""
	s, err := dial(l.at, func() (string, error) { return value, nil })
	if err != nil {
		return err
	}
	defer func() { _ = s.close() }() // only idle connections
	if value, err = l.token(ctx, e); err != nil {
		return err
	}
	who, err := greet(ctx, s, l.at)
	if err != nil {
		return err
	}
	// Before clients sign in: their credential helper may want the lock.
	if err := changeLogins(ctx, e, func(file *logins) error { return file.keep(ctx, e, l.at, value) }); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "Signed in to %s as %s; the context is %s.\n", l.at.Server, whoText(who), l.at.Name)
	return l.signInClients(ctx, e, value)
}

// greet asks the server who the token of a new login stands for.
func greet(ctx context.Context, s *session, at login) (v1.Whoami, error) {
	who, err := s.api.Whoami(ctx)
	if status, _ := refusal(err); status == http.StatusUnauthorized {
		return who, withHint(err, "fairlead login "+at.Server+", with another token")
	}
	return who, advised(err, s, "context")
}

// keep writes down a login, which becomes the current one, with its token. The
// caller holds the lock.
func (l *logins) keep(ctx context.Context, e env, at login, value string) error {
	stored, err := at.store(ctx, value)
	if err != nil {
		return err
	}
	if old := l.find(stored.Name); old != nil && (old.CredentialHelper != stored.CredentialHelper || old.Server != stored.Server) {
		if err := errors.Join(endLeases(ctx, e, *old), old.erase(ctx)); err != nil {
			fmt.Fprintln(e.stderr, "warning: the token of before is still in its credential helper: "+err.Error())
		}
	}
	l.put(stored)
	return l.write()
}

// whoText says in a phrase who somebody is.
func whoText(w v1.Whoami) string {
	if w.Kind == "operator" {
		return "the operator"
	}
	text := w.Name
	if w.Account != "" {
		text += " of the account " + w.Account
	}
	if w.Access != "" {
		text += ", " + w.Access
	}
	return text
}

// token reads the token: from a file, a terminal or the standard input.
func (l *loginFlags) token(ctx context.Context, e env) (string, error) {
	if l.tokenFile != "" {
		return readToken(l.tokenFile)
	}
	if !l.stdin && e.attended(e.stdin) {
		text, err := prompt(ctx, e, "Token for "+l.at.Server+": ")
		if err != nil {
			return "", err
		}
		return tokenIn(text, "the answer")
	}
	text, err := io.ReadAll(io.LimitReader(e.stdin, maxToken+1))
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	if len(text) > maxToken {
		return "", errors.New("the standard input holds more than a token")
	}
	return tokenIn(string(text), "the standard input")
}

// prompt asks for a secret on a terminal, without echo. When ctx ends, the
// terminal is as it was before.
func prompt(ctx context.Context, e env, question string) (string, error) {
	f, ok := e.stdin.(*os.File)
	if !ok {
		return "", errors.New("there is no terminal to ask on")
	}
	fd := int(f.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("ask on the terminal: %w", err)
	}
	fmt.Fprint(e.stderr, question)
	defer fmt.Fprintln(e.stderr)
	type result struct {
		text []byte
		err  error
	}
	got := make(chan result, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		got <- result{text, err}
	}()
	select {
	case g := <-got:
		if errors.Is(g.err, io.EOF) {
			return "", errors.New("no token was given")
		}
		return string(g.text), g.err
	case <-ctx.Done():
		return "", errors.Join(ctx.Err(), term.Restore(fd, before))
	}
}

// completeServers offers the servers of the login file.
func completeServers(e env) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		l, err := readLogins(e)
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return namesOf(l.Contexts, func(c login) string { return c.Server }), cobra.ShellCompDirectiveNoFileComp
	}
}

// hostOf is what clients call the server.
func hostOf(server string) string {
	u, err := url.Parse(server)
	if err != nil { // it was parsed before
		return server
	}
	return u.Host
}
