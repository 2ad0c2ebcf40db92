package pullsecret

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"fairlead.dev/fairlead/keyring"
)

// readable reads the document, or says why nobody can.
func (c *checker) readable(key string, data []byte) bool {
	if !json.Valid(data) {
		c.malformed(key, data)
		return false
	}
	c.doc = readDocument(data, c.secret.Type == TypeLegacy)
	switch root := c.doc.root; {
	case root.kind == null:
		c.add(NoEntries, place{"", key, root.at}, "The value of %s is null.", key).Commands = c.recreate()
	case root.kind != object:
		c.add(NotObject, place{"", key, root.at}, "The value of %s is %s, where an object is expected.", key, root.kind).Commands = c.recreate()
	default:
		if err := json.Unmarshal(data, &map[string]any{}); err != nil {
			c.add(NumberRange, nowhere("", key), "The value of %s has a number that is too large for the API server.", key)
		}
		return true
	}
	return false
}

// malformed says what is written where JSON should be. data is shown nowhere.
func (c *checker) malformed(key string, data []byte) {
	at := place{"", key, syntaxOffset(data)}
	var f *Finding
	switch {
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		at.at = 0
		f = c.add(ByteOrderMark, at, "The value of %s begins with the three bytes of a byte order mark.", key)
	case isUTF16(data):
		at.at = 0
		f = c.add(UTF16, at, "The value of %s is UTF-16, two bytes for each letter.", key)
	case decodesToConfig(data):
		f = c.add(DoubleBase64, at, "The value of %s decodes to base64 once more: it was encoded twice (%s).", key, syntaxText(data))
	case trailing(data) >= 0:
		at.at = trailing(data)
		f = c.add(TrailingData, at, "Behind the JSON in %s, which is whole, something follows at byte %d.", key, at.at)
	default:
		f = c.add(NotJSON, at, "The value of %s is not JSON: %s at byte %d%s.", key, syntaxText(data), at.at, guess(data))
	}
	f.Commands = c.recreate()
}

// syntaxOffset is the byte at which data stops to be JSON.
func syntaxOffset(data []byte) int {
	var syntax *json.SyntaxError
	if errors.As(json.Unmarshal(data, new(json.RawMessage)), &syntax) {
		return max(0, int(syntax.Offset)-1)
	}
	return 0
}

// syntaxText is the decoder's text. It quotes one character at most.
func syntaxText(data []byte) string {
	err := json.Unmarshal(data, new(json.RawMessage))
	if err == nil {
		return ""
	}
	return err.Error()
}

// guess says what text that is not JSON may be.
func guess(data []byte) string {
	t := strings.TrimSpace(string(data))
	switch {
	case strings.HasPrefix(t, "auths:"):
		return "; it looks like YAML"
	case strings.HasPrefix(t, "{'"):
		return "; names and values stand in double quotes"
	case strings.HasPrefix(t, "${") || strings.HasPrefix(t, "{{") || strings.HasPrefix(t, "$("):
		return "; it looks like a template that nobody filled in"
	}
	return ""
}

func isUTF16(data []byte) bool {
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return true
	}
	return len(data) >= 4 && (data[0] == 0 && data[1] != 0 && data[2] == 0 || data[0] != 0 && data[1] == 0 && data[3] == 0)
}

// decodesToConfig says whether data is base64 of JSON.
func decodesToConfig(data []byte) bool {
	joined := strings.Join(strings.Fields(string(data)), "")
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(joined, "="))
	return err == nil && len(raw) > 0 && json.Valid(raw) && bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{"))
}

// trailing is where something follows a JSON object that is whole; -1 if
// that is not so.
func trailing(data []byte) int {
	d := json.NewDecoder(bytes.NewReader(data))
	var first json.RawMessage
	if d.Decode(&first) != nil || !bytes.HasPrefix(bytes.TrimSpace(first), []byte("{")) {
		return -1
	}
	return nextByte(data, int(d.InputOffset()))
}

// rejected makes an error of the kubelet plain.
func (c *checker) rejected(key string, err *keyring.Error) {
	for _, i := range c.doc.byKey[err.Key] { // of the empty key, or of none
		if c.rejectedEntry(c.doc.entries[i]) {
			return
		}
	}
	for _, m := range c.doc.root.members {
		switch name := m.name; {
		case c.doc.legacy:
		case strings.EqualFold(name, "auths") && m.value.kind != object && m.value.kind != null:
			c.add(AuthsWrongType, place{"", name, m.value.at}, "%s is %s, where an object is expected.", name, m.value.kind)
			return
		case strings.EqualFold(name, "HttpHeaders") && !textsOnly(m.value):
			f := c.add(FieldWrongType, place{"", name, m.value.at}, "%s is no object of texts.", name)
			f.Fix = "Remove it: the kubelet does not use it."
			return
		}
	}
	f := c.add(FieldWrongType, place{err.Key, err.Field, int(err.Offset)}, "The kubelet cannot read it: %s.", err.Text)
	f.Fix = recreateFix
}

func textsOnly(n node) bool {
	if n.kind == null {
		return true
	}
	for _, m := range n.members {
		if m.value.kind != text && m.value.kind != null {
			return false
		}
	}
	return n.kind == object
}

// broken says whether the kubelet cannot read an entry.
func (c *checker) broken(e entry) bool {
	if !e.object {
		return e.node.kind != null
	}
	for _, f := range e.fields {
		if f.kind != text {
			return true
		}
	}
	_, _, _, err := e.login()
	return err != nil
}

func (c *checker) rejectedEntry(e entry) bool {
	switch {
	case !c.broken(e):
		return false
	case !e.object:
		f := c.add(EntryWrongType, place{e.key, "", e.node.at}, "The entry %s is %s, where an object is expected.", quoted(e.key), e.node.kind)
		f.Commands = c.replace(e.key)
		return true
	}
	for _, name := range fieldsRead {
		if f, ok := e.fields[name]; ok && f.kind != text {
			c.add(FieldWrongType, place{e.key, name, f.at}, "%s of %s is %s, where text is expected.", name, quoted(e.key), f.kind)
			return true
		}
	}
	c.badAuth(e)
	return true
}

// badAuth says why the field auth cannot be decoded.
func (c *checker) badAuth(e entry) {
	auth := e.fields["auth"].text
	_, _, err := decodeAuth(auth)
	var corrupt base64.CorruptInputError
	if !errors.As(err, &corrupt) {
		what := "it decodes to text without one"
		if user, pass, again := doubled(auth); again && user != "" && pass != "" {
			what = "it was encoded in base64 twice"
		}
		c.add(AuthNoColon, nowhere(e.key, "auth"), "auth of %s has no colon between user and password: %s.", quoted(e.key), what).Commands = c.replace(e.key)
		return
	}
	at := int(corrupt)
	c.add(AuthNotBase64, place{e.key, "auth", at}, "auth of %s is not base64 at byte %d: %s.", quoted(e.key), at, notBase64(auth, at)).Commands = c.replace(e.key)
}

// notBase64 says what stands at the byte where decoding ends, without
// quoting what may be a part of a password.
func notBase64(auth string, at int) string {
	switch {
	case at >= len(auth):
		return "it ends too early"
	case strings.ContainsAny(auth[at:at+1], "-_"):
		return "'-' and '_' are of the alphabet for URLs, the kubelet reads the one with '+' and '/'"
	case auth[at] == ' ' || auth[at] == '\t':
		return "there is a space"
	case auth[at] == ':':
		return "there is a colon: is it the user and the password themselves?"
	case auth[at] == '=':
		return "padding stands where none belongs"
	case auth[at] == '"' || auth[at] == '\'':
		return "there is a quotation mark"
	case strings.Count(auth, "=") == 0 && strings.Trim(auth, alphabet) == "":
		return "it was cut off"
	case strings.HasSuffix(auth, "=") && strings.Trim(strings.TrimRight(auth, "="), alphabet) == "":
		return "the padding does not fit: it was cut off, or something was added"
	}
	return "the character is none of base64"
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/\r\n"

// doubled decodes what was encoded twice.
func doubled(auth string) (username, password string, ok bool) {
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(auth), "="))
	if err != nil {
		return "", "", false
	}
	username, password, err = decodeAuth(strings.TrimSpace(string(raw)))
	return username, password, err == nil
}

// whole is about the document beside its entries. It says whether they are
// what they seem.
func (c *checker) whole(key string, data []byte) bool {
	if at := invalidUTF8(data); at >= 0 {
		c.add(NotUTF8, place{"", key, at}, "The value of %s holds a byte that is no UTF-8, at byte %d.", key, at)
	}
	c.duplicates(key)
	_, bare := looksLikeConfig(data)
	wrapped := c.doc.legacy && legacyWraps(c.doc.root)
	switch {
	case wrapped:
		c.add(BodyWrapped, nowhere("", key), "The document under %s has auths, which belongs under %s.", key, KeyConfigJSON).Commands = c.recreate()
		return false
	case !c.doc.legacy && bare:
		c.add(BodyUnwrapped, nowhere("", key), "The document under %s has entries and no auths: it is the older form, which belongs under %s.", key, KeyLegacy).Commands = c.recreate()
	case c.elsewhere(key):
	case len(c.doc.entries) == 0:
		c.add(NoEntries, nowhere("", key), "There is no entry in %s.", key).Commands = c.recreate()
	}
	return true
}

// legacyWraps says whether what stands under .dockercfg is a config.json.
func legacyWraps(root node) bool {
	for _, m := range root.members {
		if strings.EqualFold(m.name, "auths") && m.value.kind == object && !looksLikeEntry(m.value) {
			return true
		}
	}
	return false
}

func invalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

// duplicates finds names that stand twice: of the document, of entries, of
// their fields.
func (c *checker) duplicates(key string) {
	for _, m := range c.doc.root.twice() {
		c.duplicate(place{"", key, m.at}, m.name, "the document")
	}
	if c.doc.legacy {
		c.duplicateFields()
		return
	}
	for _, m := range c.doc.root.members {
		if strings.EqualFold(m.name, "auths") {
			for _, t := range m.value.twice() {
				c.duplicate(place{t.name, "auths", t.at}, t.name, m.name)
			}
		}
	}
	c.duplicateFields()
}

func (c *checker) duplicateFields() {
	for _, e := range c.doc.entries {
		for _, m := range e.node.twice() {
			c.duplicate(place{e.key, m.name, m.at}, m.name, "the entry "+quoted(e.key))
		}
	}
}

func (c *checker) duplicate(p place, name, in string) {
	c.add(DuplicateName, p, "%s stands twice in %s, the second time at byte %d.", quoted(name), in, p.at)
}

// elsewhere is about credentials that lie in a store or a helper.
func (c *checker) elsewhere(key string) bool {
	if c.doc.store == "" && len(c.doc.helpers) == 0 {
		return false
	}
	missing, have := 0, map[string]bool{}
	for _, e := range c.doc.entries {
		username, password, _, err := e.login()
		have[e.key] = err != nil || username != "" || password != ""
		if !have[e.key] {
			missing++
		}
	}
	helper := c.doc.store
	for _, h := range c.doc.helpers {
		if !have[h.name] {
			missing++
			helper = h.value.text
		}
	}
	if missing == 0 && len(c.doc.entries) > 0 {
		return false
	}
	f := c.add(CredentialsElsewhere, nowhere("", key), "The credentials lie in docker-credential-%s of the machine on which the file was written.", shownName(helper))
	command := c.createCommand() + " --from-docker-config"
	if file := c.secret.Position.File; c.Bare && file != "-" {
		command += "=" + Quote(file)
	}
	if pasteable(command) {
		f.Commands = []string{command}
	}
	return true
}

func shownName(s string) string {
	if s == "" {
		return "…"
	}
	return strings.Trim(fmt.Sprintf("%q", s), `"`)
}
