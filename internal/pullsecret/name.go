package pullsecret

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// The grammars of Kubernetes' apimachinery (pkg/util/validation).
var (
	subdomain = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	label     = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	qualified = regexp.MustCompile(`^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$`)
	dataKey   = regexp.MustCompile(`^[-._a-zA-Z0-9]+$`)
)

const (
	maxName       = 253
	maxLabel      = 63
	maxAnnotation = 256 << 10 // bytes of all together
)

// checkName says why a name is no name of a secret (a DNS subdomain).
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("it is empty")
	case len(name) > maxName:
		return fmt.Errorf("it has %d characters, at most %d are allowed", len(name), maxName)
	case strings.ToLower(name) != name:
		return errors.New("it has upper case letters: write it in lower case")
	case !subdomain.MatchString(name):
		return errors.New("use a-z, 0-9, '-' and '.', with a letter or digit at both ends and around every '.'")
	}
	return nil
}

// checkNamespace says why a name is none of a namespace (a DNS label).
func checkNamespace(name string) error {
	switch {
	case len(name) > maxLabel:
		return fmt.Errorf("it has %d characters, at most %d are allowed", len(name), maxLabel)
	case !label.MatchString(name):
		return errors.New("use a-z, 0-9 and '-', with a letter or digit at both ends")
	}
	return nil
}

func checkQualified(key string) error {
	prefix, name, ok := strings.Cut(key, "/")
	if !ok {
		name = key
	} else if err := checkName(prefix); err != nil {
		return fmt.Errorf("before the '/': %w", err)
	}
	switch {
	case name == "":
		return errors.New("it is empty")
	case len(name) > maxLabel:
		return fmt.Errorf("its name has %d characters, at most %d are allowed", len(name), maxLabel)
	case !qualified.MatchString(name):
		return errors.New("use letters, digits, '-', '_' and '.', with a letter or digit at both ends")
	}
	return nil
}

func checkLabel(name, value string) error {
	if err := checkQualified(name); err != nil {
		return err
	}
	switch {
	case len(value) > maxLabel:
		return fmt.Errorf("its value has %d characters, at most %d are allowed", len(value), maxLabel)
	case value != "" && !qualified.MatchString(value):
		return errors.New("its value may have letters, digits, '-', '_' and '.', with a letter or digit at both ends")
	}
	return nil
}

// checkAnnotations gives the name of the first that cannot be.
func checkAnnotations(all map[string]string) (string, error) {
	size := 0
	for _, name := range sortedKeys(all) {
		if err := checkQualified(strings.ToLower(name)); err != nil {
			return name, err
		}
		size += len(name) + len(all[name])
		if size > maxAnnotation {
			return name, fmt.Errorf("with it, annotations have more than %d bytes", maxAnnotation)
		}
	}
	return "", nil
}

func checkDataKey(key string) error {
	switch {
	case key == "":
		return errors.New("it is empty")
	case len(key) > maxName:
		return fmt.Errorf("it has %d characters, at most %d are allowed", len(key), maxName)
	case key == "." || strings.HasPrefix(key, ".."):
		return errors.New("it names a folder")
	case !dataKey.MatchString(key):
		return errors.New("use letters, digits, '-', '_' and '.'")
	}
	return nil
}

// dataSize is the sum that Kubernetes limits.
func dataSize(data map[string][]byte) int {
	n := 0
	for _, v := range data {
		n += len(v)
	}
	return n
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
