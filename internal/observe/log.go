package observe

import (
	"io"
	"log/slog"
)

// NewLogger makes a logger that writes lines of JSON to w, or readable text.
func NewLogger(w io.Writer, level slog.Leveler, text bool) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if text {
		return slog.New(slog.NewTextHandler(w, o))
	}
	return slog.New(slog.NewJSONHandler(w, o))
}
