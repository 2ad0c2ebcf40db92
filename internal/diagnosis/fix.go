package diagnosis

import (
	"fmt"
	"slices"
	"strings"
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
	line := v.make(name)
	if v.answer.Fairlead {
		return Step{"Make it with a token of the registry:", []string{line + " --new-token --expires 90d"}}
	}
	if user == "" {
		user = "USER"
	}
	return Step{"Make it; the password is asked for, or read from a pipe:", []string{line + " --server " + quote(v.server()) + " --username " + quote(user)}}
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
	return len(v.Pod.PullSecrets) > 0 && (v.Account == nil || !slices.Equal(v.Pod.PullSecrets, v.Account.PullSecrets))
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
	case p.Owner != "":
		return Step{"Make its pods anew, since a pod's list cannot change:", []string{"kubectl" + v.on() + " rollout restart " + quote(p.Owner)}}
	case p.Name == "":
		return Step{Say: "Make the pod anew: its list cannot change."}
	}
	return Step{"Make the pod anew, since a pod's list cannot change:", []string{
		fmt.Sprintf("kubectl%s get pod %s -o json | kubectl replace --force -f -", v.on(), quote(p.Name)),
	}}
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
