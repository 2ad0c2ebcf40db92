package pullsecret

import (
	"regexp"
	"strings"
	"unicode"
)

// entry is about what an entry holds. The kubelet can read it.
func (c *checker) entry(e entry) {
	username, password, from, err := e.login()
	if err != nil {
		return // not reached: keyring has rejected it
	}
	if username == "" && password == "" {
		c.noLogin(e)
		return
	}
	c.disagrees(e, username, password)
	c.username(e.key, username, password, from)
	if password == "" {
		c.noPassword(e)
	} else {
		c.password(e.key, username, password, from)
	}
	c.unknownFields(e)
}

// noLogin is about an entry that the kubelet signs in with as nobody.
func (c *checker) noLogin(e entry) {
	if c.tokenOnly(e) || len(c.doc.helpers) > 0 || c.doc.store != "" {
		return // said already, of the store
	}
	what := "holds no credential"
	if e.fields["auth"].text != "" {
		what = "has an empty user and an empty password"
	}
	c.add(EntryEmpty, nowhere(e.key, ""), "The entry %s %s.", quoted(e.key), what).Commands = c.replace(e.key)
	c.unknownFields(e)
}

// tokenOnly is about tokens that the kubelet does not read.
func (c *checker) tokenOnly(e entry) bool {
	for field, r := range map[string]Rule{"identitytoken": IdentityToken, "registrytoken": RegistryToken} {
		if t, at := e.other(field); t != "" {
			c.add(r, place{e.key, field, at}, "The entry %s has %s and no password: the kubelet reads user and password only.", quoted(e.key), field).Commands = c.replace(e.key)
			return true
		}
	}
	return false
}

func (c *checker) noPassword(e entry) {
	if c.tokenOnly(e) {
		return
	}
	c.add(PasswordEmpty, nowhere(e.key, ""), "The password of %s is empty.", quoted(e.key)).Commands = c.replace(e.key)
}

// disagrees compares auth with the fields beside it.
func (c *checker) disagrees(e entry, username, password string) {
	if e.fields["auth"].text == "" {
		return
	}
	var which []string
	if u := e.fields["username"]; u.text != "" && u.text != username {
		which = append(which, "username")
	}
	if p := e.fields["password"]; p.text != "" && p.text != password {
		which = append(which, "password")
	}
	if len(which) > 0 {
		c.add(AuthDisagrees, nowhere(e.key, strings.Join(which, ",")), "In the entry %s, auth says another %s than the field beside it.", quoted(e.key), strings.Join(which, " and another "))
	}
}

func (c *checker) username(key, username, password, from string) {
	where := place{key, "username", -1}
	if from == "auth" {
		where.field = "auth"
	}
	switch trimmed := strings.TrimSpace(username); {
	case username == "":
		c.add(UsernameEmpty, where, "The entry %s has a password and no user.", quoted(key))
	case strings.ContainsFunc(username, unicode.IsControl):
		c.add(UsernameControl, where, "The user of %s has a line break or another control character.", quoted(key))
	case trimmed != username:
		c.add(UsernameSpaces, where, "The user of %s begins or ends with a space.", quoted(key))
	case unfilled.MatchString(username) && username != "$oauthtoken": // NVIDIA's users are called so
		c.add(VariableLiteral, where, "The user of %s is written as a variable that something fills in.", quoted(key))
	case username == "robot" || password == "" && strings.HasPrefix(username, "robot"):
		f := c.add(RobotDollar, where, "The user of %s is %q; Harbor's robots are called robot$NAME, and in double quotes a shell takes $NAME out.", quoted(key), username)
		f.Commands = c.replace(key)
		for i := range f.Commands {
			f.Commands[i] = strings.Replace(f.Commands[i], "--username USER", "--username 'robot$NAME'", 1)
		}
	}
}

// unfilled matches what a shell or a template would have filled in.
var unfilled = regexp.MustCompile(`^(\$[A-Za-z_][A-Za-z0-9_]*|\$\{[^}]+\}|\$\(.+\)|\{\{.+\}\}|%[A-Za-z_][A-Za-z0-9_]*%|<[A-Za-z][A-Za-z0-9 _.-]*>)$`)

func (c *checker) password(key, username, password, from string) {
	where := place{key, from, -1}
	switch trimmed := strings.TrimSpace(password); {
	case strings.HasPrefix(username, "_json_key"):
		return // the password is a file of JSON, and Google reads it as such
	case strings.HasSuffix(password, "\n") || strings.HasSuffix(password, "\r"):
		c.add(PasswordLineBreak, where, "The password of %s ends with a line break.", quoted(key)).Commands = c.replace(key)
	case strings.ContainsAny(password, "\r\n"):
		f := c.add(PasswordLineBreak, where, "The password of %s has a line break in it.", quoted(key))
		f.Fix = "Write it on one line."
	case trimmed != password:
		c.add(PasswordSpaces, where, "The password of %s begins or ends with white space.", quoted(key))
	case unfilled.MatchString(password):
		c.add(VariableLiteral, where, "The password of %s is written as a variable that something fills in.", quoted(key))
	}
	c.lifetime(where, username, strings.TrimSpace(password))
}

// unknownFields names fields that are likely meant to be read.
func (c *checker) unknownFields(e entry) {
	for _, m := range e.others {
		meant := map[string]string{
			"user": "username", "login": "username", "name": "username", "pass": "password", "passwd": "password", "secret": "password", "token": "password",
			"authorization": "auth", "authentication": "auth", "auths": "auth", "mail": "email",
		}[strings.ToLower(strings.ReplaceAll(m.name, "_", ""))]
		if meant != "" {
			f := c.add(FieldUnknown, place{e.key, m.name, m.at}, "The entry %s has a field %s, which the kubelet does not read.", quoted(e.key), quoted(m.name))
			f.Fix = "If it is meant, call it " + meant + "."
		}
	}
}
