//go:build !unix

package disk

import (
	"io/fs"
	"os"
)

func openFile(path string, flag int, perm uint32) (*os.File, error) {
	return os.OpenFile(path, flag, fs.FileMode(perm))
}
