package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/kubefile"
	"fairlead.dev/fairlead/internal/pullsecret"
)

// filenames is the flag --filename, as kubectl has it: files, folders, and
// "-" for the standard input.
type filenames struct{ names []string }

func addFilenames(cmd *cobra.Command, what string) *filenames {
	f := &filenames{}
	cmd.Flags().StringArrayVarP(&f.names, "filename", "f", nil, what)
	return f
}

// filed is what was read of one file.
type filed struct {
	*kubefile.File
	// bad is why the rest of it cannot be read; nil if all was.
	bad *kubefile.Error
	// found says that nobody named it: it lies in a folder that was named.
	found bool
}

// read reads all files. Error: a file that is not there; what is in a file is
// no error here.
func (f *filenames) read(e env) ([]filed, error) {
	var out []filed
	for _, name := range f.names {
		all, err := f.under(name)
		if err != nil {
			return nil, err
		}
		for _, n := range all {
			one, err := readFile(e, n)
			if err != nil {
				return nil, err
			}
			one.found = n != name
			out = append(out, one)
		}
	}
	return out, nil
}

// under gives the file itself, or the manifests in a folder and below it.
func (f *filenames) under(name string) ([]string, error) {
	if info, err := os.Stat(name); name == "-" || err != nil || !info.IsDir() {
		return []string{name}, nil
	}
	var out []string
	err := filepath.WalkDir(name, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != name && strings.HasPrefix(d.Name(), ".") && d.Name() != ".docker":
			return filepath.SkipDir
		case d.Type().IsRegular() && isManifest(d.Name()):
			out = append(out, path)
		}
		return nil
	})
	if err != nil {
		return nil, unreadable(name, err)
	}
	if len(out) == 0 {
		return nil, usagef("fairlead secret check -f FILE", "%s holds no file that ends with .yaml, .yml or .json", name)
	}
	return out, nil
}

func isManifest(name string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json", ".dockercfg", ".dockerconfigjson"}, strings.ToLower(filepath.Ext(name)))
}

func readFile(e env, name string) (filed, error) {
	data, err := readUpTo(e, name, kubefile.MaxBytes+1) // one more: it is refused with a reason
	if err != nil {
		return filed{}, unreadable(name, err)
	}
	parsed, err := kubefile.Parse(name, data)
	var bad *kubefile.Error
	if err != nil && !errors.As(err, &bad) {
		return filed{}, err
	}
	return filed{File: parsed, bad: bad}, nil
}

func readUpTo(e env, name string, most int64) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(io.LimitReader(e.stdin, most))
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was read only
	return io.ReadAll(io.LimitReader(f, most))
}

// unreadable is a usage error: another name is to be typed.
func unreadable(name string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return usagef("ls "+pullsecret.Quote(name), "%s cannot be read: %w", name, err)
}

// warnFound tells of files in a folder that are no manifests, and takes them
// out: nobody named them.
func warnFound(w io.Writer, files []filed) []filed {
	return slices.DeleteFunc(files, func(f filed) bool {
		if !f.found || f.bad == nil || len(f.Secrets)+len(f.Workloads) > 0 {
			return false
		}
		fmt.Fprintf(w, "warning: passed over %s\n", f.bad)
		return true
	})
}
