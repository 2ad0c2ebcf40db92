package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// EnvPrefix begins the name of every variable that is a setting.
const EnvPrefix = "FAIRLEAD_"

// KindSwitch is the kind of a setting that is on or off.
const KindSwitch = "true or false"

// FileEnv names the configuration file when no flag does.
const FileEnv = EnvPrefix + "CONFIG"

// Setting describes one field of Config for people: flags, help, documents.
type Setting struct {
	Key     string // the YAML key and the flag's name
	Env     string // the variable's name
	Default string // as a user would write it; "" when there is none
	Min     string // "" when unbounded
	Max     string
	Usage   string
	Kind    string // "text", "number", "size", "duration", …
	List    bool   // takes several values
	Secret  bool

	field int
}

// Settings gives every setting in the order of the struct.
func Settings() []Setting { return settingsOf(reflect.TypeFor[Config]()) }

func settingsOf(t reflect.Type) []Setting {
	out := make([]Setting, 0, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		key := f.Tag.Get("yaml")
		out = append(out, Setting{
			Key:     key,
			Env:     EnvPrefix + strings.ToUpper(strings.ReplaceAll(key, "-", "_")),
			Default: f.Tag.Get("default"),
			Min:     f.Tag.Get("min"),
			Max:     f.Tag.Get("max"),
			Usage:   f.Tag.Get("usage"),
			Kind:    kindOf(f.Type),
			List:    f.Type.Kind() == reflect.Slice,
			Secret:  f.Tag.Get("secret") == "true",
			field:   i,
		})
	}
	return out
}

func kindOf(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return "duration"
	case reflect.TypeFor[Size]():
		return "size"
	case reflect.TypeFor[FreeSpace]():
		return "share or size"
	case reflect.TypeFor[[]Origin]():
		return "list of URLs"
	case reflect.TypeFor[[]Network]():
		return "list of addresses"
	case reflect.TypeFor[int]():
		return "number"
	case reflect.TypeFor[bool]():
		return KindSwitch
	}
	return "text"
}

// set parses values into the field of the struct that dst points to, within
// the setting's bounds. The error says what is wrong and how to write it; it
// never repeats the value.
func (s Setting) set(dst reflect.Value, values []string) error {
	field := dst.Elem().Field(s.field)
	if s.List {
		list := reflect.MakeSlice(field.Type(), 0, len(values))
		for _, v := range values {
			item := reflect.New(field.Type().Elem())
			if err := parse(item, v); err != nil {
				return err
			}
			list = reflect.Append(list, item.Elem())
		}
		field.Set(list)
		return nil
	}
	if len(values) != 1 {
		return errors.New("takes one value, not a list")
	}
	parsed := reflect.New(field.Type())
	if err := parse(parsed, values[0]); err != nil {
		return err
	}
	if err := s.bounded(parsed.Elem()); err != nil {
		return err
	}
	field.Set(parsed.Elem())
	return nil
}

func (s Setting) bounded(v reflect.Value) error {
	for _, b := range []struct {
		text, word string
		beyond     func(v, bound int64) bool
	}{
		{s.Min, "at least", func(v, bound int64) bool { return v < bound }},
		{s.Max, "at most", func(v, bound int64) bool { return v > bound }},
	} {
		if b.text == "" {
			continue
		}
		bound := reflect.New(v.Type())
		if err := parse(bound, b.text); err != nil {
			return fmt.Errorf("has an unreadable bound %q: %w", b.text, err)
		}
		if b.beyond(v.Int(), bound.Elem().Int()) {
			return fmt.Errorf("must be %s %s", b.word, b.text)
		}
	}
	return nil
}

// parse reads text into what p points to.
func parse(p reflect.Value, text string) error {
	switch v := p.Interface().(type) {
	case encoding.TextUnmarshaler:
		return v.UnmarshalText([]byte(text))
	case *string:
		if strings.ContainsRune(text, 0) {
			return errors.New("holds a zero byte")
		}
		*v = text
	case *int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return errors.New("is no whole number")
		}
		*v = n
	case *bool:
		if text != "true" && text != "false" {
			return errors.New("is neither true nor false")
		}
		*v = text == "true"
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return errors.New("is no duration: write a number with a unit, such as 30s, 5m or 24h")
		}
		*v = d
	default:
		return fmt.Errorf("has a type that cannot be read: %s", p.Type())
	}
	return nil
}

// format writes v as parse would read it.
func format(v reflect.Value) string {
	switch t := v.Interface().(type) {
	case encoding.TextMarshaler:
		b, err := t.MarshalText()
		if err != nil {
			return err.Error()
		}
		return string(b)
	case time.Duration:
		return formatDuration(t)
	default:
		return fmt.Sprint(t)
	}
}

// formatDuration writes 24h and not 24h0m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
