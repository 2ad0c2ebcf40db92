package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/admin"
)

// paging are the flags of a command that lists.
type paging struct {
	limit int
	next  string
	all   bool
	whole bool // digests
}

func addPaging(cmd *cobra.Command) *paging {
	p := &paging{}
	cmd.Flags().IntVar(&p.limit, "limit", admin.DefaultLimit, fmt.Sprintf("`number` of lines at most, up to %d", admin.MaxLimit))
	cmd.Flags().StringVar(&p.next, "next", "", "go on behind an earlier page, at the `place` it ended with")
	cmd.Flags().BoolVar(&p.all, "all", false, "list everything, page by page")
	cmd.Flags().BoolVar(&p.whole, "no-trunc", false, "print digests whole")
	return p
}

// check refuses what cannot be meant.
func (p *paging) check(cmd *cobra.Command) error {
	hint := cmd.CommandPath() + " --help"
	switch {
	case p.all && (cmd.Flags().Changed("limit") || p.next != ""):
		return usagef(hint, "--all lists everything: leave --limit and --next out")
	case p.limit < 1 || p.limit > admin.MaxLimit:
		return usagef(hint, "--limit is %d: a page has 1 to %d lines", p.limit, admin.MaxLimit)
	}
	if p.all {
		p.limit = admin.MaxLimit
	}
	return nil
}

// collect asks for one page, or for all. get gives a page's items and what
// follows.
func collect[T any](p *paging, get func(next string) ([]T, string, error)) (items []T, next string, err error) {
	next = p.next
	for {
		page, after, err := get(next)
		if err != nil {
			return nil, "", err
		}
		items = append(items, page...)
		if !p.all || after == "" || after == next {
			return items, after, nil
		}
		next = after
	}
}

// more says on w how to see what follows.
func more(w io.Writer, next string) {
	if next != "" {
		fmt.Fprintf(w, "There are more: add --next %s, or --all.\n", next)
	}
}
