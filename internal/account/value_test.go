package account_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"fairlead.dev/fairlead/internal/account"
)

func TestNewValue(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^flt_[0-9A-Za-z]{51}$`)
	seen := map[string]bool{}
	chars := map[rune]int{}
	for range 2000 {
		v := account.NewValue()
		if !form.MatchString(v) {
			t.Fatalf("%q is not of the form that scanners look for", v)
		}
		id, err := account.ParseValue(v)
		if err != nil || id != v[4:16] {
			t.Fatalf("id %q of %q, %v", id, v, err)
		}
		if seen[v] || seen[id] {
			t.Fatal("a value or an id came twice")
		}
		seen[v], seen[id] = true, true
		for _, r := range v[4:49] {
			chars[r]++
		}
	}
	// 90,000 characters over 62: about 1,452 of each; ±20 % is ten deviations.
	if len(chars) != 62 {
		t.Errorf("%d different characters", len(chars))
	}
	for r, n := range chars {
		if n < 1160 || n > 1750 {
			t.Errorf("%c came %d times of 90,000", r, n)
		}
	}
}

func TestParseValueRefuses(t *testing.T) {
	t.Parallel()
	v := account.NewValue()
	for name, bad := range map[string]string{
		"empty":        "",
		"prefix only":  "flt_",
		"truncated":    v[:len(v)-1],
		"extended":     v + "0",
		"newline":      v + "\n",
		"other prefix": "ghp_" + v[4:],
		"upper prefix": "FLT_" + v[4:],
		"not base 62":  v[:20] + "-" + v[21:],
		"umlaut":       v[:20] + "ä" + v[22:],
		"two swapped":  v[:20] + v[21:22] + v[20:21] + v[22:],
	} {
		if bad == v { // the two swapped characters may be equal
			continue
		}
		if id, err := account.ParseValue(bad); !errors.Is(err, account.ErrValue) || id != "" {
			t.Errorf("%s: %q, %v", name, id, err)
		} else if strings.Contains(err.Error(), v[16:40]) {
			t.Errorf("%s: the error shows the value", name)
		}
	}
	for i := range len(v) { // every single wrong character is noticed
		c := byte('0')
		if v[i] == c {
			c = '1'
		}
		if _, err := account.ParseValue(v[:i] + string(c) + v[i+1:]); err == nil {
			t.Errorf("a wrong character at %d is not noticed", i)
		}
	}
}
