package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/pullsecret"
	"fairlead.dev/fairlead/keyring"
)

// keyringFlags are those of keyring.
type keyringFlags struct {
	files, node   *filenames
	showPasswords bool
	out           *output
}

func newKeyring(e env) *cobra.Command {
	k := keyringFlags{node: &filenames{}}
	cmd := &cobra.Command{
		Use:   "keyring IMAGE -f FILE...",
		Short: "Say which credentials the kubelet would try for an image",
		Long: `Say which credentials the kubelet would try for an image, in its order, and of
every other entry why not. Each FILE is a manifest with Secrets, a config.json
or a .dockercfg; their order is that of the pod's imagePullSecrets. Nothing is
asked of a cluster or a registry.

Exit codes: 0 when the kubelet has a credential to try; 1 when it has none and
pulls without, or rejects a secret and does not pull at all; 2 when the image or
a file cannot be read.`,
		Example: `  fairlead keyring registry.example.com/team/app:1.0 -f regcred.yaml
  fairlead keyring nginx -f first.yaml -f second.yaml -o json
  fairlead keyring ghcr.io/org/app -f ~/.docker/config.json`,
		Args:              exactly(1, "one image"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	k.out = addOutput(cmd)
	k.files = addFilenames(cmd, "a `file` with secrets or credentials, or - for the standard input; repeat it in the order of imagePullSecrets")
	cmd.Flags().StringArrayVar(&k.node.names, "node-config", nil, "the node's own config.json, a `file` that the kubelet looks at after all secrets")
	cmd.Flags().BoolVar(&k.showPasswords, "show-passwords", false, "print passwords in clear")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		image, err := keyring.ParseImage(args[0])
		if err != nil {
			return usagef("fairlead keyring registry.example.com/team/app:1.0 -f FILE", "%w", err)
		}
		if len(k.files.names)+len(k.node.names) == 0 {
			return usagef("fairlead keyring "+pullsecret.Quote(args[0])+" -f FILE", "name the files with the secrets")
		}
		ring, err := k.ring(e)
		if err != nil {
			return err
		}
		r := k.resolve(ring, image)
		out := k.out
		if err := out.print(e.stdout, r, func(w io.Writer) { keyringText(w, r) }); err != nil {
			return err
		}
		return r.verdict(k.files.names)
	}
	return cmd
}

// ring reads the sources in their order.
func (k *keyringFlags) ring(e env) (*keyring.Ring, error) {
	var sources []keyring.Source
	for _, from := range []struct {
		files *filenames
		node  bool
	}{{k.files, false}, {k.node, true}} {
		files, err := from.files.read(e)
		if err != nil {
			return nil, err
		}
		for _, f := range warnFound(e.stderr, files) {
			// What stands in no object is in no cluster, and no kubelet sees it.
			if err := f.Err(); err != nil {
				return nil, usagef(checkHint(f.Name), "%w", err)
			}
			if f.bad != nil {
				return nil, usagef(checkHint(f.Name), "%w", f.bad)
			}
			for _, s := range f.Secrets {
				sources = append(sources, keyring.Source{Name: s.ID(), Type: s.Type, Data: s.Data, Node: from.node})
			}
		}
	}
	if len(sources) == 0 {
		return nil, usagef(checkHint(k.files.names[0]), "there is no secret in %s", strings.Join(k.files.names, ", "))
	}
	return keyring.New(sources...), nil
}

// resolution is the kubelet's decision as it is printed.
type resolution struct {
	// Image is the repository that is looked up: no tag, no digest.
	Image string `json:"image"`
	// Entries are all entries in the order in which the kubelet considers
	// them; Matches, the credentials it tries, in its order.
	Entries []keyring.Entry  `json:"entries"`
	Matches []tried          `json:"matches"`
	Errors  []*keyring.Error `json:"errors"`
	Skipped []keyring.Skip   `json:"skipped,omitempty"`
	Hint    *keyring.Hint    `json:"hint,omitempty"`
	err     error
}

// tried is a credential that the kubelet tries.
type tried struct {
	Username string `json:"username"`
	// Password is "redacted" unless it is to be shown.
	Password string `json:"password"`
	Source   string `json:"source"`
	Key      string `json:"key"`
}

func (k *keyringFlags) resolve(ring *keyring.Ring, image keyring.Image) resolution {
	x := ring.Explain(image)
	r := resolution{Image: x.Repository, Entries: x.Entries, Matches: []tried{}, Errors: ring.Errors(), Skipped: ring.Skipped(), Hint: x.Hint, err: x.Err}
	if r.Entries == nil {
		r.Entries = []keyring.Entry{} // an empty list is [] in JSON
	}
	if r.Errors == nil {
		r.Errors = []*keyring.Error{}
	}
	for _, m := range x.Matches {
		t := tried{Username: m.Username, Source: m.Source, Key: m.Key}
		switch {
		case k.showPasswords:
			t.Password = m.Password
		case m.Password != "":
			t.Password = "redacted"
		}
		r.Matches = append(r.Matches, t)
	}
	if !k.showPasswords {
		r.hideKeys()
	}
	return r
}

// hideKeys takes out passwords that stand in a key: it may be a URL.
func (r *resolution) hideKeys() {
	for i := range r.Entries {
		r.Entries[i].Key = pullsecret.ShowKey(r.Entries[i].Key)
	}
	for i := range r.Matches {
		r.Matches[i].Key = pullsecret.ShowKey(r.Matches[i].Key)
	}
	for i, e := range r.Errors {
		shown := *e
		shown.Key = pullsecret.ShowKey(e.Key)
		r.Errors[i] = &shown
	}
	if r.Hint != nil {
		r.Hint.Key = pullsecret.ShowKey(r.Hint.Key)
	}
}

// verdict is the error that the command ends with.
func (r resolution) verdict(files []string) error {
	hint := "fairlead secret check"
	for _, f := range files {
		hint += " -f " + pullsecret.Quote(f)
	}
	switch {
	case r.err != nil:
		for _, e := range r.Errors { // in which no key shows a password
			if !e.Node {
				return saidf(hint, "the kubelet rejects a secret, and does not pull: %w", e)
			}
		}
		return saidf(hint, "the kubelet rejects a secret, and does not pull")
	case len(r.Matches) == 0:
		return saidf(hint, "no credential is for %s: the kubelet pulls without", r.Image)
	}
	return nil
}

func keyringText(w io.Writer, r resolution) {
	fmt.Fprintf(w, "The kubelet looks up %s.\n", shown(r.Image))
	if len(r.Entries) > 0 {
		fmt.Fprintln(w)
		lines := [][]string{{"ORDER", "SOURCE", "KEY", "USER", "TRIED", "WHY"}}
		for _, e := range r.Entries {
			order := ""
			if e.Order > 0 {
				order = strconv.Itoa(e.Order)
			}
			why := e.Detail
			if e.Unstable {
				why += " Another key means the same: their order is random."
			}
			lines = append(lines, []string{order, e.Source, e.Key, e.Username, yes(e.Matched && r.err == nil), why})
		}
		rows(w, lines)
	}
	for _, s := range r.Skipped {
		fmt.Fprintf(w, "\nPassed over: %s: %s\n", shown(s.Source), shown(s.Detail))
	}
	for _, e := range r.Errors {
		fmt.Fprintf(w, "\nRejected: %s\n", shown(e.Error()))
	}
	fmt.Fprintln(w)
	switch {
	case r.err != nil:
		fmt.Fprintln(w, "Nothing is pulled: one bad entry rejects all secrets of the pod.")
	case len(r.Matches) == 0:
		fmt.Fprintln(w, "There is no credential to try: the kubelet pulls once without.")
	case len(r.Matches) == 1:
		fmt.Fprintf(w, "Tried: user %q of %s. Without a credential it is not tried.\n", r.Matches[0].Username, shown(r.Matches[0].Source))
	default:
		var users []string
		for _, m := range r.Matches {
			users = append(users, fmt.Sprintf("user %q of %s", m.Username, shown(m.Source)))
		}
		fmt.Fprintf(w, "Tried one after the other: %s. Without a credential it is not tried.\n", strings.Join(users, ", "))
	}
	if r.Hint != nil {
		fmt.Fprintf(w, "Hint: %s.\n", shown(r.Hint.Detail))
	}
}
