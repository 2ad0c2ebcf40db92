package cli

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The colours of a terminal.
const (
	bold   = "1"
	red    = "31"
	green  = "32"
	yellow = "33"
)

// tints are the words that have a colour where they stand in these columns.
var (
	tinted = map[string]bool{"STATE": true, "OUTCOME": true}
	tints  = map[string]string{"active": green, "allowed": green, "expired": yellow, "failed": yellow, "revoked": red, "denied": red}
)

// coloured says whether what goes to the standard output has colours.
func (e env) coloured() bool {
	return e.variable("NO_COLOR") == "" && e.variable("TERM") != "dumb" && e.attended(e.stdout)
}

// rows writes cells in columns. Empty cells are dashes.
func rows(w io.Writer, lines [][]string) { columns(w, lines, false) }

// columns is rows, with the first line bold and some words in colour.
func columns(w io.Writer, lines [][]string, colour bool) {
	width := []int{}
	for _, cells := range lines {
		for i, c := range cells {
			cells[i] = shown(c)
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], utf8.RuneCountInString(cells[i]))
		}
	}
	for n, cells := range lines {
		var b strings.Builder
		for i, c := range cells {
			pad := ""
			if i < len(cells)-1 {
				pad = strings.Repeat(" ", width[i]+2-utf8.RuneCountInString(c))
			}
			b.WriteString(tint(c, lines[0], n, i, colour) + pad)
		}
		fmt.Fprintln(w, b.String())
	}
}

func tint(cell string, head []string, line, column int, colour bool) string {
	how := ""
	switch {
	case !colour:
	case line == 0:
		how = bold
	case column < len(head) && tinted[head[column]]:
		how = tints[cell]
	}
	if how == "" {
		return cell
	}
	return "\x1b[" + how + "m" + cell + "\x1b[0m"
}

// shown is a cell as it is printed. What others wrote must neither break the
// lines nor command the terminal.
func shown(cell string) string {
	if cell == "" {
		return "-"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}, cell)
}

// facts writes names and values of one thing; empty values are left out.
func facts(w io.Writer, pairs ...string) {
	lines := [][]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			lines = append(lines, []string{pairs[i], pairs[i+1]})
		}
	}
	rows(w, lines)
}
