package cli

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"fairlead.dev/fairlead/internal/credhelper"
	"fairlead.dev/fairlead/internal/keyfile"
)

// The variables that name a server. They are no settings of serve.
const (
	serverEnv    = "FAIRLEAD_SERVER"
	tokenFileEnv = "FAIRLEAD_TOKEN_FILE"
)

// maxToken is the longest token that is read, in bytes.
const maxToken = 4 << 10

// login is a registry that somebody signed in to, by the name of the context.
type login struct {
	Name   string `yaml:"name"`
	Server string `yaml:"server"`
	// Token, unless CredentialHelper keeps it.
	Token            string `yaml:"token,omitempty"`
	CredentialHelper string `yaml:"credential-helper,omitempty"`
	InsecureHTTP     bool   `yaml:"insecure-http,omitempty"`
	CAFile           string `yaml:"ca-file,omitempty"`
}

// logins is the login file.
type logins struct {
	Current  string  `yaml:"current,omitempty"`
	Contexts []login `yaml:"contexts"`

	path string
}

// variable gives a variable of the environment.
func (e env) variable(name string) string {
	value := ""
	for _, v := range e.environ {
		if rest, ok := strings.CutPrefix(v, name+"="); ok {
			value = rest
		}
	}
	return value
}

// loginFile is where the logins are kept.
func loginFile(e env) (string, error) {
	dir := e.variable("XDG_CONFIG_HOME")
	if !filepath.IsAbs(dir) { // the specification ignores others
		home := e.variable("HOME")
		if home == "" {
			return "", errors.New("there is no home folder to keep logins in: set HOME or XDG_CONFIG_HOME")
		}
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "fairlead", "contexts.yaml"), nil
}

// readLogins reads the login file. One that is not there has no logins; one
// that others can read is refused.
func readLogins(e env) (*logins, error) {
	path, err := loginFile(e)
	if err != nil {
		return &logins{}, nil // nobody without a home signed in
	}
	l := &logins{path: path}
	text, err := keyfile.Read(path, 1<<20, keyfile.Private)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return l, nil
	case errors.Is(err, keyfile.ErrPermissions):
		return nil, &hintError{err, "chmod 600 " + path}
	case err != nil:
		return nil, fmt.Errorf("read the logins: %w", err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(l); err != nil {
		// The error's text may hold a line of the file, and so a token.
		return nil, &hintError{fmt.Errorf("the login file %s is no list of contexts", path), "mv " + path + " " + path + ".old, then fairlead login URL"}
	}
	return l, nil
}

// write replaces the login file at once.
func (l *logins) write() error {
	if l.path == "" {
		return errors.New("there is no home folder to keep logins in: set HOME or XDG_CONFIG_HOME")
	}
	text, err := yaml.Marshal(l)
	if err != nil {
		return fmt.Errorf("write the logins: %w", err)
	}
	err = keyfile.Replace(l.path, text)
	if errors.Is(err, fs.ErrNotExist) {
		err = keyfile.Create(l.path, text)
	}
	if err != nil {
		return fmt.Errorf("write the logins: %w", err)
	}
	return nil
}

// find gives the context of a name, or nil.
func (l *logins) find(name string) *login {
	i := slices.IndexFunc(l.Contexts, func(c login) bool { return c.Name == name })
	if name == "" || i < 0 {
		return nil
	}
	return &l.Contexts[i]
}

// at gives a context of a server: the current one, if it is, or the first.
func (l *logins) at(server string) *login {
	if c := l.find(l.Current); c != nil && c.Server == server {
		return c
	}
	i := slices.IndexFunc(l.Contexts, func(c login) bool { return c.Server == server })
	if i < 0 {
		return nil
	}
	return &l.Contexts[i]
}

// put adds a context, or replaces the one of its name, and makes it current.
func (l *logins) put(c login) {
	if old := l.find(c.Name); old != nil {
		*old = c
	} else {
		l.Contexts = append(l.Contexts, c)
	}
	l.Current = c.Name
}

// drop removes a context. Without a current one, no other becomes it by
// itself: commands must not go where nobody sent them.
func (l *logins) drop(name string) {
	l.Contexts = slices.DeleteFunc(l.Contexts, func(c login) bool { return c.Name == name })
	if l.Current == name {
		l.Current = ""
	}
}

// helperOf names the helper that keeps a login's token. Our own would ask
// itself for it without end.
func helperOf(name string) (credhelper.Helper, error) {
	if name == programFairlead {
		return credhelper.Helper{}, errors.New(programCredential + " hands out what a login keeps, and keeps nothing itself: name another credential helper, or none")
	}
	return credhelper.New(name)
}

// key is what a credential helper keeps the token under. It differs from
// docker's own key of the same host.
func (c login) key() string { return c.Server + "/fairlead/" + c.Name }

// store keeps the token where the context says, and gives what to write.
func (c login) store(ctx context.Context, value string) (login, error) {
	if c.CredentialHelper == "" {
		c.Token = value
		return c, nil
	}
	h, err := helperOf(c.CredentialHelper)
	if err != nil {
		return c, err
	}
	c.Token = ""
	return c, h.Store(ctx, c.key(), "token", value)
}

// value gives the context's token.
func (c login) value(ctx context.Context) (string, error) {
	if c.CredentialHelper == "" {
		return c.Token, nil
	}
	h, err := helperOf(c.CredentialHelper)
	if err != nil {
		return "", err
	}
	_, value, err := h.Get(ctx, c.key())
	if err != nil {
		return "", &hintError{fmt.Errorf("the token of the context %s: %w", c.Name, err), "fairlead login " + c.Server + " --name " + c.Name}
	}
	return value, nil
}

// erase forgets the token where a helper keeps it.
func (c login) erase(ctx context.Context) error {
	if c.CredentialHelper == "" {
		return nil
	}
	h, err := helperOf(c.CredentialHelper)
	if err != nil {
		return err
	}
	if err := h.Erase(ctx, c.key()); err != nil && !errors.Is(err, credhelper.ErrNotFound) {
		return err
	}
	return nil
}

// readToken reads a token out of a file.
func readToken(path string) (string, error) {
	text, err := keyfile.Read(path, maxToken, keyfile.World)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("there is no token file %s", path)
	}
	if err != nil {
		return "", err
	}
	return tokenIn(string(text), path)
}

// tokenIn takes the token out of what was read; from says where.
func tokenIn(text, from string) (string, error) {
	value := strings.TrimSpace(text)
	switch {
	case value == "":
		return "", fmt.Errorf("%s holds no token", from)
	case strings.ContainsAny(value, " \t\r\n\x00"):
		return "", fmt.Errorf("%s holds more than a token: write its value alone", from)
	}
	return value, nil
}

// readCA reads certificates to trust; none for "". What else is in the file,
// such as a key, is left where it is: the certificates are shown to others.
func readCA(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the CA file: %w", err)
	}
	var out []byte
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			out = append(out, pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes})...)
		}
	}
	if out == nil {
		return nil, usagef("a file with -----BEGIN CERTIFICATE----- in it", "the CA file %s holds no certificate in PEM", path)
	}
	return out, nil
}
