package cli

import (
	"context"
	"fmt"
	"strings"

	"fairlead.dev/fairlead/dockerconfig"
	"fairlead.dev/fairlead/internal/diagnosis"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/probe"
)

// signsIn signs in with every entry, as a node would, and refuses those that
// are not taken. It asks for an image that is not there: to be told so is to
// be signed in.
func signsIn(ctx context.Context, e env, entries []dockerconfig.Entry) error {
	p := probe.New(probe.Options{UserAgent: "fairlead/" + build().Version})
	defer p.Close()
	for _, entry := range entries {
		host, _, _ := strings.Cut(bareHost(entry.Key), "/")
		if strings.ContainsAny(host, "*?[") {
			fmt.Fprintf(e.stderr, "warning: %s is for several hosts, and was not tried\n", shown(entry.Key))
			continue
		}
		if err := trySignIn(ctx, p, entry, "--verify=false makes the secret without signing in"); err != nil {
			return err
		}
		fmt.Fprintf(e.stderr, "%s takes the user %s.\n", host, shown(entry.Username))
	}
	return nil
}

// trySignIn signs in with one entry. anyway is the hint of an error.
func trySignIn(ctx context.Context, p *probe.Prober, entry dockerconfig.Entry, anyway string) error {
	host, path, _ := strings.Cut(bareHost(entry.Key), "/")
	repo := strings.Trim(path+"/fairlead-sign-in", "/")
	a := p.Ask(ctx, diagnosis.Image{Host: probe.HostOf(host), Repository: repo, Reference: oci.Ref{Tag: "none"}},
		[]probe.Credential{{Username: entry.Username, Password: entry.Password}}, diagnosis.Platform{})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return taken(entry, host, a, anyway)
}

// taken says why an entry is refused; nil if the registry took it.
func taken(entry dockerconfig.Entry, host string, a diagnosis.Answer, anyway string) error {
	outcome := a.Anonymous.Outcome
	var last diagnosis.Exchange
	if len(a.Attempts) > 0 && a.Attempts[0].Outcome != diagnosis.Skipped {
		outcome = a.Attempts[0].Outcome
		if x := a.Attempts[0].Exchanges; len(x) > 0 {
			last = x[len(x)-1]
		}
	} else {
		last = a.Ping
	}
	switch outcome {
	case diagnosis.Pulls, diagnosis.NotFound, diagnosis.Forbidden, diagnosis.NoPlatform:
		return nil // it knows who asks
	case diagnosis.Unauthorized:
		return saidf("correct the password; "+anyway, "%s does not take the user %s with this password", host, shown(entry.Username))
	}
	text := fmt.Sprintf("%s could not be asked (%s)", host, outcome)
	if last.Error != "" {
		text += ": " + shown(last.Error)
	}
	return saidf(anyway, "%s", text)
}
