package dockerconfig

import (
	"net/url"
	"strings"
)

// Found is the answer of a look-up: an entry, or a helper to ask.
type Found struct {
	// Entry is the file's own. Beside a Helper it is what docker leaves in the
	// file, mostly nothing.
	Entry Entry
	// Helper is NAME of the program docker-credential-NAME and Server what to
	// ask it for; both empty if Entry is the answer.
	Helper, Server string
	// Unstable: other entries mean the same host, and the tool takes any of
	// them; Entry is the first in the file.
	Unstable bool
}

// Docker looks a host ("reg.io:5000") up as docker does; "docker.io" and
// "index.docker.io" are Docker Hub, whose key is HubKey. A helper for exactly
// this host comes first, then the one for all, then the file: the key itself,
// or one that has this host. False: there is nothing for it.
func (f *File) Docker(host string) (Found, bool) {
	key := host
	if host == "docker.io" || host == "index.docker.io" {
		key = HubKey
	}
	found, ok := f.dockerEntry(key)
	helper, own := f.helpers[key]
	if !own {
		helper = f.store
	}
	if helper != "" {
		return Found{Entry: found.Entry, Helper: helper, Server: key}, true
	}
	return found, ok
}

func (f *File) dockerEntry(key string) (Found, bool) {
	if e, ok := f.Entry(key); ok {
		return Found{Entry: e}, true
	}
	return f.first(func(k string) bool { return hostname(k) == key })
}

// first is the first entry whose key is wanted.
func (f *File) first(wanted func(key string) bool) (Found, bool) {
	var found Found
	n := 0
	for _, i := range f.items {
		if !wanted(i.Key) {
			continue
		}
		if n++; n == 1 {
			found.Entry = i.Entry
		}
	}
	found.Unstable = n > 1
	return found, n > 0
}

// hostname is what docker takes for the host of a key.
func hostname(key string) string {
	_, rest, isURL := strings.Cut(key, "://")
	if !isURL {
		host, _, _ := strings.Cut(key, "/")
		return host
	}
	if u, err := url.Parse(key); err == nil && u.Hostname() != "" {
		if u.Port() == "" {
			return u.Hostname()
		}
		return join(u.Hostname(), u.Port())
	}
	host, _, _ := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(host, ':'); strings.Count(host, ":") > 1 && host[0] != '[' && i > 0 && digits(host[i+1:]) {
		return join(host[:i], host[i+1:]) // an IPv6 address without its brackets
	}
	if host == "" {
		host, _, _ = strings.Cut(key, "/")
	}
	return host
}

// join is net.JoinHostPort.
func join(host, port string) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + port
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// Containers looks a repository ("quay.io/team/app": a host and a path, no
// tag, no digest) up as podman, skopeo and CRI-O do: whole elements, the
// longest key first, docker.io under all its names. They read "auth" and the
// identity token only; a user and a password beside it are empty in the
// answer. credsStore they do not know. False: there is nothing for it.
func (f *File) Containers(repository string) (Found, bool) {
	registry, path, _ := strings.Cut(repository, "/")
	if strings.Contains(repository, "://") || strings.Contains(repository, "@") || strings.Contains(path, ":") {
		return Found{}, false
	}
	if helper := f.helpers[registry]; helper != "" {
		return Found{Helper: helper, Server: registry}, true
	}
	found, ok := f.containersEntry(repository, registry)
	if i := f.index(found.Entry.Key); ok && !f.items[i].fromAuth {
		found.Entry.Username, found.Entry.Password = "", ""
	}
	return found, ok
}

func (f *File) containersEntry(repository, registry string) (Found, bool) {
	key := repository
	if f.legacy {
		key = registry
	}
	for {
		if e, ok := f.Entry(key); ok {
			return Found{Entry: e}, true
		}
		i := strings.LastIndexByte(key, '/')
		if i < 0 {
			break
		}
		key = key[:i]
	}
	registry = hub(registry)
	return f.first(func(k string) bool { return f.containersHost(k) == registry })
}

// containersHost is the host of a key for the containers tools. The path goes
// only with a scheme, or in a .dockercfg.
func (f *File) containersHost(key string) string {
	s := strings.TrimPrefix(strings.TrimPrefix(key, "http://"), "https://")
	if f.legacy || s != key {
		s, _, _ = strings.Cut(s, "/")
	}
	return hub(s)
}

// hub gives the names of Docker Hub's registry one name.
func hub(host string) string {
	if host == "docker.io" || host == "registry-1.docker.io" {
		return "index.docker.io"
	}
	return host
}
