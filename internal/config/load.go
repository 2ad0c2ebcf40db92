package config

import (
	"errors"
	"reflect"
	"sort"
	"strings"
)

// Source is where a configuration comes from.
type Source struct {
	// File is the path of the YAML file; "" means the one that FAIRLEAD_CONFIG
	// names, or none.
	File string
	// Env holds NAME=value, as os.Environ gives it. A variable with an empty
	// value counts as unset.
	Env []string
	// Flags holds the values of the flags that were set, by key.
	Flags map[string][]string
}

// Load reads the source and checks what it says. It returns an *Error that
// holds every problem found, or a file that could not be read as the only one.
func Load(s Source) (Config, error) {
	c, _, err := Trace(s)
	return c, err
}

// Trace is Load, and says for every key where its value comes from:
// "default", "flag --listen", "FAIRLEAD_LISTEN" or "fairlead.yaml:3".
func Trace(s Source) (Config, map[string]string, error) {
	l := newLoad(Settings())
	l.defaults()
	env := l.environment(s.Env)
	file := s.File
	if file == "" {
		file = env[FileEnv]
	}
	if file != "" {
		l.file(file)
	}
	for _, set := range l.settings {
		if v, ok := env[set.Env]; ok {
			l.give(set, split(set, []string{v}), set.Env)
		}
	}
	for _, set := range l.settings {
		if v, ok := s.Flags[set.Key]; ok {
			l.give(set, split(set, v), "flag --"+set.Key)
		}
	}
	for key := range s.Flags {
		if _, ok := l.byKey[key]; !ok {
			l.problem(Problem{Key: key, From: "flag --" + key, Text: "is no setting"})
		}
	}
	var c Config
	l.fill(reflect.ValueOf(&c))
	c.derive()
	l.check(c)
	if len(l.problems) > 0 {
		return Config{}, nil, &Error{Problems: l.problems}
	}
	return c, l.origins(), nil
}

// given is the strongest value a setting has so far.
type given struct {
	values []string
	from   string
}

type load struct {
	settings []Setting
	byKey    map[string]Setting
	given    map[string]given
	problems []Problem
}

func newLoad(settings []Setting) *load {
	l := &load{settings: settings, byKey: map[string]Setting{}, given: map[string]given{}}
	for _, s := range settings {
		l.byKey[s.Key] = s
	}
	return l
}

func (l *load) problem(p Problem) { l.problems = append(l.problems, p) }

func (l *load) defaults() {
	for _, s := range l.settings {
		if s.Default != "" {
			l.given[s.Key] = given{split(s, []string{s.Default}), fromDefault}
		}
	}
}

const fromDefault = "default"

func (l *load) give(s Setting, values []string, from string) {
	l.given[s.Key] = given{values, from}
}

// split divides the values of a list at commas; environment and flags have no
// other way to write one.
func split(s Setting, values []string) []string {
	if !s.List {
		return values
	}
	var out []string
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			if part = strings.TrimSpace(part); part != "" {
				out = append(out, part)
			}
		}
	}
	return out
}

// environment picks the variables that are ours and reports those that look
// as if they were meant to be.
func (l *load) environment(environ []string) map[string]string {
	known := map[string]bool{FileEnv: true}
	names := []string{FileEnv}
	for _, s := range l.settings {
		known[s.Env] = true
		names = append(names, s.Env)
	}
	out := map[string]string{}
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, EnvPrefix) || serviceLink(name) {
			continue
		}
		if !known[name] {
			l.problem(Problem{
				Key: name, From: "environment",
				Text: "is no variable of Fairlead" + suggest(name, names) + "; unset it, or see fairlead serve --help",
			})
			continue
		}
		if value != "" {
			out[name] = value
		}
	}
	return out
}

// fill parses the strongest values into the struct that dst points to.
func (l *load) fill(dst reflect.Value) {
	for _, s := range l.settings {
		g, ok := l.given[s.Key]
		if !ok {
			continue
		}
		if err := s.set(dst, g.values); err != nil {
			l.bad(s.Key, err.Error())
		}
	}
}

// bad reports the value that key has now.
func (l *load) bad(key, text string) {
	s, g := l.byKey[key], l.given[key]
	for _, p := range l.problems {
		if p.Key == key { // one error for one value
			return
		}
	}
	value := strings.Join(g.values, ",")
	if s.Secret {
		value = redacted
	}
	l.problem(Problem{Key: key, Env: s.Env, From: g.from, Value: &value, Text: text})
}

func (l *load) origins() map[string]string {
	out := map[string]string{}
	for _, s := range l.settings {
		out[s.Key] = fromDefault
		if g, ok := l.given[s.Key]; ok {
			out[s.Key] = g.from
		}
	}
	return out
}

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	Key   string  // the setting, or the unknown name
	Env   string  // the setting's variable; "" when the name is unknown
	From  string  // where the value stands
	Value *string // nil when it is not the value that is wrong
	Text  string  // what is wrong, and what to do
}

func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.Key)
	if p.Value != nil {
		b.WriteString(": \"" + *p.Value + "\"")
	}
	if p.From != "" {
		b.WriteString(" (" + p.From + ")")
	}
	b.WriteString(" " + p.Text)
	if p.Env != "" {
		b.WriteString("; set it with --" + p.Key + ", " + p.Env + " or " + p.Key + ": in the file")
	}
	return b.String()
}

// Error is everything that is wrong with a configuration.
type Error struct{ Problems []Problem }

func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	sort.Strings(lines)
	if len(lines) == 1 {
		return "configuration: " + lines[0]
	}
	return "configuration:\n  " + strings.Join(lines, "\n  ")
}

// errOne makes a problem that no setting has an Error.
func errOne(name string, err error) error {
	return &Error{Problems: []Problem{{Key: name, Text: err.Error()}}}
}

// AsError gives the *Error in err's chain.
func AsError(err error) (*Error, bool) {
	var e *Error
	ok := errors.As(err, &e)
	return e, ok
}
