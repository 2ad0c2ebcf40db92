// Package credhelper speaks the protocol of docker's credential helpers, both
// sides of it: a Helper is a program named docker-credential-NAME that keeps
// secrets, in the system's key ring for example; a Server is such a program.
// The verb is the only argument, everything else goes through stdin and
// stdout, so no secret stands on a command line.
package credhelper

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// ErrNotFound says that the helper has nothing under the key.
var ErrNotFound = errors.New("the credential helper holds no such secret")

const (
	prefix = "docker-credential-"
	// patience is how long a helper may take: it may ask a person.
	patience = 2 * time.Minute
	// grace is how long the pipes of a helper that was ended may stay open:
	// its children may hold them.
	grace = time.Second
	// most is the longest answer that is quoted, in bytes.
	most = 200
)

// Helper is the program docker-credential-NAME.
type Helper struct{ name string }

// New names a helper. It touches nothing. Error: the name is none of a
// program.
func New(name string) (Helper, error) {
	if name == "" || strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	}) {
		return Helper{}, fmt.Errorf("%q is no credential helper: give the NAME of a program docker-credential-NAME, such as pass", name)
	}
	return Helper{name}, nil
}

type entry struct {
	ServerURL string
	Username  string
	Secret    string
}

// Store keeps a secret under a key, which looks like a URL, in the place of
// what was there.
func (h Helper) Store(ctx context.Context, key, user, secret string) error {
	body, err := json.Marshal(entry{key, user, secret})
	if err != nil {
		return fmt.Errorf("write the secret: %w", err)
	}
	_, err = h.run(ctx, "store", string(body))
	return err
}

// Get gives what is kept under a key. Error: ErrNotFound.
func (h Helper) Get(ctx context.Context, key string) (user, secret string, err error) {
	out, err := h.run(ctx, "get", key)
	if err != nil {
		return "", "", err
	}
	var e entry
	if err := json.Unmarshal(out, &e); err != nil {
		return "", "", fmt.Errorf("%s%s get: its answer is no credential", prefix, h.name)
	}
	return e.Username, e.Secret, nil
}

// Erase forgets what is kept under a key. Error: ErrNotFound.
func (h Helper) Erase(ctx context.Context, key string) error {
	_, err := h.run(ctx, "erase", key)
	return err
}

// List gives the users by key of all that is kept.
func (h Helper) List(ctx context.Context) (map[string]string, error) {
	out, err := h.run(ctx, "list", "unused") // as docker does: some helpers read
	if err != nil {
		return nil, err
	}
	users := map[string]string{}
	if err := json.Unmarshal(out, &users); err != nil {
		return nil, fmt.Errorf("%s%s list: its answer is no list", prefix, h.name)
	}
	return users, nil
}

// run runs the helper. What it says when it fails stands on its stdout.
func (h Helper) run(ctx context.Context, verb, stdin string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, prefix+h.name, verb)
	cmd.WaitDelay = grace
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return out.Bytes(), nil
	case errors.Is(err, exec.ErrNotFound):
		return nil, fmt.Errorf("there is no program %s%s: install it, or leave the credential helper out", prefix, h.name)
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s%s %s gave no answer: %w", prefix, h.name, verb, ctx.Err())
	case errors.As(err, &exit):
		said := strings.TrimSpace(out.String() + errs.String())
		if strings.Contains(said, "credentials not found") {
			return nil, ErrNotFound
		}
		if len(said) > most {
			said = said[:most] + "…"
		}
		return nil, fmt.Errorf("%s%s %s: %s", prefix, h.name, verb, said)
	}
	return nil, fmt.Errorf("run %s%s: %w", prefix, h.name, err)
}
