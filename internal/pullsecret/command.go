package pullsecret

import (
	"net/url"
	"strconv"
	"strings"
)

// quoted is a key or name of somebody else's for a sentence: nothing in it
// commands a terminal, and no password is in it.
func quoted(key string) string { return strconv.Quote(ShowKey(key)) }

// ShowKey is a key of auths without the password that a URL may hold.
func ShowKey(key string) string {
	scheme, rest, ok := strings.Cut(key, "://")
	if !ok {
		scheme, rest = "", key
	}
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	at := strings.LastIndexByte(authority, '@')
	if at < 0 {
		return key
	}
	user, _, hasPassword := strings.Cut(authority[:at], ":")
	if !hasPassword {
		return key
	}
	shown := user + ":***" + authority[at:] + path
	if ok {
		shown = scheme + "://" + shown
	}
	return shown
}

// Quote is an argument for a shell.
func Quote(s string) string {
	const safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@%+=,"
	if s != "" && strings.Trim(s, safe) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// pasteable says whether a text can stand in a line to paste: a line break or
// a control character could end the line early.
func pasteable(s string) bool {
	for _, r := range s {
		if !strconv.IsPrint(r) {
			return false
		}
	}
	return true
}

// createCommand is how the secret is made, up to the flags that say of what.
func (c *checker) createCommand() string {
	name := c.secret.Name
	if c.Bare || name == "" {
		name = "NAME"
	}
	line := "fairlead secret create " + Quote(name)
	if c.secret.Namespace != "" {
		line += " --namespace " + Quote(c.secret.Namespace)
	}
	return line
}

// recreate makes the whole secret again. In a cluster it is deleted before,
// since its type cannot change.
func (c *checker) recreate() []string {
	if !pasteable(c.secret.Name) || !pasteable(c.secret.Namespace) {
		return nil
	}
	create := c.createCommand() + " --server HOST --username USER"
	if c.secret.Position.File != "" {
		if !pasteable(c.secret.Position.File) {
			return nil
		}
		return []string{create + " -o yaml"}
	}
	remove := "kubectl delete secret " + Quote(c.secret.Name)
	if c.secret.Namespace != "" {
		remove += " --namespace " + Quote(c.secret.Namespace)
	}
	return []string{remove, create}
}

// replace writes one entry again. Others in the secret are kept.
func (c *checker) replace(key string) []string {
	if !pasteable(c.secret.Name) || !pasteable(c.secret.Namespace) || !pasteable(key) {
		return nil
	}
	create := c.createCommand()
	switch {
	case c.secret.Position.File != "" && len(c.doc.entries) > 1:
		return nil
	case c.secret.Position.File != "":
		return []string{create + " --server " + Quote(hostOf(key)) + " --username USER -o yaml"}
	}
	create += " --force-conflicts" // most are kubectl's
	if len(c.doc.entries) == 1 {
		return []string{create + " --server " + Quote(hostOf(key)) + " --username USER"}
	}
	get := "kubectl get secret " + Quote(c.secret.Name)
	if c.secret.Namespace != "" {
		get += " --namespace " + Quote(c.secret.Namespace)
	}
	return []string{
		get + " -o jsonpath='{.data." + strings.ReplaceAll(types[c.secret.Type], ".", `\.`) + "}' | base64 -d > config.json",
		"docker --config . login " + Quote(hostOf(key)),
		create + " --from-docker-config=config.json",
	}
}

// hostOf is the host of a key as it is typed, or the key itself.
func hostOf(key string) string {
	if isHub(key) {
		return hubKey
	}
	u, err := url.Parse("https://" + bareKey(key))
	if err != nil || u.Host == "" {
		return ShowKey(key)
	}
	return strings.ToLower(u.Host)
}
