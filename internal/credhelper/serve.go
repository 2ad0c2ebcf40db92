package credhelper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// longest is the longest request that is read, in bytes.
const longest = 1 << 20

// The texts of the protocol that clients compare.
const (
	textNotFound = "credentials not found in native keychain"
	textNoServer = "no credentials server URL"
	textNoUser   = "no credentials username"
)

// Keeper is what a credential helper gives out. A server is a host or a URL,
// as the client names it.
type Keeper interface {
	// Get gives the credential of a server. Error: ErrNotFound.
	Get(ctx context.Context, server string) (user, secret string, err error)
	// Store keeps a credential in the place of what was there.
	Store(ctx context.Context, server, user, secret string) error
	// Erase forgets a server. Error: ErrNotFound.
	Erase(ctx context.Context, server string) error
	// List gives the users by server.
	List(ctx context.Context) (map[string]string, error)
}

// Server is the other side of the protocol: a program that clients run as
// docker-credential-NAME.
type Server struct {
	Version string // what the verb "version" answers
	Keeper  Keeper
}

// Serve answers one verb: get, store, erase, list or version. A refusal
// stands on stdout, where clients look for it, and is returned: the program
// then ends with 1 and says no more.
func (s Server) Serve(ctx context.Context, verb string, stdin io.Reader, stdout io.Writer) error {
	answer, err := s.answer(ctx, verb, stdin)
	if errors.Is(err, ErrNotFound) {
		answer = textNotFound
	} else if err != nil {
		answer = strings.ReplaceAll(err.Error(), "\n", " ")
	}
	if answer != "" {
		if _, werr := fmt.Fprintln(stdout, answer); werr != nil {
			return errors.Join(err, fmt.Errorf("write the answer: %w", werr))
		}
	}
	return err
}

func (s Server) answer(ctx context.Context, verb string, stdin io.Reader) (string, error) {
	switch verb {
	case "get":
		server, err := readServer(stdin)
		if err != nil {
			return "", err
		}
		user, secret, err := s.Keeper.Get(ctx, server)
		if err != nil {
			return "", err
		}
		return encode(entry{server, user, secret})
	case "store":
		e, err := readEntry(stdin)
		if err != nil {
			return "", err
		}
		return "", s.Keeper.Store(ctx, e.ServerURL, e.Username, e.Secret)
	case "erase":
		server, err := readServer(stdin)
		if err != nil {
			return "", err
		}
		return "", s.Keeper.Erase(ctx, server)
	case "list":
		users, err := s.Keeper.List(ctx)
		if err != nil {
			return "", err
		}
		if users == nil {
			users = map[string]string{}
		}
		return encode(users)
	case "version":
		return s.Version, nil
	}
	return "", fmt.Errorf("unknown action %q: a credential helper knows get, store, erase, list and version", verb)
}

func encode(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("write the answer: %w", err)
	}
	return string(b), nil
}

func readServer(stdin io.Reader) (string, error) {
	b, err := read(stdin)
	if err != nil {
		return "", err
	}
	server := strings.TrimSpace(string(b))
	if server == "" {
		return "", errors.New(textNoServer)
	}
	return server, nil
}

func readEntry(stdin io.Reader) (entry, error) {
	var e entry
	b, err := read(stdin)
	if err != nil {
		return e, err
	}
	switch err := json.Unmarshal(b, &e); { // its text could quote the secret
	case err != nil:
		return e, errors.New("the request is no JSON of ServerURL, Username and Secret")
	case e.ServerURL == "":
		return e, errors.New(textNoServer)
	case e.Username == "":
		return e, errors.New(textNoUser)
	}
	return e, nil
}

func read(stdin io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(stdin, longest+1))
	if err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	if len(b) > longest {
		return nil, fmt.Errorf("the request has more than %d bytes", longest)
	}
	return b, nil
}
