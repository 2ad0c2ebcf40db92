package cli

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/pullsecret"
)

// inspectFlags are those of secret inspect.
type inspectFlags struct {
	files       *filenames
	cluster     secretCluster // nil where only files can be read
	show, force bool
	out         *output
}

func newSecretInspect(e env, cluster addSecretCluster) *cobra.Command {
	var i inspectFlags
	cmd := &cobra.Command{
		Use:   "inspect NAME...|-f FILE...",
		Short: "Show what is in pull secrets",
		Long: `Show what the kubelet reads in pull secrets: each entry with its host, its user,
where the password stands, and when it ends, if it is a token that says so, or a
token of a registry that you are signed in to. Passwords are shown with --show
only, after a question.`,
		Example: `  fairlead secret inspect -f regcred.yaml
  fairlead secret inspect -f ~/.docker/config.json -o json
  kubectl get secret regcred -o yaml | fairlead secret inspect -f -`,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	i.out = addOutput(cmd)
	cmd.Flags().BoolVar(&i.show, "show", false, "show passwords")
	cmd.Flags().BoolVar(&i.force, "force", false, "do not ask before --show")
	i.files = addFilenames(cmd, "inspect this `file`, the manifests in this folder, or - for the standard input; may be repeated")
	if cluster != nil {
		i.cluster = cluster(cmd)
	}
	cmd.Args = i.what
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		if i.show {
			if err := confirm(ctx, e, i.force, "fairlead secret inspect --show", "Passwords will stand on the screen. Show them?"); err != nil {
				return err
			}
		}
		list, err := i.secrets(ctx, e, args)
		if err != nil {
			return failed("inspect the secret", err)
		}
		p := page[inspected]{Items: []inspected{}} // an empty list is [] in JSON
		for _, s := range list {
			p.Items = append(p.Items, i.inspect(ctx, e, s))
		}
		out := i.out
		return out.print(e.stdout, p, func(w io.Writer) {
			for n, s := range p.Items {
				if n > 0 {
					fmt.Fprintln(w)
				}
				inspectText(w, s)
			}
		})
	}
	return cmd
}

func (i *inspectFlags) what(cmd *cobra.Command, args []string) error {
	hint := cmd.CommandPath() + " --help"
	switch files := len(i.files.names) > 0; {
	case !files && len(args) == 0 || empty(args) || empty(i.files.names):
		return usagef(hint, "say what to inspect: files with -f, or names of secrets in a cluster")
	case files && len(args) > 0:
		return usagef(hint, "give -f or names of secrets, not both")
	case len(args) > 0 && i.cluster == nil:
		return usagef("fairlead secret inspect -f "+args[0], "to inspect a file, name it with -f")
	case i.force && !i.show:
		return usagef(hint, "--force is about --show: add it")
	}
	return nil
}

// secrets reads those that are meant; of files, those for pulling.
func (i *inspectFlags) secrets(ctx context.Context, e env, names []string) ([]pullsecret.Secret, error) {
	var out []pullsecret.Secret
	if len(i.files.names) == 0 {
		for s, err := range i.cluster.named(names)(ctx) {
			if err != nil {
				return nil, err
			}
			out = append(out, s)
		}
		return out, nil
	}
	files, err := i.files.read(e)
	if err != nil {
		return nil, err
	}
	for _, f := range warnFound(e.stderr, files) {
		if err := f.Err(); err != nil {
			return nil, withHint(err, checkHint(f.Name))
		}
		if f.bad != nil {
			return nil, withHint(f.bad, checkHint(f.Name))
		}
		for _, s := range f.Secrets {
			if s.Type == pullsecret.TypeConfigJSON || s.Type == pullsecret.TypeLegacy || len(pullsecret.Logins(s)) > 0 {
				out = append(out, s)
			}
		}
	}
	if len(out) == 0 {
		return nil, saidf(checkHint(i.files.names[0]), "there is no pull secret in %s", strings.Join(i.files.names, ", "))
	}
	return out, nil
}

func checkHint(file string) string { return "fairlead secret check -f " + pullsecret.Quote(file) }

// inspected is a secret as it is printed.
type inspected struct {
	Name      string           `json:"name"`
	Namespace string           `json:"namespace,omitempty"`
	Type      string           `json:"type"`
	Key       string           `json:"key,omitempty"`
	Immutable bool             `json:"immutable,omitempty"`
	File      string           `json:"file,omitempty"`
	Line      int              `json:"line,omitempty"`
	Entries   []inspectedEntry `json:"entries"`
	// Findings counts what secret check has to say.
	Findings int `json:"findings"`
}

type inspectedEntry struct {
	Key string `json:"key"`
	// Pattern is what the kubelet makes of the key.
	Pattern  string `json:"pattern"`
	Username string `json:"username"`
	// Password is "redacted" unless it is to be shown.
	Password string `json:"password,omitempty"`
	// From is the field that the password stands in; Overridden are fields
	// that say something else and do not count.
	From       string   `json:"from,omitempty"`
	Overridden []string `json:"overridden,omitempty"`
	Email      string   `json:"email,omitempty"`
	// Elsewhere is where the password is, if not here: a token that the
	// kubelet does not read, or a helper.
	Elsewhere string          `json:"elsewhere,omitempty"`
	Token     *inspectedToken `json:"token,omitempty"`
	Problem   string          `json:"problem,omitempty"`
}

// inspectedToken is what is known of a password that is a token. Of one of
// ours the registry is asked, if somebody is signed in there.
type inspectedToken struct {
	Form    string     `json:"form"` // Fairlead, JWT or ECR
	ID      string     `json:"id,omitempty"`
	Issuer  string     `json:"issuer,omitempty"`
	Subject string     `json:"subject,omitempty"`
	State   string     `json:"state,omitempty"`
	Expires *time.Time `json:"expires,omitempty"`
}

func (i *inspectFlags) inspect(ctx context.Context, e env, s pullsecret.Secret) inspected {
	bare := s.Position.File != "" && s.Name == s.Position.File
	out := inspected{
		Name: s.Name, Namespace: s.Namespace, Type: s.Type, Immutable: s.Immutable, File: s.Position.File, Line: s.Position.Line,
		Entries: []inspectedEntry{}, Findings: len(pullsecret.Check(s, pullsecret.Options{Now: time.Now(), Bare: bare, Token: damaged})),
	}
	for _, k := range []string{pullsecret.KeyConfigJSON, pullsecret.KeyLegacy} {
		if _, ok := s.Data[k]; ok && out.Key == "" {
			out.Key = k
		}
	}
	for _, l := range pullsecret.Logins(s) {
		entry := inspectedEntry{
			Key: l.Key, Pattern: l.Pattern, Username: l.Username, From: l.From, Overridden: l.Overrides, Email: l.Email,
			Elsewhere: l.Elsewhere, Problem: l.Problem, Token: entryToken(ctx, e, l),
		}
		switch {
		case l.Password.Empty():
		case i.show:
			entry.Password = l.Password.Reveal()
		default:
			entry.Password = "redacted"
		}
		out.Entries = append(out.Entries, entry)
	}
	return out
}

// entryToken says what is known of a password that is a token.
func entryToken(ctx context.Context, e env, l pullsecret.Login) *inspectedToken {
	if id, err := account.ParseValue(l.Password.Reveal()); err == nil {
		t := &inspectedToken{Form: "Fairlead", ID: id}
		if known := tokenRecord(ctx, e, l.Pattern, id); known != nil {
			t.State, t.Expires = known.State, known.Expires
		}
		return t
	}
	if l.Claims == nil {
		return nil
	}
	t := &inspectedToken{Form: l.Claims.Form, Issuer: l.Claims.Issuer, Subject: l.Claims.Subject}
	if !l.Claims.Expires.IsZero() {
		t.Expires = &l.Claims.Expires
	}
	return t
}

// tokenRecord asks the registry that the entry is for, as whoever is signed in
// there; nil if nobody is, or it does not tell. Only the token's ID is sent.
func tokenRecord(ctx context.Context, e env, pattern, id string) *v1.Token {
	const most = 5 * time.Second // of a person's patience
	l, err := readLogins(e)
	if err != nil {
		return nil
	}
	host, _, _ := strings.Cut(pattern, "/")
	for _, at := range l.Contexts {
		u, err := url.Parse(at.Server)
		if err != nil || !strings.EqualFold(u.Host, host) {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, most)
		defer cancel()
		s, err := dial(at, func() (string, error) { return at.value(ctx) })
		if err != nil {
			return nil
		}
		defer func() { _ = s.close() }() // only idle connections
		t, err := s.api.Token(ctx, id)
		if err != nil {
			return nil
		}
		return &t
	}
	return nil
}

func inspectText(w io.Writer, s inspected) {
	place := s.File
	if s.Line > 0 {
		place += fmt.Sprintf(":%d", s.Line)
	}
	name := s.Name
	if s.Namespace != "" {
		name = s.Namespace + "/" + name
	}
	if name == s.File {
		name = ""
	}
	facts(w, "Secret", name, "File", place, "Type", s.Type, "Data key", s.Key, "Immutable", yes(s.Immutable))
	if len(s.Entries) > 0 {
		fmt.Fprintln(w)
		lines := [][]string{{"KEY", "STANDS FOR", "USER", "PASSWORD", "FROM", "TOKEN", "EXPIRES"}}
		for _, x := range s.Entries {
			lines = append(lines, entryRow(x))
		}
		rows(w, lines)
	}
	if s.Findings > 0 {
		hint := "fairlead secret check " + pullsecret.Quote(s.Name)
		if s.File != "" {
			hint = checkHint(s.File)
		} else if s.Namespace != "" {
			hint += " --namespace " + pullsecret.Quote(s.Namespace)
		}
		fmt.Fprintf(w, "\n%s. Next: %s\n", count(s.Findings, "finding"), shown(hint))
	}
}

func entryRow(x inspectedEntry) []string {
	l := look{now: time.Now()}
	from := x.From
	if len(x.Overridden) > 0 {
		from += ", not " + strings.Join(x.Overridden, " and ")
	}
	if x.Elsewhere != "" {
		from = "in " + x.Elsewhere
	}
	if x.Problem != "" {
		from = x.Problem
	}
	token, expires := "", ""
	if t := x.Token; t != nil {
		token = strings.TrimSpace(t.Form + " " + t.ID + t.Subject)
		if t.Issuer != "" {
			token += " of " + t.Issuer
		}
		switch {
		case t.State == "revoked":
			expires = "revoked"
		case t.Expires != nil:
			expires = moment(*t.Expires) + " (" + l.since(*t.Expires) + ")"
		case t.State != "":
			expires = "never"
		}
	}
	return []string{x.Key, x.Pattern, x.Username, x.Password, from, token, expires}
}
