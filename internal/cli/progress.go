package cli

import (
	"fmt"
	"io"
	"time"

	v1 "fairlead.dev/fairlead/api/v1"
)

// progressPause is the time between two lines of progress, where nobody
// looks at a bar.
const progressPause = 5 * time.Second

// meter shows how far a long job is: a bar to a person, a line now and then
// to a log.
type meter struct {
	w    io.Writer
	what string
	now  func() time.Time
	last time.Time
	bar  *bar // nil where no person looks
}

// newMeter begins to show progress on e's standard error.
func newMeter(e env, what string) *meter {
	m := &meter{w: e.stderr, what: what, now: time.Now}
	m.last = m.now()
	if e.attended(e.stderr) {
		m.bar = newBar(e.stderr, what)
	}
	return m
}

// show is a job's progress function.
func (m *meter) show(p v1.Progress) {
	if m.bar != nil {
		m.bar.show(p)
		return
	}
	if m.now().Sub(m.last) < progressPause {
		return
	}
	m.last = m.now()
	fmt.Fprintln(m.w, m.what+": "+progressText(p))
}

// end leaves a clean line.
func (m *meter) end() {
	if m.bar != nil {
		m.bar.end()
	}
}

func progressText(p v1.Progress) string {
	text := fmt.Sprintf("%s %d", p.Step, p.Done)
	if p.Total > 0 {
		text = fmt.Sprintf("%s %d of %d (%d%%)", p.Step, p.Done, p.Total, percent(p.Done, p.Total))
	}
	if p.Bytes > 0 {
		text += ", " + size(p.Bytes)
	}
	return text
}

// percent is never above 100: totals are counted while others still write.
func percent(done, total int64) int64 {
	return int64(100 * min(float64(done)/float64(total), 1))
}
