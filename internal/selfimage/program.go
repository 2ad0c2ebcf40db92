package selfimage

import (
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"io"
)

// Platform is what a program runs on, in the words of the image
// specification.
type Platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant,omitempty"`
}

// String is such as linux/arm64 and linux/arm/v7.
func (p Platform) String() string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// ProgramError is a file that no image can be made of. Its text names the
// file.
type ProgramError struct {
	Path string
	why  string
	err  error
}

func (e *ProgramError) Error() string { return e.Path + " " + e.why }
func (e *ProgramError) Unwrap() error { return e.err }

// Hint is how such a file is made.
func (*ProgramError) Hint() string {
	return "make build on Linux, or CGO_ENABLED=0 GOOS=linux GOARCH=amd64 go build -o fairlead ./cmd/fairlead; then name it with --binary"
}

// program is an executable that was looked at.
type program struct {
	Platform
	// revision is the commit, where the file tells it.
	revision string
}

// mainPackage is what a fairlead is built from.
const mainPackage = "fairlead.dev/fairlead/cmd/fairlead"

// architectures by the machine in an ELF header, in Go's and Kubernetes' words.
var architectures = map[elf.Machine]string{
	elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64", elf.EM_386: "386", elf.EM_ARM: "arm",
	elf.EM_PPC64: "ppc64", elf.EM_S390: "s390x", elf.EM_RISCV: "riscv64", elf.EM_LOONGARCH: "loong64",
}

// inspect says what a file runs on. Errors: *ProgramError for what is no
// static fairlead for Linux; those of reading.
func inspect(path string, f io.ReaderAt) (program, error) {
	bad := func(err error, format string, args ...any) (program, error) {
		return program{}, &ProgramError{Path: path, why: fmt.Sprintf(format, args...), err: err}
	}
	e, err := elf.NewFile(f)
	var format *elf.FormatError
	switch {
	case errors.As(err, &format), errors.Is(err, io.EOF):
		return bad(err, "is no program for Linux")
	case err != nil:
		return program{}, err
	}
	for _, p := range e.Progs {
		if p.Type == elf.PT_INTERP {
			return bad(nil, "needs libraries of the machine it runs on, which an image of it alone does not have: build it with CGO_ENABLED=0")
		}
	}
	info, err := buildinfo.Read(f)
	if err != nil || info.Path != mainPackage {
		return bad(err, "is no fairlead")
	}
	set := map[string]string{}
	for _, s := range info.Settings {
		set[s.Key] = s.Value
	}
	p := program{Platform: Platform{OS: "linux", Architecture: architectures[e.Machine]}, revision: set["vcs.revision"]}
	switch {
	case e.Type != elf.ET_EXEC && e.Type != elf.ET_DYN, set["GOOS"] != "" && set["GOOS"] != "linux":
		return bad(nil, "is no program for Linux")
	case p.Architecture == "":
		return bad(nil, "is for a machine that is not known here: %s", e.Machine)
	case p.Architecture == "ppc64" && e.Data == elf.ELFDATA2LSB:
		p.Architecture = "ppc64le"
	case p.Architecture == "arm" && set["GOARM"] != "":
		p.Variant = "v" + set["GOARM"][:1] // 7 or 7,softfloat
	}
	return p, nil
}
