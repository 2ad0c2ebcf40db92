package kubefile

import (
	"bytes"
	"encoding/json"
	"strings"

	"fairlead.dev/fairlead/internal/pullsecret"
)

// credentials takes one of docker's files: by its name, or by what it holds.
// It is not read here: what is wrong with it is what is wrong with a secret
// that is made of it.
func (p *parser) credentials(data []byte) bool {
	name := base(p.file.Name)
	legacy, known := strings.EqualFold(name, ".dockercfg"), false
	switch strings.ToLower(name) {
	case "config.json", ".dockercfg", "auth.json", ".dockerconfigjson", "dockerconfig.json":
		known = true
	}
	var top map[string]json.RawMessage
	err := json.Unmarshal(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), &top)
	_, kind := top["kind"]
	_, version := top["apiVersion"]
	switch {
	case kind && version:
		return false
	case err != nil && !known:
		return false
	case err == nil && !known && !holdsCredentials(top, &legacy):
		return false
	case err == nil && known && !legacy:
		holdsCredentials(top, &legacy)
	}
	s := pullsecret.Secret{Name: p.file.Name, Type: pullsecret.TypeConfigJSON, Position: p.at(1)}
	key := pullsecret.KeyConfigJSON
	if legacy {
		s.Type, key = pullsecret.TypeLegacy, pullsecret.KeyLegacy
	}
	s.Data = map[string][]byte{key: data}
	p.file.Credentials = true
	p.file.Secrets = append(p.file.Secrets, s)
	return true
}

// holdsCredentials says whether a document is one of docker's; legacy is set
// for a map of entries.
func holdsCredentials(top map[string]json.RawMessage, legacy *bool) bool {
	entries := 0
	for name, v := range top {
		switch strings.ToLower(name) {
		case "auths", "credsstore", "credhelpers":
			*legacy = false
			return true
		}
		var e map[string]json.RawMessage
		if json.Unmarshal(v, &e) != nil {
			continue
		}
		for field := range e {
			switch strings.ToLower(field) {
			case "auth", "username", "password", "identitytoken", "registrytoken":
				entries++
			}
		}
	}
	if entries > 0 {
		*legacy = true
	}
	return entries > 0
}
