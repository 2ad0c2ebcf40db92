package cli

import (
	"errors"
	"fmt"

	"fairlead.dev/fairlead/internal/config"
)

// hintError is an error with the next thing to type.
type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

// Hint gives the next thing to type.
func (e *hintError) Hint() string { return e.hint }

// withHint adds the next thing to type, unless err knows better.
func withHint(err error, hint string) error {
	if err == nil || hintOf(err) != "" {
		return err
	}
	return &hintError{err, hint}
}

// usageError is a command line that cannot be run as it is.
type usageError struct{ hintError }

func usagef(hint, format string, args ...any) error {
	return &usageError{hintError{fmt.Errorf(format, args...), hint}}
}

// hintOf finds what to type next. Any error may know it by a method Hint.
func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	if _, ok := config.AsError(err); ok {
		return "fairlead config show --help, or read docs/configuration.md"
	}
	return ""
}
