package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/deploy"
	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/pullsecret"
)

// shownCluster is what registries and the cluster itself say of one.
type shownCluster struct {
	Name   string         `json:"name"`
	Tokens []clusterToken `json:"tokens"`
	// Cluster is absent where none was asked.
	Cluster *clusterSide `json:"cluster,omitempty"`
}

type clusterToken struct {
	Registry string `json:"registry"`
	v1.Token
}

// clusterSide is what is in the cluster.
type clusterSide struct {
	Server  string          `json:"server"`
	UID     string          `json:"uid"`
	Secrets []clusterSecret `json:"secrets"`
	// Controller is absent where attach installed none.
	Controller *clusterController `json:"controller,omitempty"`
}

type clusterSecret struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Present   bool   `json:"present"`
	// ServiceAccount is the one whose list is to name it, Listed whether it
	// does.
	ServiceAccount string `json:"serviceAccount,omitempty"`
	Listed         bool   `json:"listed"`
	// Drift is what differs from what attach made.
	Drift []string `json:"drift"`
}

func newClusterShow(e env) *cobra.Command {
	var urls []string
	var of, secret string
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show a cluster's tokens, and what is in the cluster",
		Long: `Show the tokens of a cluster, as the registries know them that you are signed in
to, and, if a kubeconfig names a cluster, what is in it: whether the secrets and
the lists are as attach made them, or how the controller is, and what it says of
its policies. What is not as it should be is repaired by the same attach.`,
		Example: `  fairlead cluster show prod
  fairlead cluster show prod --context prod -o json`,
		Args: exactly(1, "one cluster"),
	}
	out := addNamedOutput(cmd)
	addRegistries(cmd, e, &urls, "only as the registry at this `URL` knows it; may be repeated")
	cmd.Flags().StringVar(&of, "account", "", "that of this `account`, for the operator")
	cmd.Flags().StringVar(&secret, "secret-name", deploy.SecretName, "`name` of the pull secret")
	complete(cmd, "account")
	complete(cmd, "secret-name")
	cmd.ValidArgsFunction = completeClusters(e)
	c := addCluster(cmd, false)
	_ = cmd.Flags().MarkHidden("namespace") // it is in all
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		hint := cmd.CommandPath() + " --help"
		if err := checkClusterName(args[0], hint); err != nil {
			return err
		}
		logins, err := loginsFor(e, urls, hint)
		if err != nil {
			return failed("show the cluster", err)
		}
		s, err := showCluster(cmd.Context(), c, args[0], secret, of, logins)
		if s != nil {
			err = errors.Join(out.printNamed(e.stdout, s, []string{s.Name}, func(w io.Writer) { s.text(w, e) }), err)
		}
		return failed("show the cluster", err)
	}
	return cmd
}

func completeClusters(e env) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx := cmd.Context()
		if ctx == nil {
			ctx = context.Background()
		}
		ctx, cancel := context.WithTimeout(ctx, completionTime)
		defer cancel()
		logins, err := loginsFor(e, nil, "")
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var out []cobra.Completion
		all, _ := knownClusters(ctx, logins, "")
		for _, c := range all {
			out = append(out, c.Name)
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

// showCluster asks both sides. Nil is for a cluster that neither knows; an
// error beside a cluster is what could not be seen.
func showCluster(ctx context.Context, c *clusterFlags, name, secret, of string, logins []login) (*shownCluster, error) {
	out := &shownCluster{Name: name, Tokens: []clusterToken{}}
	var unseen failures
	told := map[string]bool{}
	for _, at := range logins {
		r, err := openRegistry(ctx, at, of)
		if err != nil {
			unseen.add(at.Server, err)
			continue
		}
		tokens, err := r.tokens(ctx, name, false)
		clusterRegistries{r}.close()
		if err != nil {
			unseen.add(at.Server, err)
			continue
		}
		told[at.Server] = true
		for _, t := range tokens {
			out.Tokens = append(out.Tokens, clusterToken{at.Server, t})
		}
	}
	k, err := c.open()
	var e *kube.Error
	switch {
	case err == nil:
		defer k.Close()
		if out.Cluster, err = clusterSideOf(ctx, k, name, secret, out.Tokens, told); err != nil {
			unseen.add("the cluster", err)
		}
	case errors.As(err, &e) && e.Reason == kube.NoConfig && c.at.Kubeconfig == "":
	default:
		unseen.add("the cluster", err)
	}
	if len(out.Tokens) == 0 && out.Cluster == nil && unseen.n == 0 {
		return nil, &codedError{&hintError{fmt.Errorf("no registry that you are signed in to knows a cluster %s", name), "fairlead cluster list"}, exitNotFound}
	}
	return out, unseen.error(len(logins) + 1)
}

// clusterSideOf looks at what attach made in a cluster; nil if nothing of it
// is there. told are the registries that told their tokens.
func clusterSideOf(ctx context.Context, k *kube.Cluster, name, secret string, tokens []clusterToken, told map[string]bool) (*clusterSide, error) {
	uid, err := k.UID(ctx)
	if err != nil {
		return nil, err
	}
	out := &clusterSide{Server: k.Server(), UID: uid}
	found, controlled := false, false
	var unseen failures
	for s, err := range k.Labelled(ctx, clusterLabel+"="+name) {
		if err != nil {
			unseen.add(s.Namespace, err)
			continue
		}
		found = true
		if isSource(s) {
			controlled = true
			continue
		}
		one := clusterSecret{Namespace: s.Namespace, Name: s.Name, Present: true, ServiceAccount: s.Annotations[listMark], Drift: []string{}}
		if s.Annotations[uidMark] != uid {
			one.Drift = append(one.Drift, "it is of another cluster")
		}
		one.Drift = append(one.Drift, drift(s, tokens, told)...)
		out.Secrets = append(out.Secrets, one)
	}
	for _, n := range []string{defaultName, kube.SystemNamespace} {
		if found && !controlled && !slices.ContainsFunc(out.Secrets, func(s clusterSecret) bool { return s.Namespace == n }) {
			one := clusterSecret{Namespace: n, Name: secret, Drift: []string{"there is no secret, or it is not attach's"}}
			if n == defaultName {
				one.ServiceAccount = defaultName
			}
			out.Secrets = append(out.Secrets, one)
		}
	}
	for i := range out.Secrets {
		if err := out.Secrets[i].look(ctx, k); err != nil {
			unseen.add(out.Secrets[i].Namespace, err)
		}
	}
	if controlled {
		if out.Controller, err = controllerOf(ctx, k, name); err != nil {
			unseen.add("the controller", err)
		}
	}
	if !found && unseen.n == 0 {
		return nil, nil //nolint:nilnil // this is no cluster of the name
	}
	return out, unseen.error(1)
}

// look sees whether the list names the secret.
func (s *clusterSecret) look(ctx context.Context, k *kube.Cluster) error {
	if s.ServiceAccount == "" {
		return nil
	}
	a, err := k.Account(ctx, s.Namespace, s.ServiceAccount)
	if err != nil {
		return err
	}
	if s.Listed = slices.Contains(a.PullSecrets, s.Name); !s.Listed {
		s.Drift = append(s.Drift, "the list of the service account "+s.ServiceAccount+" does not name it")
	}
	return nil
}

// drift says how the entries differ from the registries' tokens. Of a registry
// that did not tell its tokens nothing is said.
func drift(s pullsecret.Secret, tokens []clusterToken, told map[string]bool) []string {
	var out []string
	has := map[string]string{}
	for _, l := range pullsecret.Logins(s) {
		id, _ := account.ParseValue(l.Password.Reveal()) // none of ours: ""
		has[l.Key] = id
	}
	for _, u := range strings.Fields(s.Annotations[registriesMark]) {
		host := bareHost(u)
		id, there := has[host]
		known := slices.ContainsFunc(tokens, func(t clusterToken) bool { return t.ID == id && t.Registry == u })
		switch {
		case !there:
			out = append(out, "it has no entry for "+shown(host))
		case id == "":
			out = append(out, "its entry for "+shown(host)+" is no token of a Fairlead")
		case told[u] && !known:
			out = append(out, fmt.Sprintf("its token %s is none that %s has for the cluster", id, shown(host)))
		}
	}
	return out
}

func (s *shownCluster) text(w io.Writer, e env) {
	l := look{now: time.Now()}
	fmt.Fprintf(w, "Cluster %s\n\n", s.Name)
	lines := [][]string{{"REGISTRY", "TOKEN", "ACCOUNT", "ACCESS", "REACH", "CREATED", "EXPIRES", "LAST USED"}}
	for _, t := range s.Tokens {
		used := "never"
		if t.LastUsed != nil {
			used = l.since(t.LastUsed.At)
		}
		lines = append(lines, []string{t.Registry, t.ID, t.Account, t.Access, reachText(t.Reach), l.since(t.Created), l.maybe(t.Expires, "never"), used})
	}
	if len(s.Tokens) == 0 {
		fmt.Fprintln(w, "No registry that you are signed in to has a token for it.")
	} else {
		columns(w, lines, e.coloured())
	}
	if s.Cluster == nil {
		fmt.Fprintln(w, "\nThe kubeconfig names no cluster that is attached by this name.")
		return
	}
	fmt.Fprintf(w, "\nIn the cluster at %s:\n", s.Cluster.Server)
	if s.Cluster.Controller != nil {
		s.Cluster.Controller.text(w, e)
		return
	}
	lines = [][]string{{"SECRET", "IN THE LIST OF", "DRIFT"}}
	for _, c := range s.Cluster.Secrets {
		in := "-"
		if c.Listed {
			in = c.Namespace + "/" + c.ServiceAccount
		}
		d := "none"
		if len(c.Drift) > 0 {
			d = strings.Join(c.Drift, "; ")
		}
		lines = append(lines, []string{c.Namespace + "/" + c.Name, in, d})
	}
	columns(w, lines, e.coloured())
}
