package kubefile

import (
	"bytes"
	"fmt"
	"path"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"fairlead.dev/fairlead/internal/diagnosis"
	"fairlead.dev/fairlead/internal/pullsecret"
)

// MaxBytes is the size of the largest file that is read.
const MaxBytes = 16 << 20

// File is what a file holds, each in the order of the file.
type File struct {
	Name string
	// Secrets are all secrets, those for pulling and others. Those that
	// cannot be read are not among them, and have a finding.
	Secrets   []pullsecret.Secret
	Workloads []Workload
	// Credentials says that it is no manifest but one of docker's files: its
	// only secret has the file's name, and is none yet.
	Credentials bool
	// Others are objects of kinds that are neither.
	Others []Object
	// Findings are what kubectl or the API server refuses or misreads about
	// the manifests themselves.
	Findings []pullsecret.Finding
}

// Workload is a pod, or what makes pods.
type Workload struct {
	Object
	Pod diagnosis.Pod
}

// Object is what every object of Kubernetes has.
type Object struct {
	APIVersion, Kind, Namespace, Name string
	Position                          pullsecret.Position
}

// Error says why a file cannot be read.
type Error struct {
	Position pullsecret.Position
	// Column counts from 1; 0 if it is not known.
	Column int
	// Text says what is wrong and what to do; it quotes nothing of the file.
	Text string
}

// Error names the file, the line and the column.
func (e *Error) Error() string {
	at := e.Position.File
	if e.Position.Line > 0 {
		at += fmt.Sprintf(":%d", e.Position.Line)
		if e.Column > 0 {
			at += fmt.Sprintf(":%d", e.Column)
		}
	}
	return at + ": " + e.Text
}

// Finding is the error as a finding.
func (e *Error) Finding() pullsecret.Finding {
	f := finding(pullsecret.NotReadable, e.Position, "The file cannot be read: %s.", e.Text)
	if e.Text == textEmpty {
		f = finding(pullsecret.NoObjects, e.Position, "The file is empty.")
	}
	return f
}

// Err is the first finding that keeps a manifest from being applied, as an
// error; nil if there is none.
func (f *File) Err() error {
	for _, x := range f.Findings {
		if x.Severity == pullsecret.Broken {
			return &Error{Position: pullsecret.Position{File: x.File, Line: x.Line}, Text: strings.TrimSuffix(x.Message, ".")}
		}
	}
	return nil
}

const textEmpty = "it is empty"

// Parse reads a file of the given name; "-" is a name, too. Error: *Error. The
// File holds what was read before.
func Parse(name string, data []byte) (*File, error) {
	p := &parser{file: &File{Name: name}}
	if err := p.readable(data); err != nil {
		return p.file, err
	}
	if p.credentials(data) {
		return p.file, nil
	}
	documents, err := p.documents(data)
	for _, d := range documents {
		if err := p.object(d, 0); err != nil {
			return p.file, err
		}
	}
	if err != nil {
		return p.file, err
	}
	f := p.file
	if len(f.Secrets)+len(f.Workloads)+len(f.Others)+len(f.Findings) == 0 {
		f.Findings = append(f.Findings, finding(pullsecret.NoObjects, p.at(1), "The file holds no object of Kubernetes."))
	}
	return f, nil
}

type parser struct {
	file *File
	// aliases counts what was reached through an alias: a small file may
	// unfold into an endless one.
	aliases int
}

func (p *parser) at(line int) pullsecret.Position {
	return pullsecret.Position{File: p.file.Name, Line: line}
}

func (p *parser) errorf(line int, format string, args ...any) *Error {
	return &Error{Position: p.at(line), Text: fmt.Sprintf(format, args...)}
}

// readable refuses what is no text.
func (p *parser) readable(data []byte) error {
	switch {
	case len(data) > MaxBytes:
		return p.errorf(0, "it has more than 16 MiB: split it")
	case len(bytes.TrimSpace(data)) == 0:
		return p.errorf(0, textEmpty)
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		return p.errorf(0, "it is UTF-16: save it as UTF-8")
	case bytes.IndexByte(data, 0) >= 0 || !utf8.Valid(data):
		return p.errorf(0, "it is binary, not text in UTF-8")
	}
	return nil
}

func finding(r pullsecret.Rule, at pullsecret.Position, format string, args ...any) pullsecret.Finding {
	d, _ := pullsecret.Describe(r) // there is one for every rule; a test says so
	return pullsecret.Finding{
		Rule: r, Severity: d.Severity, Byte: -1, Effect: d.Effect, Fix: d.Fix, File: at.File, Line: at.Line,
		Message: fmt.Sprintf(format, args...),
	}
}

// object sorts an object by its kind.
func (p *parser) object(n *yaml.Node, depth int) error {
	const deepest = 16 // Lists in Lists
	n = p.resolve(n)
	if n == nil || depth > deepest {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return p.errorf(n.Line, "there is %s where an object of Kubernetes should be", kindOf(n))
	}
	o := Object{
		APIVersion: p.text(n, "apiVersion"), Kind: p.text(n, "kind"),
		Namespace: p.text(n, "metadata", "namespace"), Name: p.text(n, "metadata", "name"), Position: p.at(n.Line),
	}
	if o.Name == "" {
		if prefix := p.text(n, "metadata", "generateName"); prefix != "" {
			o.Name = prefix + "xxxxx" // as the API server will complete it
		}
	}
	items := p.find(n, "items")
	switch {
	case o.Kind == "":
		return p.errorf(n.Line, "the object has no kind: is it a manifest of Kubernetes?")
	case strings.HasSuffix(o.Kind, "List") && items != nil && items.Kind == yaml.SequenceNode:
		for _, i := range items.Content {
			p.inherit(i, o)
			if err := p.object(i, depth+1); err != nil {
				return err
			}
		}
		if p.aliases > maxAliases {
			return p.errorf(n.Line, "its aliases unfold into too much: write it without")
		}
	case o.Kind == "Secret" && o.APIVersion == "":
		return p.errorf(n.Line, "the Secret has no apiVersion: write apiVersion: v1")
	case o.Kind == "Secret" && o.APIVersion == "v1":
		p.secret(n, o)
	default:
		if !p.workload(n, o) {
			p.file.Others = append(p.file.Others, o)
		}
	}
	if p.aliases > maxAliases {
		return p.errorf(n.Line, "its aliases unfold into too much: write it without")
	}
	return nil
}

// inherit gives an item of a SecretList or PodList, which may go without, its
// kind.
func (p *parser) inherit(item *yaml.Node, list Object) {
	kind := strings.TrimSuffix(list.Kind, "List")
	item = p.resolve(item)
	if kind == "" || item == nil || item.Kind != yaml.MappingNode {
		return
	}
	for _, f := range []struct{ name, value string }{{"apiVersion", list.APIVersion}, {"kind", kind}} {
		if p.find(item, f.name) == nil {
			item.Content = append(item.Content,
				&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: f.name, Line: item.Line},
				&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: f.value, Line: item.Line})
		}
	}
}

// base is the last element of a file's name, on any system.
func base(name string) string { return path.Base(strings.ReplaceAll(name, `\`, "/")) }
