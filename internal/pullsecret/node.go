package pullsecret

import (
	"bytes"
	"encoding/json"
	"strings"
)

// kind is a kind of JSON value.
type kind string

const (
	object  kind = "an object"
	array   kind = "a list"
	text    kind = "text"
	number  kind = "a number"
	boolean kind = "true or false"
	null    kind = "null"
)

// node is a JSON value with its place. Other than a map it keeps the order,
// and names that stand twice.
type node struct {
	kind    kind
	text    string // of a text
	members []member
	at      int // offset of its first byte
}

type member struct {
	name  string
	at    int // offset of the name
	value node
}

// parseNode reads a document that json.Valid has found to be one.
func parseNode(data []byte) node {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return readNode(d, data)
}

func readNode(d *json.Decoder, data []byte) node {
	at := nextByte(data, int(d.InputOffset()))
	t, err := d.Token()
	if err != nil {
		return node{kind: null, at: at} // not reached: the document is valid
	}
	n := node{at: at}
	switch v := t.(type) {
	case string:
		n.kind, n.text = text, v
	case json.Number:
		n.kind = number
	case bool:
		n.kind = boolean
	case nil:
		n.kind = null
	case json.Delim:
		n.kind = array
		if v == '{' {
			n.kind = object
		}
		n.members = readMembers(d, data, n.kind)
	}
	return n
}

func readMembers(d *json.Decoder, data []byte, in kind) []member {
	var out []member
	for d.More() {
		m := member{at: nextByte(data, int(d.InputOffset()))}
		if in == object {
			t, err := d.Token()
			name, ok := t.(string)
			if err != nil || !ok {
				return out // not reached: the document is valid
			}
			m.name = name
		}
		m.value = readNode(d, data)
		out = append(out, m)
	}
	_, _ = d.Token() // the bracket that closes
	return out
}

// nextByte skips what may stand before a value.
func nextByte(data []byte, at int) int {
	for at < len(data) && strings.IndexByte(" \t\r\n,:", data[at]) >= 0 {
		at++
	}
	return at
}

// twice gives the members whose name stood there before.
func (n node) twice() []member {
	seen := make(map[string]bool, len(n.members))
	var out []member
	for _, m := range n.members {
		if seen[m.name] {
			out = append(out, m)
		}
		seen[m.name] = true
	}
	return out
}
