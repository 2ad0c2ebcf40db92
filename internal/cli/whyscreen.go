package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"fairlead.dev/fairlead/internal/diagnosis"
)

// whyScreen writes a report for people: the cause, what was seen, what to do,
// and what could not be seen.
func whyScreen(w io.Writer, r diagnosis.Report) {
	for i, group := range sameVerdicts(r.Verdicts) {
		if i > 0 {
			fmt.Fprintln(w)
		}
		v := group[0]
		fmt.Fprintln(w, titleOf(r, group))
		fmt.Fprintf(w, "\n  %s\n", v.Sentence)
		bullets(w, "Seen", v.Evidence)
		steps(w, v.Fix)
		bullets(w, "Note", v.Notes)
	}
	bullets(w, "Note", r.Notes)
	if !r.Pulls() {
		bullets(w, "Not seen", r.Blind)
	}
}

// titleOf names the pod, the containers and the image.
func titleOf(r diagnosis.Report, group []diagnosis.Verdict) string {
	var parts []string
	switch {
	case r.Pod != "":
		parts = append(parts, "pod "+r.Pod)
	case r.Workload != "":
		parts = append(parts, r.Workload)
	}
	var names []string
	for _, v := range group {
		if v.Container != "" {
			names = append(names, string(v.Kind)+" "+v.Container)
		}
	}
	if len(names) > 0 {
		parts = append(parts, strings.Join(names, ", "))
	}
	if image := group[0].Image; image != "" && image != r.Workload {
		parts = append(parts, image)
	}
	return strings.Join(parts, " · ")
}

// sameVerdicts puts together what is the same for several containers.
func sameVerdicts(all []diagnosis.Verdict) [][]diagnosis.Verdict {
	var out [][]diagnosis.Verdict
	for _, v := range all {
		i := slices.IndexFunc(out, func(g []diagnosis.Verdict) bool {
			return g[0].Image == v.Image && g[0].Cause == v.Cause && g[0].Sentence == v.Sentence
		})
		if i < 0 {
			out = append(out, []diagnosis.Verdict{v})
			continue
		}
		out[i] = append(out[i], v)
	}
	return out
}

func bullets(w io.Writer, head string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(w, "\n  %s\n", head)
	for _, l := range lines {
		fmt.Fprintf(w, "    - %s\n", l)
	}
}

func steps(w io.Writer, fix []diagnosis.Step) {
	if len(fix) == 0 {
		return
	}
	fmt.Fprint(w, "\n  Do\n")
	for _, s := range fix {
		fmt.Fprintf(w, "    %s\n", s.Say)
		for _, line := range s.Run {
			fmt.Fprintf(w, "      %s\n", line)
		}
	}
}
