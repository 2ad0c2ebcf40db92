package cli

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"

	v1 "fairlead.dev/fairlead/api/v1"
)

// bar is a progress bar on a terminal, a new one for each step. Only this
// file knows the library. What it cannot draw is not worth an error: the job
// goes on.
type bar struct {
	w     io.Writer
	what  string
	step  string
	total int64
	now   *progressbar.ProgressBar
}

func newBar(w io.Writer, what string) *bar { return &bar{w: w, what: what} }

func (b *bar) show(p v1.Progress) {
	total := p.Total
	if total <= 0 {
		total = -1 // a spinner
	}
	if b.now == nil || p.Step != b.step || total != b.total && (total < 0 || b.total < 0) {
		b.end()
		b.step, b.total = p.Step, total
		b.now = progressbar.NewOptions64(
			total,
			progressbar.OptionSetWriter(b.w),
			progressbar.OptionSetWidth(24),
			progressbar.OptionShowCount(),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish(),
			progressbar.OptionSetSpinnerChangeInterval(0), // no goroutine of its own
		)
	}
	text := b.what + ": " + p.Step
	if p.Bytes > 0 {
		text += " (" + size(p.Bytes) + ")"
	}
	b.now.Describe(text)
	if total != b.total { // counted while others still write
		b.total = total
		b.now.ChangeMax64(total)
	}
	done := p.Done
	if total > 0 {
		done = min(done, total)
	}
	_ = b.now.Set64(done)
}

func (b *bar) end() {
	if b.now != nil {
		_ = b.now.Finish()
		b.now = nil
	}
}
