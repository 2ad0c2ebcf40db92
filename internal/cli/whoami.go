package cli

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	v1 "fairlead.dev/fairlead/api/v1"
)

func newWhoami(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "whoami",
		Short: "Say where commands go, and who the token stands for",
		Example: `  fairlead whoami
  fairlead whoami --context local -o json`,
		Args: noArgs,
	}
	out := addNamedOutput(cmd)
	c := addConnection(cmd, e, "context")
	cmd.RunE = func(*cobra.Command, []string) error {
		return c.with(e, "ask who this is", func(ctx context.Context, s *session) error {
			who, err := s.api.Whoami(ctx)
			if err != nil {
				return err
			}
			return out.printNamed(e.stdout, who, []string{who.Name}, func(w io.Writer) { whoamiText(w, s, who) })
		})
	}
	return cmd
}

func whoamiText(w io.Writer, s *session, who v1.Whoami) {
	l := look{now: time.Now()}
	context, reach, expires := "", "", ""
	if s.login != nil {
		context = s.login.Name
	}
	if who.Reach != nil {
		reach = reachText(*who.Reach)
	}
	if who.Expires != nil {
		expires = moment(*who.Expires) + " (" + l.since(*who.Expires) + ")"
	}
	facts(w, "Server", s.name, "Version", who.Server, "Context", context, "Kind", who.Kind, "Name", who.Name, "Account", who.Account,
		"Access", who.Access, "Reach", reach, "Token ID", who.TokenID, "Cluster", who.Cluster, "Expires", expires)
}
