package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/deploy"
	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/pullsecret"
)

// detachFlags are those of cluster detach.
type detachFlags struct {
	urls      []string
	account   string
	far, sure bool
	patience  time.Duration
	cluster   *clusterFlags
	cmd       *cobra.Command
}

func newClusterDetach(e env) *cobra.Command {
	d := &detachFlags{}
	cmd := &cobra.Command{
		Use:   "detach NAME",
		Short: "Take away what attach made, and revoke the cluster's tokens",
		Long: `Take away exactly what attach made in the cluster: the controller with its kinds
and rights, the secrets, their name in lists; and revoke the cluster's tokens in
the registries, those that the controller made as well. What others made, or
what is in the lists beside it, stays. If something fails, the rest is done, and
the command can be given again. It does not need the controller to be alive.

A cluster that is lost is detached from the registries' side, with
--registry-only and --registry.

Images that nodes have pulled stay on them, and run on.

A person is asked first; in scripts --force is needed.`,
		Example: `  fairlead cluster detach prod --context prod
  fairlead cluster detach prod --registry-only --registry https://registry.example.com --force`,
		Args: exactly(1, "one cluster"),
	}
	d.cmd = cmd
	cmd.ValidArgsFunction = completeClusters(e)
	f := cmd.Flags()
	addRegistries(cmd, e, &d.urls, "revoke the tokens of the registry at this `URL`; may be repeated (default those in the cluster's secret)")
	f.StringVar(&d.account, "account", "", "`account` that owns the cluster, for the operator (default one's own)")
	f.BoolVar(&d.far, "registry-only", false, "revoke the tokens only, for a cluster that is lost")
	f.BoolVar(&d.sure, "force", false, "do not ask")
	f.DurationVar(&d.patience, "timeout", time.Minute, "how `long` to wait for the controller to take its secrets away, before the command does")
	complete(cmd, "account")
	d.cluster = addCluster(cmd, false)
	_ = f.MarkHidden("namespace") // it is in all
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		hint := cmd.CommandPath() + " --help"
		if err := checkClusterName(args[0], hint); err != nil {
			return err
		}
		if d.patience <= 0 {
			return usagef(hint, "--timeout must be above 0")
		}
		if d.far && len(d.urls) == 0 {
			return usagef("fairlead cluster detach "+args[0]+" --registry-only --registry URL", "name the registries whose tokens are to be revoked with --registry")
		}
		return failed("detach the cluster", d.run(cmd.Context(), e, args[0]))
	}
	return cmd
}

// detachment is what is to be taken away.
type detachment struct {
	name       string
	k          *kube.Cluster
	secrets    []pullsecret.Secret
	registries clusterRegistries
	// sources are the secrets with the tokens that the controller has; none
	// where there is no controller.
	sources []pullsecret.Secret
	// claims are secrets in others' namespaces that are marked as attach's:
	// whoever may write there may mark one.
	claims []pullsecret.Secret
	// installed says that something is there of the controller and what belongs
	// to it.
	installed bool
	// unread are the namespaces whose secrets may not be seen.
	unread map[string]error
	// kept are others' policies, and so the kinds.
	kept []string
	// others says that somebody else's controller runs beside.
	others bool
	// revoked says that a token of the cluster was.
	revoked  bool
	patience time.Duration
}

func (d *detachFlags) run(ctx context.Context, e env, name string) error {
	x := &detachment{name: name, patience: d.patience, unread: map[string]error{}}
	if err := askable(e, d.sure, "fairlead cluster detach "+name); err != nil {
		return err
	}
	urls := d.urls
	if !d.far {
		var err error
		if x.k, err = d.cluster.open(); err != nil {
			return withFar(err, name)
		}
		defer x.k.Close()
		if err = x.find(ctx, e); err != nil {
			return withFar(err, name)
		}
		if len(urls) == 0 {
			urls = x.urls()
		}
		if len(urls) == 0 {
			return x.untold()
		}
	}
	logins, err := loginsFor(e, urls, d.cmd.CommandPath()+" --help")
	if err != nil {
		return err
	}
	if err := x.whole(logins); err != nil {
		return err
	}
	if !d.far {
		if x.claim(e, logins); len(x.secrets) == 0 && !x.installed {
			return x.absent()
		}
	}
	if x.registries, err = openRegistries(ctx, logins, d.account); err != nil {
		return err
	}
	defer x.registries.close()
	for _, s := range slices.Concat(x.secrets, x.sources) {
		if !trusted(s) {
			continue
		}
		if err := x.registries.own(s); err != nil {
			return err
		}
	}
	if err := confirm(ctx, e, d.sure, "fairlead cluster detach "+name, x.question()); err != nil {
		return err
	}
	return x.do(ctx, e)
}

// whole refuses to leave a registry out: its token would be found no more.
func (x *detachment) whole(given []login) error {
	for _, u := range x.urls() {
		if !slices.ContainsFunc(given, func(l login) bool { return l.Server == u }) {
			return usagef(fmt.Sprintf("give all of its registries with --registry, or none; if %s is no more, attach the cluster to the others first, which leaves it out", u),
				"the cluster %s is attached to %s as well, whose token would stay", x.name, u)
		}
	}
	return nil
}

// withFar adds what to do about a cluster that is no more.
func withFar(err error, name string) error {
	var k *kube.Error
	if errors.As(err, &k) && (k.Reason == kube.Unreachable || k.Reason == kube.Timeout) {
		return &hintError{err, fmt.Sprintf("if the cluster is lost: fairlead cluster detach %s --registry-only --registry URL", name)}
	}
	return err
}

// find gathers the secrets that attach made in this cluster by this name.
func (x *detachment) find(ctx context.Context, e env) error {
	uid, err := x.k.UID(ctx)
	if err != nil {
		return err
	}
	for s, err := range x.k.Labelled(ctx, clusterLabel+"="+x.name) {
		switch {
		case err != nil && s.Namespace == "":
			return err
		case err != nil:
			x.unread[s.Namespace] = err
		case s.Annotations[uidMark] != uid || s.Annotations[registriesMark] == "":
			fmt.Fprintf(e.stderr, "The secret %s stays: attach did not make it in this cluster.\n", s.ID())
		case isSource(s):
			x.sources = append(x.sources, s)
		case trusted(s):
			x.secrets = append(x.secrets, s)
		default:
			x.claims = append(x.claims, s)
		}
	}
	if x.installed, err = x.carries(ctx); err != nil {
		return err
	}
	if len(x.secrets) == 0 && len(x.claims) == 0 && !x.installed {
		return x.absent()
	}
	return nil
}

// absent says that there is nothing of attach, as far as it is seen.
func (x *detachment) absent() error {
	if len(x.unread) > 0 { // it may be there
		return x.blind(&failures{}).error(len(x.unread))
	}
	return &codedError{&hintError{
		fmt.Errorf("the cluster at %s is not attached as %s", x.k.Server(), x.name),
		fmt.Sprintf("choose the cluster with --context; to revoke the tokens of a lost one: fairlead cluster detach %s --registry-only --registry URL", x.name),
	}, exitNotFound}
}

// untold asks for the registries, where no secret says which they are.
func (x *detachment) untold() error {
	if !x.installed {
		return usagef(fmt.Sprintf("fairlead cluster detach %s --registry URL, for each; or, if attach did not make it: kubectl delete secret %s -n %s", x.name, x.claims[0].Name, x.claims[0].Namespace),
			"there is no secret in %s that says that the cluster is attached as %s, and who may write to others could have marked %s", kube.SystemNamespace, x.name, x.claims[0].ID())
	}
	return usagef("fairlead cluster detach "+x.name+" --registry URL, for each",
		"the cluster is attached as %s, and the secrets that say to which registries are gone: name them with --registry", x.name)
}

// claim takes those marked secrets on that are of these registries, whose
// tokens end. kube-system's is the last then: see do.
func (x *detachment) claim(e env, logins []login) {
	for _, s := range x.claims {
		of := registriesOf(s)
		if placed(s) && slices.ContainsFunc(logins, func(l login) bool { return slices.Contains(of, l.Server) }) {
			x.secrets = append(x.secrets, s)
			continue
		}
		fmt.Fprintf(e.stderr, "warning: the secret %s stays: it is marked as attach's, for %s, and attach did not make it for this cluster's registries\n", s.ID(), shown(s.Annotations[registriesMark]))
	}
	slices.SortStableFunc(x.secrets, func(a, b pullsecret.Secret) int {
		return cmp.Compare(rank(a), rank(b))
	})
}

// rank is 1 for what goes last.
func rank(s pullsecret.Secret) int {
	if s.Namespace == kube.SystemNamespace {
		return 1
	}
	return 0
}

// blind adds the namespaces whose secrets may not be seen.
func (x *detachment) blind(to *failures) *failures {
	for n, err := range x.unread {
		to.add(n, err)
	}
	return to
}

// carries says whether something of the controller has the name: that may be
// all that is left of an attach that was cut off, or lost its namespace. Who may
// not see it did not install it.
func (x *detachment) carries(ctx context.Context) (bool, error) {
	if len(x.sources) > 0 {
		return true, nil
	}
	all, err := files(deploy.Options{Webhook: true, Recreate: true})
	if err != nil {
		return false, err
	}
	for _, o := range append(all, policyObject(), ownPolicyObject()) {
		there, err := x.k.Find(ctx, o)
		switch {
		case kube.IsMissing(err), errors.Is(err, &kube.Forbidden{}):
		case err != nil:
			return false, err
		case there.Label(clusterLabel) == x.name:
			return true, nil
		}
	}
	return false, nil
}

// urls are the registries in the secrets that are to be trusted.
func (x *detachment) urls() []string {
	var out []string
	for _, s := range slices.Concat(x.secrets, x.sources) {
		for _, u := range registriesOf(s) {
			if trusted(s) && !slices.Contains(out, u) {
				out = append(out, u)
			}
		}
	}
	return out
}

func (x *detachment) question() string {
	var where []string
	for _, r := range x.registries {
		where = append(where, r.url.String())
	}
	text := fmt.Sprintf("Revoke the tokens of the cluster %s in %s", x.name, strings.Join(where, ", "))
	if x.k != nil {
		what := count(len(x.secrets), "secret")
		if x.installed {
			what = "the controller with all its secrets"
		}
		text += fmt.Sprintf(", and remove %s from the cluster at %s", what, x.k.Server())
	}
	return text + "?"
}

// do takes away: lists first, so that no pod is made with a name that means
// nothing, then secrets, then tokens. By what detach finds an attach, such as
// the last secret, stays until all else is done.
func (x *detachment) do(ctx context.Context, e env) error {
	var broken failures
	if x.installed {
		x.uninstall(ctx, e, &broken)
	} else if err := x.dangling(ctx, e); err != nil {
		broken.add(defaultName, err)
	}
	last := pullsecret.Secret{}
	if n := len(x.secrets); n > 0 && len(x.sources) == 0 {
		last = x.secrets[n-1]
	}
	for _, s := range x.secrets {
		if err := x.clean(ctx, e, s, s.UID == last.UID); err != nil {
			broken.add(s.ID(), err)
		}
	}
	x.blind(&broken)
	// While a secret is in use its token stays: pods that name it could pull
	// nothing from the registry, not even what is public.
	if broken.n == 0 {
		for _, r := range x.registries {
			if err := x.revoke(ctx, e, r); err != nil {
				broken.add(r.url.String(), err)
			}
		}
	}
	if broken.n == 0 && x.k == nil && !x.revoked {
		return &codedError{&hintError{fmt.Errorf("no token of a cluster %s is there", x.name), "fairlead cluster list"}, exitNotFound}
	}
	if broken.n == 0 && x.installed {
		x.leave(ctx, e, &broken)
	}
	if broken.n == 0 && last.Name != "" {
		if err := x.remove(ctx, e, last); err != nil {
			broken.add(last.ID(), err)
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := broken.error(len(x.secrets) + len(x.registries)); err != nil {
		return withHint(err, "the same command again")
	}
	fmt.Fprintf(e.stdout, "The cluster %s is detached.\n", x.name)
	return nil
}

// dangling takes the secret's name off the list in default, where attach put it
// in any case, if the secret itself is gone.
func (x *detachment) dangling(ctx context.Context, e env) error {
	if len(x.secrets) == 0 {
		return nil
	}
	name := x.secrets[0].Name
	if _, err := x.k.Secret(ctx, defaultName, name); !kube.IsMissing(err) {
		return err
	}
	return x.clean(ctx, e, pullsecret.Secret{Namespace: defaultName, Name: name, Annotations: map[string]string{listMark: defaultName}}, true)
}

// clean takes a secret off the list that attach put it into, and removes it
// unless it is the last.
func (x *detachment) clean(ctx context.Context, e env, s pullsecret.Secret, last bool) error {
	if a := s.Annotations[listMark]; a != "" {
		r, err := x.k.Unuse(ctx, s.Namespace, a, s.Name)
		if err != nil && !kube.IsMissing(err) {
			return err
		}
		if err == nil {
			fmt.Fprintf(e.stdout, "The list of pull secrets in %s/%s: %s.\n", s.Namespace, a, r)
		}
	}
	if last {
		return nil
	}
	return x.remove(ctx, e, s)
}

func (x *detachment) remove(ctx context.Context, e env, s pullsecret.Secret) error {
	r, err := x.k.Remove(ctx, s)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "The secret %s in %s: %s.\n", s.Name, s.Namespace, r)
	return nil
}

// revoke ends the tokens that attach made; the cluster's others are named.
// Those that make tokens end first: nobody adds to what is listed then, and
// where it stops half way the cluster gets no other token.
func (x *detachment) revoke(ctx context.Context, e env, r *clusterRegistry) error {
	before, err := r.tokens(ctx, x.name, false)
	if err != nil {
		return err
	}
	n := 0
	for _, t := range before {
		if t.Access != clusterAccess || !ofAttach(t, x.name) {
			continue
		}
		if err := r.end(ctx, e, t); err != nil {
			return err
		}
		n++
	}
	tokens, err := r.tokens(ctx, x.name, true)
	if err != nil {
		return err
	}
	makers, err := r.makersOf(ctx, tokens)
	if err != nil {
		return err
	}
	made := 0
	for _, t := range tokens {
		switch {
		case t.State != "active":
		case ofAttach(t, x.name):
			err = r.end(ctx, e, t)
			n++
		case minted(t, x.name, makers):
			_, err = r.s.api.RevokeToken(ctx, t.ID)
			err = r.failed(err)
			made++
		default:
			fmt.Fprintf(e.stderr, "The token %s of %s stays: attach did not make it. To revoke it: fairlead token rm %s --server %s\n", t.ID, r.url, t.ID, r.url)
		}
		if err != nil {
			return err
		}
	}
	if made > 0 {
		fmt.Fprintf(e.stdout, "%s of %s that the controller made: revoked.\n", count(made, "token"), r.url)
	}
	if n += made; n == 0 {
		fmt.Fprintf(e.stdout, "%s has no token of the cluster %s.\n", r.url, x.name)
	}
	x.revoked = x.revoked || n > 0
	return nil
}

// end revokes a token, and says so.
func (r *clusterRegistry) end(ctx context.Context, e env, t v1.Token) error {
	if _, err := r.s.api.RevokeToken(ctx, t.ID); err != nil {
		return r.failed(err)
	}
	fmt.Fprintf(e.stdout, "The token %s of %s is revoked.\n", t.ID, r.url)
	return nil
}
