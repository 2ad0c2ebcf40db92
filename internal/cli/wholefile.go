package cli

import (
	"io"
	"io/fs"
	"os"
)

// writeWhole writes a file that is there whole or not at all.
func writeWhole(file string, mode fs.FileMode, write func(io.Writer) error) error {
	part := file + ".part"
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	err = write(f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(part, file)
	}
	if err != nil {
		_ = os.Remove(part) // the first error is the one to report
	}
	return err
}
