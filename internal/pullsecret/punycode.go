package pullsecret

import (
	"slices"
	"strings"
	"unicode"
)

// toASCII is the form of an internationalised host in images and DNS: labels
// that are not ASCII become xn-- and punycode (RFC 3492). It is a proposal to
// a person, so it maps upper case only; "" if it cannot be given.
func toASCII(host string) string {
	labels := strings.Split(host, ".")
	for i, l := range labels {
		if strings.ContainsFunc(l, func(r rune) bool { return r > '~' }) {
			l = punycode([]rune(strings.Map(unicode.ToLower, l)))
			if l == "" {
				return ""
			}
			labels[i] = "xn--" + l
		}
	}
	return strings.Join(labels, ".")
}

// The parameters of RFC 3492, section 5.
const (
	punyBase, punyMin, punyMax   = 36, 1, 26
	punySkew, punyDamp           = 38, 700
	punyBias, punyFirst, punyEnd = 72, 0x80, 63
)

func punycode(label []rune) string {
	if len(label) > punyEnd {
		return "" // no label of DNS
	}
	var out strings.Builder
	for _, r := range label {
		if r < punyFirst {
			out.WriteRune(r)
		}
	}
	basic := out.Len()
	if basic > 0 {
		out.WriteByte('-')
	}
	n, delta, bias := rune(punyFirst), 0, punyBias
	for done := basic; done < len(label); {
		next := slices.MinFunc(label, func(a, b rune) int { return above(a, n) - above(b, n) })
		delta += int(next-n) * (done + 1)
		n = next
		for _, r := range label {
			if r < n {
				delta++
			}
			if r == n {
				writeDelta(&out, delta, bias)
				bias = adapt(delta, done+1, done == basic)
				delta = 0
				done++
			}
		}
		delta++
		n++
	}
	return out.String()
}

// above orders the runes from n on before those below it.
func above(r, n rune) int {
	if r < n {
		return int(r) + unicode.MaxRune + 1
	}
	return int(r)
}

func writeDelta(out *strings.Builder, delta, bias int) {
	const digits = "abcdefghijklmnopqrstuvwxyz0123456789"
	for k := punyBase; ; k += punyBase {
		t := min(max(k-bias, punyMin), punyMax)
		if delta < t {
			out.WriteByte(digits[delta])
			return
		}
		out.WriteByte(digits[t+(delta-t)%(punyBase-t)])
		delta = (delta - t) / (punyBase - t)
	}
}

func adapt(delta, points int, first bool) int {
	if first {
		delta /= punyDamp
	} else {
		delta /= 2
	}
	delta += delta / points
	k := 0
	for ; delta > (punyBase-punyMin)*punyMax/2; k += punyBase {
		delta /= punyBase - punyMin
	}
	return k + (punyBase-punyMin+1)*delta/(delta+punySkew)
}
