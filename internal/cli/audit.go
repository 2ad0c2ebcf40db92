package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1 "fairlead.dev/fairlead/api/v1"
)

func newAudit(e env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "audit",
		Short: "Read who did what, when and from where",
		Example: `  fairlead audit list
  fairlead audit list --since 24h --outcome denied`,
	}, newAuditList(e))
}

var auditView = view[v1.AuditLine]{
	head: []string{"WHEN", "WHO", "ACTION", "WHAT", "OUTCOME", "TIMES", "FROM", "WHY"},
	row: func(a v1.AuditLine, l look) []string {
		return []string{
			moment(a.At), l.text(who(a), 40), a.Action, l.text(what(a, l.whole), 60), a.Outcome, strconv.FormatInt(max(a.Count, 1), 10),
			a.Address, l.text(a.Reason, 60),
		}
	},
	name: func(a v1.AuditLine) string { return strconv.FormatInt(a.ID, 10) },
}

func who(a v1.AuditLine) string {
	if a.Actor != "" {
		return a.Actor
	}
	return a.TokenID
}

// what says what a line is about.
func what(a v1.AuditLine, whole bool) string {
	if a.Repository != "" {
		return full(a.Repository, brief(a.Target, whole))
	}
	return strings.TrimSpace(a.Namespace + " " + a.Target)
}

// auditFlags are those of audit list.
type auditFlags struct {
	q                    v1.AuditQuery
	since, until, export string
}

func newAuditList(e env) *cobra.Command {
	var a auditFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the audit trail, newest first, or export it",
		Long: `List who did what, when, from where, and how it ended. Times are ages, such as 24h
or 7d, or moments, such as 2026-07-01, 2026-07-01T10:00:00Z.

--export writes all that was chosen as JSON lines to a file, or to the standard
output for -.`,
		Example: `  fairlead audit list
  fairlead audit list --since 24h --outcome denied
  fairlead audit list --action token. --since 2026-07-01 --until 2026-08-01
  fairlead audit list --since 30d --export audit.jsonl`,
		Args: noArgs,
	}
	l := addListing(cmd, "print IDs only")
	a.add(cmd)
	c := addConnection(cmd, e, "audit")
	c.completePlace(e)
	c.completeFlag(e, "account", accountNames)
	c.completeFlag(e, "token", tokenIDs)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		const hint = "fairlead audit list --help"
		if err := l.check(cmd); err != nil {
			return err
		}
		if err := a.read(time.Now()); err != nil {
			return err
		}
		for _, f := range []string{"output", "quiet", "format", "limit", "next", "all"} {
			if a.export != "" && cmd.Flags().Changed(f) {
				return usagef(hint, "--export writes all as JSON lines: leave --%s out", f)
			}
		}
		return c.with(e, "list the audit trail", func(ctx context.Context, s *session) error {
			if err := s.place(&a.q.Repository, &a.q.Namespace, hint); err != nil {
				return err
			}
			if a.export != "" {
				return exportAudit(ctx, e, s, a.q, a.export)
			}
			return list(e, l, "audit", auditView, func(next string, limit int) ([]v1.AuditLine, string, error) {
				a.q.Next, a.q.Limit = next, limit
				p, err := s.api.Audit(ctx, a.q)
				return p.Items, p.Next, err
			})
		})
	}
	return cmd
}

func (a *auditFlags) add(cmd *cobra.Command) {
	addPlace(cmd, &a.q.Repository, &a.q.Namespace, "only what was")
	f := cmd.Flags()
	f.StringVar(&a.q.Account, "account", "", "only of this `account`, for the operator")
	f.StringVar(&a.q.TokenID, "token", "", "only by the token with this `ID`")
	f.StringVar(&a.q.Action, "action", "", "only this `action`, such as token.add; with a dot at the end, all that begin so")
	f.StringVar(&a.q.Outcome, "outcome", "", "only what ended `so`: allowed, denied or failed")
	f.StringVar(&a.since, "since", "", "only after this `age or moment`, such as 24h, 7d or 2026-07-01")
	f.StringVar(&a.until, "until", "", "only before this `age or moment`")
	f.StringVar(&a.export, "export", "", "write all as JSON lines to this `file`; - is the standard output")
	complete(cmd, "action", "signin.", "token.", "namespace.", "image.")
	complete(cmd, "outcome", "allowed", "denied", "failed")
	complete(cmd, "since", "1h", "24h", "7d", "30d")
	complete(cmd, "until")
}

func (a *auditFlags) read(now time.Time) (err error) {
	const hint = "fairlead audit list --help"
	switch a.q.Outcome {
	case "", "allowed", "denied", "failed":
	default:
		return usagef(hint, "--outcome is %q: write allowed, denied or failed", a.q.Outcome)
	}
	if a.q.Since, err = parseMoment(a.since, now); err != nil {
		return usagef(hint, "--since: %w", err)
	}
	if a.q.Until, err = parseMoment(a.until, now); err != nil {
		return usagef(hint, "--until: %w", err)
	}
	if !a.q.Since.IsZero() && !a.q.Until.IsZero() && !a.q.Since.Before(a.q.Until) {
		return usagef(hint, "--since is not before --until")
	}
	return nil
}

// parseMoment reads an age or a moment; "" is none.
func parseMoment(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	for _, form := range []string{time.DateOnly, time.DateTime, "2006-01-02 15:04"} {
		if t, err := time.ParseInLocation(form, text, time.Local); err == nil {
			return t, nil
		}
	}
	var a age
	if err := a.Set(text); err != nil {
		return time.Time{}, fmt.Errorf("%q is no age and no moment: write 24h, 7d, 2026-07-01 or 2026-07-01T10:00:00Z", text)
	}
	return now.Add(-time.Duration(a)), nil
}

// exportAudit writes lines of JSON. A file is there whole or not at all.
func exportAudit(ctx context.Context, e env, s *session, q v1.AuditQuery, file string) (err error) {
	if file == "-" {
		_, err := writeAudit(ctx, e, s, q, e.stdout)
		return err
	}
	var n int64
	err = writeWhole(file, 0o600, func(w io.Writer) (err error) {
		n, err = writeAudit(ctx, e, s, q, w)
		return err
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "Exported %s to %s.\n", count(n, "line"), file)
	return err
}

func writeAudit(ctx context.Context, e env, s *session, q v1.AuditQuery, w io.Writer) (int64, error) {
	m := newMeter(e, "export")
	defer m.end()
	b := bufio.NewWriter(w)
	n, bytes := int64(0), int64(0)
	err := s.api.ExportAudit(ctx, q, func(line v1.AuditLine) error {
		text, err := json.Marshal(line)
		if err != nil {
			return err
		}
		n, bytes = n+1, bytes+int64(len(text))
		m.show(v1.Progress{Step: "lines", Done: n, Bytes: bytes})
		_, err = b.WriteString(string(text) + "\n")
		return err
	})
	if ferr := b.Flush(); err == nil && ferr != nil {
		err = fmt.Errorf("write the export: %w", ferr)
	}
	return n, err
}
