package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/admin"
)

// completionTime is how long a person waits after Tab.
const completionTime = 2 * time.Second

// completer asks the server for what may be typed. begun is what is there.
type completer func(ctx context.Context, s *session, begun string) ([]cobra.Completion, error)

// completing completes up to most arguments; any number for -1.
func (c *connection) completing(e env, most int, get completer) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if most >= 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return c.ask(cmd, e, get, begun)
	}
}

// completeFlag completes a flag's value.
func (c *connection) completeFlag(e env, flag string, get completer) {
	// The only error is a flag that does not exist; a test walks them all.
	_ = c.cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return c.ask(cmd, e, get, begun)
	})
}

func (c *connection) completePlace(e env) {
	c.completeFlag(e, "repository", repositoryNames)
	c.completeFlag(e, "namespace", namespaceNames)
}

// ask never says an error: it would stand in the middle of a command line.
func (c *connection) ask(cmd *cobra.Command, e env, get completer, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	const none = cobra.ShellCompDirectiveNoFileComp
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completionTime)
	defer cancel()
	c.settings.twice = true
	s, err := c.open(ctx, e, false)
	if err != nil {
		return nil, none
	}
	defer func() { _ = s.close() }() // only idle connections
	names, err := get(ctx, s, begun)
	if err != nil {
		return nil, none
	}
	out := names[:0]
	for _, n := range names {
		if strings.HasPrefix(n, begun) {
			out = append(out, n)
		}
	}
	return out, none
}

func accountNames(ctx context.Context, s *session, _ string) ([]cobra.Completion, error) {
	p, err := s.api.Accounts(ctx, "", admin.MaxLimit)
	return namesOf(p.Items, accountView.name), err
}

func namespaceNames(ctx context.Context, s *session, _ string) ([]cobra.Completion, error) {
	p, err := s.api.Namespaces(ctx, "", "", admin.MaxLimit)
	return namesOf(p.Items, namespaceView.name), err
}

func repositoryNames(ctx context.Context, s *session, begun string) ([]cobra.Completion, error) {
	q := v1.PlaceQuery{Limit: admin.MaxLimit}
	if ns, _, in := strings.Cut(begun, "/"); in {
		q.Namespace = ns
	}
	p, err := s.api.Repositories(ctx, q)
	return namesOf(p.Items, repositoryView.name), err
}

// imageNames are repositories, and behind a colon their tags.
func imageNames(ctx context.Context, s *session, begun string) ([]cobra.Completion, error) {
	repo, _, tagged := strings.Cut(begun, ":")
	if !tagged {
		return repositoryNames(ctx, s, begun)
	}
	p, err := s.api.Images(ctx, v1.PlaceQuery{Repository: repo, Limit: admin.MaxLimit})
	return namesOf(p.Items, imageView.name), err
}

// tokenIDs have their descriptions beside them.
func tokenIDs(ctx context.Context, s *session, _ string) ([]cobra.Completion, error) {
	p, err := s.api.Tokens(ctx, v1.TokenQuery{Limit: admin.MaxLimit})
	return namesOf(p.Items, func(t v1.Token) string {
		return cobra.CompletionWithDesc(t.ID, shown(strings.TrimSpace(t.Access+" "+t.Description)))
	}), err
}

func namesOf[T any](items []T, name func(T) string) []cobra.Completion {
	out := make([]cobra.Completion, len(items))
	for i, item := range items {
		out[i] = name(item)
	}
	return out
}

// completeContexts offers the names of the login file.
func completeContexts(e env) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		l, err := readLogins(e)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		out := make([]cobra.Completion, len(l.Contexts))
		for i, c := range l.Contexts {
			out[i] = cobra.CompletionWithDesc(c.Name, c.Server)
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

func completeKeys(e env, s *settings) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		const none = cobra.ShellCompDirectiveNoFileComp
		ctx, cancel := context.WithTimeout(context.Background(), completionTime)
		defer cancel()
		s.twice = true
		cfg, _, err := s.load(e)
		if err != nil || len(args) > 0 {
			return nil, none
		}
		api, err := control(ctx, cfg)
		if err != nil {
			return nil, none
		}
		defer func() { _ = api.Close() }() // only idle connections
		keys, err := api.Keys(ctx)
		if err != nil {
			return nil, none
		}
		return namesOf(keys.Items, func(k v1.ServerKey) string { return cobra.CompletionWithDesc(k.ID, k.Purpose) }), none
	}
}
