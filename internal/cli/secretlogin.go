package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/dockerconfig"
	"fairlead.dev/fairlead/internal/credhelper"
	"fairlead.dev/fairlead/internal/pullsecret"
)

const (
	// noPasswordHere is why a password is no argument.
	noPasswordHere = "a password does not belong on a command line, where other users and the shell's history see it"
	// maxPassword is more than any, in bytes: some are tokens with claims.
	maxPassword = 64 << 10
)

// loginSource is a server, a user and a password from where nobody sees it.
type loginSource struct {
	server, username, email string
	file, helper            string
	stdin                   bool
	onLine                  string
	patience                time.Duration // with a helper
}

func (l *loginSource) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&l.server, "server", "", "`host` of the registry, as images name it; of Docker Hub https://index.docker.io/v1/")
	f.StringVar(&l.username, "username", "", "`user` of the registry")
	f.BoolVar(&l.stdin, "password-stdin", false, "read the password from the standard input")
	f.StringVar(&l.file, "password-file", "", "read the password from this `file`")
	f.StringVar(&l.helper, "credential-helper", "", "get user and password from docker-credential-`NAME`")
	f.StringVar(&l.email, "email", "", "`address` to write beside the user; registries ignore it")
	for _, name := range []string{"password", "docker-password"} {
		f.StringVar(&l.onLine, name, "", "refused: "+noPasswordHere)
		_ = f.MarkHidden(name) // the flag is there
	}
	for _, flag := range []string{"server", "username", "email"} {
		complete(cmd, flag)
	}
	complete(cmd, "credential-helper", "pass", "secretservice", "osxkeychain", "wincred")
}

// refused says whether a password stands on the command line.
func (l *loginSource) refused(cmd *cobra.Command) bool {
	return cmd.Flags().Changed("password") || cmd.Flags().Changed("docker-password")
}

// given says whether something of a login was, beside the server.
func (l *loginSource) given(cmd *cobra.Command) bool {
	for _, name := range []string{"username", "password-stdin", "password-file", "credential-helper", "email"} {
		if cmd.Flags().Changed(name) {
			return true
		}
	}
	return false
}

// read checks the flags; chosen says that this is the source.
func (l *loginSource) read(cmd *cobra.Command, chosen bool) error {
	hint := cmd.CommandPath() + " --help"
	ways := 0
	for _, yes := range []bool{l.stdin, l.file != "", l.helper != ""} {
		if yes {
			ways++
		}
	}
	switch {
	case !chosen:
		return nil
	case ways > 1:
		return usagef(hint, "give one of --password-stdin, --password-file and --credential-helper")
	case l.server == "":
		return usagef(hint, "name the registry with --server, such as registry.example.com, or %s for Docker Hub", dockerconfig.HubKey)
	case l.username == "" && l.helper == "":
		return usagef(hint, "name the user with --username")
	}
	if l.helper != "" {
		if _, err := credhelper.New(l.helper); err != nil {
			return usagef(hint, "%w", err)
		}
	}
	return nil
}

// entries are one, or one for each namespace of the registry.
func (l *loginSource) entries(ctx context.Context, e env, scopes []string) ([]dockerconfig.Entry, error) {
	user, password, err := l.credential(ctx, e)
	if err != nil {
		return nil, err
	}
	if len(scopes) == 0 {
		scopes = []string{""}
	}
	var out []dockerconfig.Entry
	for _, s := range scopes {
		out = append(out, dockerconfig.Entry{Key: pullsecret.KeyFor(l.server, s), Username: user, Password: password, Email: l.email})
	}
	return out, nil
}

func (l *loginSource) credential(ctx context.Context, e env) (user, password string, err error) {
	switch {
	case l.helper != "":
		return l.ask(ctx)
	case l.file != "":
		password, err = passwordFile(l.file)
	case l.stdin:
		password, err = passwordFrom(e.stdin, "the standard input")
	case e.attended(e.stdin):
		if password, err = prompt(ctx, e, "Password of "+l.username+" at "+l.server+": "); err == nil && password == "" {
			err = errors.New("no password was given")
		}
	default:
		err = usagef("fairlead secret create --help", "there is no terminal to ask for the password on: give --password-stdin, --password-file or --credential-helper")
	}
	return l.username, password, err
}

// ask gets the credential from the helper.
func (l *loginSource) ask(ctx context.Context) (user, password string, err error) {
	h, err := credhelper.New(l.helper)
	if err != nil {
		return "", "", err
	}
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	c, err := fetch(ctx, h, l.helper, l.server)
	switch {
	case errors.Is(err, credhelper.ErrNotFound):
		return "", "", withHint(fmt.Errorf("docker-credential-%s holds nothing for %s", l.helper, l.server), "docker login "+l.server+", or docker-credential-"+l.helper+" list, to see what it holds")
	case err != nil:
		return "", "", err
	case c.Kind() == dockerconfig.KindIdentity:
		return "", "", saidf(tokenHint, "docker-credential-%s holds an identity token for %s, which a kubelet cannot use", l.helper, l.server)
	case l.username != "" && l.username != c.Username:
		return "", "", usagef("fairlead secret create --help", "docker-credential-%s holds the password of %q, not of %q: leave --username out, or correct it", l.helper, shown(c.Username), l.username)
	}
	return c.Username, c.Password, nil
}

// passwordFile reads a password's file. Unlike a token's of ours its mode is
// its owner's business: it may come from a mount.
func passwordFile(path string) (string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", saidf("name a file that is there with --password-file", "there is no password file %s", path)
	}
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	return passwordFrom(f, path)
}

// passwordFrom reads a password without the newline that ends its line.
func passwordFrom(r io.Reader, from string) (string, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxPassword+1))
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	const hint = "printf %s \"$PASSWORD\" | fairlead secret create …"
	switch {
	case len(text) > maxPassword:
		return "", saidf(hint, "%s holds more than a password", from)
	case password == "":
		return "", saidf(hint, "%s holds no password", from)
	case strings.ContainsAny(password, "\r\n\x00"):
		return "", saidf(hint, "%s holds more than a line: write the password alone", from)
	}
	return password, nil
}
