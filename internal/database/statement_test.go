package database

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestEachPassesEveryValueOnce(t *testing.T) {
	t.Parallel()
	l := newListed(`SELECT a FROM b WHERE c = ? AND d IN (*) UNION SELECT a FROM e WHERE f IN (*)`)
	for _, n := range []int{0, 1, 3, 4, 5, 16, 17, 64, 65, 256, 257, 320, 1001} {
		var values []string
		for i := range n {
			values = append(values, fmt.Sprint("v", i))
		}
		var got []string
		err := each(l, []any{"first"}, values, func(text string, args []any) error {
			if marks := strings.Count(text, "?"); marks != len(args) || args[0] != "first" {
				t.Errorf("%d of %d: %d arguments for %d placeholders", len(got), n, len(args), marks)
			}
			one, two := args[1:1+len(args)/2], args[1+len(args)/2:]
			if !slices.Equal(one, two) {
				t.Errorf("two lists of one statement differ: %v, %v", one, two)
			}
			if !slices.Contains(chunkSizes, len(one)) {
				t.Errorf("a list of %d is none of the fixed lengths", len(one))
			}
			for _, v := range slices.Compact(one) {
				got = append(got, v.(string))
			}
			return nil
		})
		if err != nil || !slices.Equal(got, values) {
			t.Errorf("%d values: got %d, %v", n, len(got), err)
		}
	}
}

func TestStatementsAreNeutral(t *testing.T) {
	t.Parallel()
	for _, text := range Statements() {
		for _, foreign := range []string{"OR IGNORE", "OR REPLACE", "rowid", "json_each", "OFFSET ?", "$1"} {
			if strings.Contains(text, foreign) {
				t.Errorf("%q is of one dialect only, in:\n%s", foreign, text)
			}
		}
	}
}
