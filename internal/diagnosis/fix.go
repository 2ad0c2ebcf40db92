package diagnosis

import (
	"fmt"
	"slices"
	"strings"

	"fairlead.dev/fairlead/internal/pullsecret"
)

// on is " -n NAMESPACE", or nothing where none is known.
func on(namespace string) string {
	if namespace == "" {
		return ""
	}
	return " -n " + quote(namespace)
}

func (v *view) on() string { return on(v.Pod.Namespace) }

// quote makes text one word of a shell.
func quote(s string) string {
	if s != "" && strings.IndexFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_./:@%+=,", r)
	}) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// alone says that there is an image, and no pod.
func (v *view) alone() bool { return v.Pod.Template && v.c.Name == "" }

// host is what people write for the registry of the image.
func (v *view) host() string { return v.image.Domain }

// server is the key that a secret for the image's registry needs.
func (v *view) server() string {
	if v.image.Domain == "docker.io" {
		return "https://index.docker.io/v1/"
	}
	return v.image.Domain
}

// create is the step that makes, or mends, a secret for the image's registry.
func (v *view) create(name, user string) Step {
	if v.answer.Fairlead {
		return Step{"Make it with a token of the registry:", v.withToken(name)}
	}
	if user == "" {
		user = "USER"
	}
	return Step{"Make it; the password is asked for, or read from a pipe:", v.withPassword(name, v.server(), user)}
}

// withToken are the lines that put a new token of our registry into a secret.
func (v *view) withToken(name string) []string {
	return v.write(name, " --new-token --expires 90d", "fairlead token add --expires 90d --quiet")
}

// withPassword are the lines that put an entry with a password into a secret.
func (v *view) withPassword(name, server, user string) []string {
	if !v.holdsMore(name) {
		return []string{v.make(name) + " --server " + quote(server) + " --username " + quote(user)}
	}
	return v.keeping(name, "docker --config . login "+quote(server)+" --username "+quote(user))
}

// write are the lines that put a token into a secret: by the flags of secret
// create, or as the command prints it.
func (v *view) write(name, flags, command string) []string {
	if !v.holdsMore(name) {
		return []string{v.make(name) + flags}
	}
	return v.keeping(name, command+" | docker --config . login "+quote(v.server())+" --username token --password-stdin")
}

// holdsMore says that a secret of the pod has several entries. secret create
// writes the whole of it: what it is not given is gone.
func (v *view) holdsMore(name string) bool {
	n := 0
	for _, e := range v.said.Entries {
		if s, ok := v.named(e.Source); ok && s.Name == name && s.Type == pullsecret.TypeConfigJSON {
			n++
		}
	}
	return n > 1
}

// keeping are the lines that sign in and leave the secret's other entries as
// they are.
func (v *view) keeping(name, login string) []string {
	return []string{
		"(umask 077; kubectl" + v.on() + " get secret " + quote(name) + ` -o jsonpath='{.data.\.dockerconfigjson}' | base64 -d > config.json)`,
		login,
		v.make(name) + " --from-docker-config=config.json && rm config.json",
	}
}

// make is the command that makes a secret, or mends one: what is there was
// mostly written by others.
func (v *view) make(name string) string {
	line := "fairlead secret create " + quote(name) + v.on()
	for _, n := range v.Secrets {
		if n.Found && n.Secret.Name == name {
			return line + " --force-conflicts"
		}
	}
	return line
}

// secretName is a name for a secret that is not there yet.
func (v *view) secretName() string {
	for _, n := range v.Secrets {
		if !n.Found {
			return n.Name
		}
	}
	return "regcred"
}

// reference is the step by which the account lists the secret.
func (v *view) reference(name string) Step {
	if v.alone() {
		return Step{}
	}
	if v.ownList() {
		return Step{Say: "Write {name: " + name + "} into imagePullSecrets of the workload, which has a list of its own; then:"}
	}
	account := v.Pod.AccountName
	if account == "" {
		account = "default"
	}
	return Step{"Let the service account name it, for the pods to come:", []string{
		"fairlead secret use " + quote(name) + v.on() + " --serviceaccount " + quote(account),
	}}
}

// ownList says that the pod's list was not copied from its account.
func (v *view) ownList() bool {
	return len(v.Pod.PullSecrets) > 0 && (v.Account == nil || !slices.Equal(v.Pod.PullSecrets, v.Account.PullSecrets) && !v.copiedBefore())
}

// copiedBefore says that the pod's list is what the account's was when the pod
// was made: names were added to the account's since.
func (v *view) copiedBefore() bool {
	a := v.Account
	if a == nil || v.Pod.Template || len(v.Pod.PullSecrets) >= len(a.PullSecrets) {
		return false
	}
	for _, name := range v.Pod.PullSecrets {
		if !slices.Contains(a.PullSecrets, name) {
			return false
		}
	}
	return slices.ContainsFunc(a.ListOwners, func(o FieldOwner) bool { return o.At.After(v.Pod.Created) })
}

// recreate is the step that makes the pod anew, for what is fixed only when a
// pod is made.
func (v *view) recreate() Step {
	p := v.Pod
	switch {
	case v.alone():
		return Step{}
	case p.Template:
		return Step{Say: "Apply the workload again."}
	case restarts(p.Owner):
		return Step{"Make its pods anew, since a pod's list cannot change:", []string{"kubectl" + v.on() + " rollout restart " + quote(p.Owner)}}
	case p.Name == "":
		return Step{Say: "Make the pod anew: its list cannot change."}
	case p.Owner != "":
		return Step{"Delete the pod, whose list cannot change; " + p.Owner + " makes it anew:", []string{"kubectl" + v.on() + " delete pod " + quote(p.Name)}}
	}
	without := ""
	if len(p.PullSecrets) > 0 && !v.ownList() { // a list that is there is not copied again
		without = ` | kubectl patch --local -f - --type json -p '[{"op":"remove","path":"/spec/imagePullSecrets"}]' -o json`
	}
	return Step{"Make the pod anew, since a pod's list cannot change:", []string{
		fmt.Sprintf("kubectl%s get pod %s -o json%s | kubectl replace --force -f -", v.on(), quote(p.Name), without),
	}}
}

// restarts says that kubectl rollout restart knows the kind of a workload.
func restarts(owner string) bool {
	kind, _, _ := strings.Cut(owner, "/")
	return slices.Contains([]string{"deployment", "statefulset", "daemonset"}, kind)
}

// heals says that nothing more is needed.
func (v *view) heals() Step {
	switch {
	case v.alone():
		return Step{}
	case v.Pod.Template:
		return Step{Say: "Apply the workload."}
	}
	return Step{Say: "The pod heals by itself at the kubelet's next retry, at most 5 minutes later."}
}

// healsAfter is heals, once something is over.
func (v *view) healsAfter(what string) Step {
	s := v.heals()
	if s.Say != "" && !v.Pod.Template {
		s.Say = "When " + what + " is over, t" + s.Say[1:]
	}
	return s
}
