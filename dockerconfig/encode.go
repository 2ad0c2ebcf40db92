package dockerconfig

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Encode writes the file in one line. A file that only Set has filled comes
// out in the bytes of kubectl create secret docker-registry.
func (f *File) Encode() []byte {
	var b bytes.Buffer
	if f.legacy {
		f.writeItems(&b)
		return b.Bytes()
	}
	all := f.members
	if !f.hasAuths() {
		all = append([]member{{name: "auths"}}, all...)
	}
	b.WriteByte('{')
	for i, m := range all {
		begin(&b, i, m.name)
		if m.value == nil {
			f.writeItems(&b)
			continue
		}
		compact(&b, m.value)
	}
	b.WriteByte('}')
	return b.Bytes()
}

func (f *File) hasAuths() bool {
	for _, m := range f.members {
		if m.value == nil {
			return true
		}
	}
	return false
}

func (f *File) writeItems(b *bytes.Buffer) {
	b.WriteByte('{')
	for i, n := range f.items {
		begin(b, i, n.Key)
		b.WriteByte('{')
		for j, m := range n.members {
			begin(b, j, m.name)
			compact(b, m.value)
		}
		b.WriteByte('}')
	}
	b.WriteByte('}')
}

// begin writes the name of the i-th member of an object.
func begin(b *bytes.Buffer, i int, name string) {
	if i > 0 {
		b.WriteByte(',')
	}
	b.Write(quote(name))
	b.WriteByte(':')
}

// compact writes a value as it was read, without white space.
func compact(b *bytes.Buffer, value []byte) { _ = json.Compact(b, value) } // its syntax is good

// EncodeIndent writes the file as docker and podman do: indented by tabs, no
// line end at the end.
func (f *File) EncodeIndent() []byte {
	var b bytes.Buffer
	_ = json.Indent(&b, f.Encode(), "", "\t") // its syntax is good
	return b.Bytes()
}

// Format says how many entries there are, for every verb: fmt would print the
// secrets.
func (f File) Format(s fmt.State, _ rune) {
	_, _ = fmt.Fprintf(s, "file of %d credentials", len(f.items))
}
