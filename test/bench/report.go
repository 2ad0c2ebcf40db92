package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// report turns results into tables.
type report struct {
	o       options
	results []result
	load    string // before and after
	tools   string // versions of what was compared
	at      time.Time
}

func newReport(o options, tools string, results []result, before string) report {
	return report{o: o, tools: tools, results: results, load: before + " before, " + load() + " after", at: time.Now().UTC()}
}

// median of the units per second of a target; 0 if it took no part.
func (r result) median(name string) float64 {
	return r.scale * median(r.each(name, sample.rate))
}

// cpu is the median CPU time of one operation in milliseconds.
func (r result) cpu(name string) float64 { return 1000 * median(r.each(name, sample.cpuPerOp)) }

func (r result) each(name string, of func(sample) float64) []float64 {
	var out []float64
	for _, s := range r.samples[name] {
		out = append(out, of(s))
	}
	return out
}

// ratio compares two targets round by round.
type ratio struct{ low, middle, high float64 }

func (r result) ratio(a, b string, of func(sample) float64) (ratio, bool) {
	x, y := r.each(a, of), r.each(b, of)
	if len(x) == 0 || len(x) != len(y) {
		return ratio{}, false
	}
	q := make([]float64, len(x))
	for i := range x {
		if y[i] == 0 {
			return ratio{}, false
		}
		q[i] = x[i] / y[i]
	}
	return ratio{slices.Min(q), median(q), slices.Max(q)}, true
}

func median(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(x))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

func (q ratio) times() string {
	return fmt.Sprintf("%.1f× (%.1f–%.1f)", q.middle, q.low, q.high)
}

func (q ratio) percent() string {
	return fmt.Sprintf("%.0f %% (%.0f–%.0f)", 100*q.middle, 100*q.low, 100*q.high)
}

// number with three digits that count.
func number(x float64) string {
	switch {
	case x == 0:
		return "–"
	case x >= 99.95:
		s := fmt.Sprintf("%.0f", x)
		for i := len(s) - 3; i > 0; i -= 3 {
			s = s[:i] + "," + s[i:]
		}
		return s
	case x >= 9.995:
		return fmt.Sprintf("%.1f", x)
	case x >= 0.9995:
		return fmt.Sprintf("%.2f", x)
	}
	return fmt.Sprintf("%.3f", x)
}

// limit is the target that shows what the machine can do.
func (r result) limit() string {
	for _, name := range []string{nginx, plain} {
		if len(r.samples[name]) > 0 {
			return name
		}
	}
	return ""
}

func (p report) markdown() string {
	var s strings.Builder
	length := "the long run"
	if p.o.quick {
		length = "the short run"
	}
	fmt.Fprintf(&s, "Measured on %s by `scripts/bench.sh%s` (%s, %d rounds) on %s. Load average: %s. %s.\n\n",
		p.at.Format("2 January 2006"), strings.Join(append([]string{""}, p.o.args...), " "), length, p.o.rounds, machine(p.o.data), p.load, p.tools)
	p.speed(&s)
	s.WriteString("\n")
	p.cost(&s)
	if p.line(&s) {
		s.WriteString("\n")
	}
	return s.String()
}

func (p report) speed(s *strings.Builder) {
	s.WriteString("| measure | unit | Fairlead | distribution | limit | to distribution | to distribution, per CPU time | of the limit |\n|---|---|--:|--:|--:|--:|--:|--:|\n")
	for _, r := range p.results {
		wall, cpu, share := "–", "–", "–"
		if q, ok := r.ratio(fairlead, distribution, sample.rate); ok {
			wall = q.times()
		}
		if q, ok := r.ratio(distribution, fairlead, sample.cpuPerOp); ok {
			cpu = q.times()
		}
		if q, ok := r.ratio(fairlead, r.limit(), sample.rate); ok {
			share = q.percent()
		}
		fmt.Fprintf(s, "| %s | %s | %s | %s | %s | %s | %s | %s |\n", r.name, r.unit,
			number(r.median(fairlead)), number(r.median(distribution)), number(r.median(r.limit())), wall, cpu, share)
	}
}

func (p report) cost(s *strings.Builder) {
	s.WriteString("| per operation | CPU ms, Fairlead | CPU ms, distribution | CPU ms, nginx | fsyncs, Fairlead | fsyncs, distribution | memory MB, Fairlead (peak) | memory MB, distribution (peak) |\n|---|--:|--:|--:|--:|--:|--:|--:|\n")
	syncs := func(r result, name string) string {
		if n, ok := r.syncs[name]; ok {
			return fmt.Sprintf("%.1f", n)
		}
		return "–"
	}
	size := func(m memory) string { return fmt.Sprintf("%.0f (%.0f)", float64(m.now)/1e6, float64(m.peak)/1e6) }
	for _, r := range p.results {
		fmt.Fprintf(s, "| %s | %s | %s | %s | %s | %s | %s | %s |\n", r.name,
			number(r.cpu(fairlead)), number(r.cpu(distribution)), number(r.cpu(nginx)),
			syncs(r, fairlead), syncs(r, distribution), size(r.memory[fairlead]), size(r.memory[distribution]))
	}
}

// line tells what the access line costs.
func (p report) line(s *strings.Builder) bool {
	any := false
	for _, r := range p.results {
		if len(r.samples[fairleadLine]) == 0 {
			continue
		}
		if !any {
			s.WriteString("\n| with the access line on (the default, to a file) | unit | Fairlead | of Fairlead without | CPU ms per operation | to distribution, per CPU time |\n|---|---|--:|--:|--:|--:|\n")
			any = true
		}
		share, times := "–", "–"
		if q, ok := r.ratio(fairleadLine, fairlead, sample.rate); ok {
			share = q.percent()
		}
		if q, ok := r.ratio(distribution, fairleadLine, sample.cpuPerOp); ok {
			times = q.times()
		}
		fmt.Fprintf(s, "| %s | %s | %s | %s | %s | %s |\n", r.name, r.unit, number(r.median(fairleadLine)), share, number(r.cpu(fairleadLine)), times)
	}
	return any
}

// benchfmt is each sample as a line that benchstat reads.
func (p report) benchfmt() string {
	var s strings.Builder
	for _, r := range p.results {
		name := strings.NewReplacer(" ", "_", ",", "", "=", "").Replace(r.name)
		for _, of := range r.of {
			for _, x := range r.samples[of] {
				fmt.Fprintf(&s, "Benchmark/%s/target=%s %d %.0f ns/op %.0f cpu-ns/op\n", name,
					strings.NewReplacer(" ", "-", ",", "").Replace(of), x.ops, 1e9/x.rate(), 1e9*x.cpuPerOp())
			}
		}
	}
	return s.String()
}

const (
	begin = "<!-- bench: begin -->\n"
	end   = "<!-- bench: end -->"
)

// update writes the tables between the markers of a file.
func (p report) update(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("update the table: %w", err)
	}
	text, err := replace(string(b), p.markdown())
	if err != nil {
		return fmt.Errorf("update %s: %w", path, err)
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// replace puts a text between the markers.
func replace(file, text string) (string, error) {
	before, rest, ok := strings.Cut(file, begin)
	if !ok {
		return "", fmt.Errorf("the line %q is missing", strings.TrimSpace(begin))
	}
	_, after, ok := strings.Cut(rest, end)
	if !ok {
		return "", fmt.Errorf("the line %q is missing", end)
	}
	return before + begin + "\n" + text + "\n" + end + after, nil
}
