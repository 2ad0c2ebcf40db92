package cli

import (
	"encoding/json"
	"io"
	"strings"
	"text/template"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	v1 "fairlead.dev/fairlead/api/v1"
)

// listing are the flags of a command that lists what has names.
type listing struct {
	*paging
	out    *output
	quiet  bool
	format string
}

func addListing(cmd *cobra.Command, quiet string) *listing {
	l := &listing{out: addNamedOutput(cmd), paging: addPaging(cmd)}
	cmd.Flags().BoolVarP(&l.quiet, "quiet", "q", false, quiet)
	addFormat(cmd, &l.format)
	return l
}

func addFormat(cmd *cobra.Command, format *string) {
	cmd.Flags().StringVar(format, "format", "", "print each by this Go `template`, such as '{{json .}}'; the names are those of the API")
	complete(cmd, "format")
}

// check refuses what cannot be meant.
func (l *listing) check(cmd *cobra.Command) error {
	if err := l.paging.check(cmd); err != nil {
		return err
	}
	hint := cmd.CommandPath() + " --help"
	if l.format != "" && (l.quiet || cmd.Flags().Changed("output")) || l.quiet && cmd.Flags().Changed("output") {
		return usagef(hint, "give one of --quiet, --format and --output")
	}
	if l.format != "" {
		_, err := parseFormat(l.format, hint)
		return err
	}
	return nil
}

// look is how tables are printed.
type look struct {
	whole bool // nothing is shortened
	now   time.Time
}

// view is how things of a kind are listed.
type view[T any] struct {
	head []string
	row  func(T, look) []string
	name func(T) string
}

// page is a list in JSON.
type page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

// list asks for the pages that the flags want, and prints them. what is
// counted while many pages are fetched.
func list[T any](e env, l *listing, what string, v view[T], get func(next string, limit int) ([]T, string, error)) error {
	m := newMeter(e, what)
	fetched := int64(0)
	items, next, err := collect(l.paging, func(next string) ([]T, string, error) {
		items, after, err := get(next, l.limit)
		fetched += int64(len(items))
		if l.all && after != "" {
			m.show(v1.Progress{Step: "lines", Done: fetched})
		}
		return items, after, err
	})
	m.end()
	if err != nil {
		return err
	}
	if items == nil {
		items = []T{} // an empty list is [] in JSON
	}
	if err := show(e, l, v, page[T]{items, next}); err != nil {
		return err
	}
	if *l.out != "json" && *l.out != "yaml" {
		more(e.stderr, next)
	}
	return nil
}

// show writes a list in the form that the flags want.
func show[T any](e env, l *listing, v view[T], p page[T]) error {
	if l.format != "" {
		return formatted(e.stdout, l.format, p.Items)
	}
	if l.quiet {
		*l.out = "name"
	}
	names := make([]string, len(p.Items))
	for i, item := range p.Items {
		names[i] = v.name(item)
	}
	return l.out.printNamed(e.stdout, p, names, func(w io.Writer) {
		lk := look{whole: l.whole, now: time.Now()}
		lines := [][]string{v.head}
		for _, i := range p.Items {
			lines = append(lines, v.row(i, lk))
		}
		columns(w, lines, e.coloured())
	})
}

// parseFormat reads a template. It is called before anything is done.
func parseFormat(text, hint string) (*template.Template, error) {
	t, err := template.New("format").Funcs(template.FuncMap{
		"json": func(v any) (string, error) {
			b, err := json.Marshal(v)
			return string(b), err
		},
		"join": strings.Join,
	}).Parse(text)
	if err != nil {
		return nil, usagef(hint, "--format: %w", err)
	}
	return t, nil
}

// formatted writes each item on a line.
func formatted[T any](w io.Writer, format string, items []T) error {
	t, err := parseFormat(format, "")
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, i := range items {
		if err := t.Execute(&b, i); err != nil {
			return usagef("a name that the fields of api/v1 have, such as {{.Name}}", "--format: %w", err)
		}
		b.WriteByte('\n')
	}
	_, err = io.WriteString(w, b.String())
	return err
}

// since is a moment in words, as seen from now.
func (l look) since(t time.Time) string {
	switch {
	case t.IsZero():
		return ""
	case t.After(l.now):
		return "in " + strings.TrimSpace(humanize.RelTime(t, l.now, "", ""))
	}
	return humanize.RelTime(t, l.now, "ago", "")
}

// maybe is since for what may never have been.
func (l look) maybe(t *time.Time, never string) string {
	if t == nil {
		return never
	}
	return l.since(*t)
}

// text shortens what people wrote.
func (l look) text(s string, most int) string {
	r := []rune(s)
	if l.whole || len(r) <= most {
		return s
	}
	return string(r[:most-1]) + "…"
}
