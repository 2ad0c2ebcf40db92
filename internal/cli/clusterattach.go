package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/deploy"
	"fairlead.dev/fairlead/dockerconfig"
	"fairlead.dev/fairlead/internal/diagnosis"
	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/pullsecret"
)

func newCluster(e env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "cluster",
		Short: "Let Kubernetes clusters pull, and see which ones do",
		Long: `Let a Kubernetes cluster pull from its registries, see which clusters do, and end
it. A cluster has a name in the account, and tokens of its own.`,
		Example: `  fairlead cluster attach prod --registry https://registry.example.com
  fairlead cluster list
  fairlead cluster detach prod`,
	}, newClusterAttach(e), newClusterList(e), newClusterShow(e), newClusterDetach(e))
}

// attachFlags are those of cluster attach.
type attachFlags struct {
	registries                        []string
	account, secret, output           string
	bare, dryRun, loopback, plainHTTP bool
	installFlags
	cluster *clusterFlags
	cmd     *cobra.Command
}

func newClusterAttach(e env) *cobra.Command {
	a := &attachFlags{}
	cmd := &cobra.Command{
		Use:   "attach NAME --registry URL...",
		Short: "Let a cluster pull from registries",
		Long: `Let a cluster pull all images of the account from registries, such as the
regional and the global one, in every namespace, those made later included.

In each registry a token is made that may do nothing but make tokens for this
cluster that only pull. The controller is installed in the cluster: an image of
this program is pushed to the first registry, and runs in fairlead-system with
the least rights. It puts a pull secret into every namespace and into the list
of its service account default, renews it, and repairs it. docs/clusters.md says
what is made, and where.

With --without-controller nothing is installed. Tokens that do not expire are
placed once: one pull secret in the namespace default, in the list of its
service account default, and in kube-system; --namespace adds namespaces.

The command can be given again: it makes no second token, repairs what was
changed, and installs the version of the program that runs it.

You must be signed in to each registry (fairlead login URL), with admin rights.`,
		Example: `  fairlead cluster attach prod --registry https://eu.registry.example.com --registry https://registry.example.com
  fairlead cluster attach prod --registry https://registry.example.com --dry-run -o yaml
  fairlead cluster attach prod --registry https://registry.example.com --without-controller -n shop --context prod`,
		Args:              exactly(1, "one cluster"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	a.cmd = cmd
	f := cmd.Flags()
	addRegistries(cmd, e, &a.registries, "`URL` of a registry that the cluster pulls from; may be repeated")
	f.StringVar(&a.account, "account", "", "`account` that owns the cluster, for the operator (default one's own)")
	f.BoolVar(&a.bare, "without-controller", false, "place the secrets once, and install nothing in the cluster")
	f.StringVar(&a.secret, "secret-name", deploy.SecretName, "`name` of the pull secret")
	f.BoolVar(&a.loopback, "allow-loopback", false, "let a registry be at this machine's loopback address: nodes look for it on themselves")
	f.BoolVar(&a.plainHTTP, "insecure-http", false, "let a registry be plain http: whoever listens on the way reads the token")
	f.BoolVar(&a.dryRun, "dry-run", false, "only say what would be done; no token is made")
	f.StringVarP(&a.output, "output", "o", "", "with --dry-run, print what would be applied in this `form`, yaml or json")
	a.installFlags.add(cmd)
	complete(cmd, "account")
	complete(cmd, "secret-name")
	complete(cmd, "output", "yaml", "json")
	a.cluster = addCluster(cmd, true)
	f.Lookup("namespace").Usage = "without the controller: also in this `namespace` and its account default; may be repeated"
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := a.read(args[0]); err != nil {
			return err
		}
		return failed("attach the cluster", a.run(cmd.Context(), e, args[0]))
	}
	return cmd
}

func addRegistries(cmd *cobra.Command, e env, list *[]string, usage string) {
	cmd.Flags().StringSliceVar(list, "registry", nil, usage)
	_ = cmd.RegisterFlagCompletionFunc("registry", func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		l, err := loginsFor(e, nil, "")
		var out []cobra.Completion
		for _, at := range l {
			out = append(out, at.Server)
		}
		_ = err // nothing to offer
		return out, cobra.ShellCompDirectiveNoFileComp
	})
}

// clusterName is the value of a label, and of a description that people read.
var clusterName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$`)

func checkClusterName(name, hint string) error {
	if !clusterName.MatchString(name) {
		return usagef(hint, "%q is no name of a cluster: use up to 63 of a-z, 0-9, '-' and '.', with a letter or digit at both ends", name)
	}
	return nil
}

func (a *attachFlags) read(name string) error {
	hint := a.cmd.CommandPath() + " --help"
	if err := checkClusterName(name, hint); err != nil {
		return err
	}
	switch {
	case len(a.registries) == 0:
		return usagef(hint, "name the registries that the cluster pulls from with --registry")
	case !slices.Contains([]string{"", "yaml", "json"}, a.output):
		return usagef(hint, "--output is %q: write yaml or json", a.output)
	case a.output != "" && !a.dryRun:
		return usagef(hint, "--output is for --dry-run")
	case a.bare:
		return a.installFlags.unused(a.cmd, hint)
	case len(a.cluster.namespaces) > 0:
		return usagef(hint, "--namespace is for --without-controller: the controller sees to all namespaces")
	case a.secret != deploy.SecretName:
		return usagef(hint, "--secret-name is for --without-controller: the controller has the right to %s alone", deploy.SecretName)
	}
	return a.installFlags.check(hint)
}

// attachment is one attach under way.
type attachment struct {
	*attachFlags
	name, uid  string
	k          *kube.Cluster
	registries clusterRegistries
	// known are the URLs of registries in the marks of this name that the
	// cluster carries.
	known []string
}

// knows says whether the tokens of this name at a registry are this cluster's.
func (x *attachment) knows(r *clusterRegistry) bool { return slices.Contains(x.known, r.url.String()) }

func (a *attachFlags) run(ctx context.Context, e env, name string) error {
	list, err := loginsFor(e, a.registries, a.cmd.CommandPath()+" --help")
	if err != nil {
		return err
	}
	if err := a.reachable(ctx, e, list); err != nil {
		return err
	}
	k, err := a.cluster.open()
	if err != nil {
		return err
	}
	defer k.Close()
	rs, err := openRegistries(ctx, list, a.account)
	if err != nil {
		return err
	}
	defer rs.close()
	x := &attachment{attachFlags: a, name: name, k: k, registries: rs}
	if x.uid, err = k.UID(ctx); err != nil {
		return err
	}
	if !a.bare {
		return (&installation{attachment: x}).run(ctx, e)
	}
	if err := x.free(ctx, e); err != nil {
		return err
	}
	if a.dryRun {
		return x.dry(ctx, e)
	}
	return x.do(ctx, e)
}

// reachable refuses what nodes cannot reach, or not safely.
func (a *attachFlags) reachable(ctx context.Context, e env, list []login) error {
	for i, at := range list {
		r, err := addressOf(at)
		switch {
		case err != nil:
			return err
		case !imageHost(r.url.Host):
			return usagef("fairlead login URL, with the registry's full name, then --registry URL", "no image can be of the registry %s: its host must be a full name of letters, digits, '-' and '.', or have a port", r.url)
		case r.loopback() && !a.loopback:
			return usagef("fairlead login https://HOST, by the name that nodes call it, then --registry https://HOST; for a cluster whose nodes are all on this machine: --allow-loopback",
				"%s is this machine's own address: a node looks for it on itself", r.url)
		case r.loopback():
			fmt.Fprintf(e.stderr, "warning: %s is this machine's own address: only nodes on this machine reach it\n", r.url)
		case r.url.Scheme == "http" && !a.plainHTTP:
			return usagef("use https, or allow it with --insecure-http", "%s is plain http: whoever listens on the way reads the cluster's token", r.url)
		case r.leadsHere(ctx):
			fmt.Fprintf(e.stderr, "warning: %s leads to this machine itself: nodes must know the name by another address\n", r.url)
		}
		list[i].InsecureHTTP = at.InsecureHTTP || a.plainHTTP
	}
	return nil
}

var hostName = regexp.MustCompile(`^(\[[0-9a-f:]+\]|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)(:[1-9][0-9]{0,4})?$`)

// imageHost says whether the names of images, and with them the kinds, can have
// a registry's host. One without a dot and a port is taken for a namespace of
// Docker Hub.
func imageHost(host string) bool {
	return hostName.MatchString(host) && (host == "localhost" || strings.ContainsAny(host, ".:"))
}

// places are the namespaces that get the secret; kube-system comes last, for
// it is what a detach goes by until the end.
func (a *attachFlags) places() []string {
	out := []string{defaultName}
	for _, n := range a.cluster.namespaces {
		if n != kube.SystemNamespace && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return append(out, kube.SystemNamespace)
}

// free refuses names that something else has, before a token is made.
func (x *attachment) free(ctx context.Context, e env) error {
	if _, err := x.secretIn("", []dockerconfig.Entry{{Key: "registry.example", Username: "u", Password: "p"}}); err != nil {
		return err
	}
	if err := x.uncontrolled(ctx); err != nil {
		return err
	}
	if _, err := x.marked(ctx, e); err != nil && !errors.Is(err, &kube.Forbidden{}) { // the places are seen in any case
		return err
	}
	var dropped []string
	for _, n := range x.places() {
		s, err := x.k.Secret(ctx, n, x.secret)
		switch {
		case kube.IsMissing(err):
			continue
		case err != nil:
			return err
		case s.Labels[clusterLabel] == "":
			return occupied(s, "attach did not make it: it stays as it is", "another name with --secret-name")
		case s.Labels[clusterLabel] != x.name:
			return second("the secret "+s.ID(), s.Labels[clusterLabel])
		}
		if !trusted(s) {
			continue
		}
		if s.Annotations[uidMark] == x.uid {
			if err := x.learn(s); err != nil {
				return err
			}
		}
		for _, u := range registriesOf(s) {
			if !slices.ContainsFunc(x.registries, func(r *clusterRegistry) bool { return r.url.String() == u }) && !slices.Contains(dropped, u) {
				dropped = append(dropped, u)
				fmt.Fprintf(e.stderr, "warning: %s goes out of the secret, and its token stays. Next: fairlead cluster detach %s --registry-only --registry %s\n", shown(u), x.name, shown(u))
			}
		}
	}
	return nil
}

// second refuses a second name for a cluster. what carries the first.
func second(what, name string) error {
	return &codedError{&hintError{
		fmt.Errorf("the cluster is attached as %s, as %s says", name, what),
		fmt.Sprintf("fairlead cluster attach %s, or first fairlead cluster detach %[1]s", name),
	}, exitConflict}
}

func occupied(s pullsecret.Secret, why, hint string) error {
	return &codedError{&hintError{fmt.Errorf("there is a secret %s in the namespace %s, and %s", s.Name, s.Namespace, shown(why)), shown(hint)}, exitConflict}
}

// secretIn makes the secret of a namespace; of none for "".
func (x *attachment) secretIn(namespace string, entries []dockerconfig.Entry) (pullsecret.Secret, error) {
	urls, accounts := make([]string, len(x.registries)), make([]string, len(x.registries))
	for i, r := range x.registries {
		urls[i], accounts[i] = r.url.String(), r.account
	}
	marks := map[string]string{uidMark: x.uid, registriesMark: strings.Join(urls, " "), accountsMark: strings.Join(accounts, " ")}
	if namespace != kube.SystemNamespace {
		marks[listMark] = defaultName
	}
	s, err := pullsecret.Build(pullsecret.Recipe{
		Namespace: namespace, Name: x.secret, Entries: entries, Labels: map[string]string{clusterLabel: x.name}, Annotations: marks,
	})
	var bad *pullsecret.BuildError
	if errors.As(err, &bad) {
		return s, usagef(x.cmd.CommandPath()+" --help", "%w", err)
	}
	return s, err
}

// do makes the tokens, tries them, and places the secret.
func (x *attachment) do(ctx context.Context, e env) error {
	var entries []dockerconfig.Entry
	for _, r := range x.registries {
		v, err := r.token(ctx, pullAccess, x.name, x.uid, x.knows(r))
		if err != nil {
			return err
		}
		if err := r.pulls(ctx, v.Value); err != nil {
			return err
		}
		was := "is kept"
		if v.Added {
			was = "is made"
		}
		fmt.Fprintf(e.stdout, "The token %s of %s %s: it may pull from all namespaces of %s, and does not expire.\n", v.ID, r.url, was, r.account)
		entries = append(entries, r.entry(v.Value))
	}
	var broken failures
	listed := false
	for _, n := range x.places() {
		changed, err := x.place(ctx, e, n, entries)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			broken.add(n, err)
		}
		listed = listed || changed
	}
	for _, r := range x.registries {
		ca, err := r.authority(ctx)
		if err != nil {
			return err
		}
		nodeFiles(e.stdout, r, ca)
	}
	if err := broken.error(len(x.places())); err != nil {
		return err
	}
	if listed {
		fmt.Fprintln(e.stderr, "Pods that are there already keep the list that they were made with. Next: kubectl rollout restart deployment NAME")
	}
	return nil
}

// place puts the secret into a namespace, and its name into the list there;
// it says whether the list changed.
func (x *attachment) place(ctx context.Context, e env, namespace string, entries []dockerconfig.Entry) (bool, error) {
	s, err := x.secretIn(namespace, entries)
	if err != nil {
		return false, err
	}
	r, err := x.k.Apply(ctx, s, true) // what is forced is ours: free saw to it
	if err != nil {
		return false, err
	}
	fmt.Fprintf(e.stdout, "The secret %s in %s: %s.\n", x.secret, namespace, r)
	if s.Annotations[listMark] == "" {
		return false, nil
	}
	if r, err = x.k.Use(ctx, namespace, defaultName, x.secret); err != nil {
		return false, err
	}
	fmt.Fprintf(e.stdout, "The list of pull secrets in %s/%s: %s.\n", namespace, defaultName, r)
	return r == kube.Changed, nil
}

// dry says what do would do. No token is made, so the secrets have a text in
// its place.
func (x *attachment) dry(ctx context.Context, e env) error {
	var entries []dockerconfig.Entry
	for _, r := range x.registries {
		entries = append(entries, r.entry(noToken))
	}
	if err := x.suspect(ctx, e); err != nil {
		return err
	}
	var docs []json.RawMessage
	for _, n := range x.places() {
		s, err := x.secretIn(n, entries)
		if err != nil {
			return err
		}
		if x.output == "" {
			fmt.Fprintf(e.stdout, "The secret %s would be applied in %s (dry run).\n", x.secret, n)
		}
		docs = append(docs, s.JSON())
		if s.Annotations[listMark] == "" {
			continue
		}
		a, err := x.k.Account(ctx, n, defaultName)
		if err != nil {
			return err
		}
		if x.output == "" && !slices.Contains(a.PullSecrets, x.secret) {
			fmt.Fprintf(e.stdout, "Its name would be put into the list of %s/%s (dry run).\n", n, defaultName)
		}
		docs = append(docs, accountManifest(a, x.secret))
	}
	return writeDocuments(e.stdout, x.output, docs)
}

// suspect says in a dry run which registries have tokens of the name already.
// Whose they are shows only when one is asked for.
func (x *attachment) suspect(ctx context.Context, e env) error {
	for _, r := range x.registries {
		tokens, err := r.tokens(ctx, x.name, false)
		if err != nil {
			return err
		}
		if !x.knows(r) && slices.ContainsFunc(tokens, func(t v1.Token) bool { return ofAttach(t, x.name) }) {
			fmt.Fprintf(e.stderr, "warning: %s has tokens of a cluster with the name %s: unless an attach of this cluster was cut off, they are another's, and attach refuses the name\n", r.url, x.name)
		}
	}
	return nil
}

// accountManifest is a service account with a name in its list.
func accountManifest(a diagnosis.Account, secret string) json.RawMessage {
	text, _ := json.Marshal(map[string]any{ // text alone: it cannot fail
		"apiVersion": "v1", "kind": "ServiceAccount", "metadata": map[string]string{"name": a.Name, "namespace": a.Namespace}, "imagePullSecrets": listWith(a, secret),
	})
	return text
}

// listWith is an account's list with a name in it, as manifests have it.
func listWith(a diagnosis.Account, secret string) []map[string]string {
	names := slices.Clone(a.PullSecrets)
	if !slices.Contains(names, secret) {
		names = append(names, secret)
	}
	refs := make([]map[string]string, len(names))
	for i, n := range names {
		refs[i] = map[string]string{"name": n}
	}
	return refs
}

// writeDocuments writes objects as kubectl takes them; nothing for no form.
func writeDocuments(w io.Writer, form string, docs []json.RawMessage) error {
	switch form {
	case "json":
		out := output("json")
		return out.print(w, map[string]any{"apiVersion": "v1", "kind": "List", "items": docs}, nil)
	case "yaml":
		for i, d := range docs {
			if i > 0 {
				fmt.Fprintln(w, "---")
			}
			if err := printYAML(w, d); err != nil {
				return err
			}
		}
	}
	return nil
}
