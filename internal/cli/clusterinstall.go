package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/deploy"
	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/pullplan"
	"fairlead.dev/fairlead/internal/pullsecret"
)

// installFlags are those of cluster attach that are about the controller.
type installFlags struct {
	image, imageNamespace                   string
	binaries                                []string
	hostNetwork, noWebhook, recreate, await bool
	patience                                time.Duration
}

func (i *installFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&i.image, "image", "", "`reference` of the controller's image; none is pushed then")
	f.StringVar(&i.imageNamespace, "image-namespace", "", "`namespace` of the first registry to push the controller's image to (default ACCOUNT-fairlead)")
	f.StringArrayVar(&i.binaries, "binary", nil, "make the controller's image of this `file`, a build of the same version for Linux; repeated for nodes of several architectures (default the program that runs)")
	f.BoolVar(&i.hostNetwork, "host-network", false, "let the controller use its node's network, where pods have none that reaches the registry")
	f.BoolVar(&i.noWebhook, "without-webhook", false, "leave out the webhook, which helps pods that are made before their secret")
	f.BoolVar(&i.recreate, "recreate-pods", false, "let the controller delete pods that wait for an image and that something makes again")
	f.BoolVar(&i.await, "wait", true, "wait until the controller runs and has put the secrets in place")
	f.DurationVar(&i.patience, "timeout", 3*time.Minute, "how `long` to wait")
	complete(cmd, "image")
	complete(cmd, "image-namespace")
	_ = cmd.MarkFlagFilename("binary")
}

// installOnly are the flags that mean nothing without the controller.
var installOnly = []string{"image", "image-namespace", "binary", "host-network", "without-webhook", "recreate-pods", "wait", "timeout"}

func (i *installFlags) unused(cmd *cobra.Command, hint string) error {
	for _, name := range installOnly {
		if cmd.Flags().Changed(name) {
			return usagef(hint, "--%s is about the controller, and --without-controller leaves it out", name)
		}
	}
	return nil
}

func (i *installFlags) check(hint string) error {
	switch {
	case i.patience <= 0:
		return usagef(hint, "--timeout must be above 0")
	case i.image != "" && (len(i.binaries) > 0 || i.imageNamespace != ""):
		return usagef(hint, "--image names an image that is there: leave out --binary and --image-namespace")
	}
	return nil
}

// installation is an attach with the controller under way.
type installation struct {
	*attachment
	image *controllerImage
	// theirs were there before: the controller's namespace, which is left as it
	// is, and kinds, which detach leaves.
	theirs []string
	// placed are secrets that an attach without the controller made.
	placed []pullsecret.Secret
}

func (x *installation) run(ctx context.Context, e env) error {
	for _, r := range x.registries {
		x.hostNetwork = x.hostNetwork || r.loopback() // a pod's own loopback is another
	}
	if err := x.free(ctx, e); err != nil {
		return err
	}
	img, err := x.prepareImage(ctx)
	if err != nil {
		return err
	}
	x.image = img
	if x.dryRun {
		return x.dry(ctx, e)
	}
	// A token does not expire: none is made for what the registry refuses. All
	// are tried before anything is written to the cluster.
	if err := x.image.home(ctx, e, x.registries[0]); err != nil {
		return err
	}
	for _, r := range x.registries {
		if err := x.token(ctx, e, r); err != nil {
			return err
		}
	}
	if err := x.image.push(ctx, e, x.registries[0]); err != nil {
		return err
	}
	if err := x.install(ctx, e); err != nil {
		return withHint(err, "the same command again: it goes on from there")
	}
	for _, r := range x.registries {
		ca, err := r.authority(ctx)
		if err != nil {
			return err
		}
		nodeFiles(e.stdout, r, ca)
	}
	if !x.await {
		fmt.Fprintf(e.stderr, "The controller starts. Next: fairlead cluster show %s\n", x.name)
		if len(x.placed) > 0 {
			fmt.Fprintln(e.stderr, "The tokens that were placed without the controller stay. Next: the same command without --wait=false, which ends them")
		}
		return nil
	}
	if err := x.settle(ctx, e); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "The cluster %s is attached: pods of every namespace pull from %s.\n", x.name, x.hosts())
	fmt.Fprintln(e.stderr, "Pods that are there already keep the list that they were made with. Next: kubectl rollout restart deployment NAME")
	return nil
}

func (x *installation) hosts() string {
	var out []string
	for _, r := range x.registries {
		out = append(out, r.url.Host)
	}
	return strings.Join(out, " and ")
}

// uncontrolled refuses to place secrets beside a controller that attach
// installed. Who may not see whether there is one may not install one either.
func (x *attachment) uncontrolled(ctx context.Context) error {
	there, err := x.k.Find(ctx, controllerObject())
	if kube.IsMissing(err) || errors.Is(err, &kube.Forbidden{}) {
		return nil
	}
	if err != nil {
		return err
	}
	if name := there.Label(clusterLabel); name != "" {
		return controlled(name)
	}
	return nil
}

func controlled(name string) error {
	return &codedError{&hintError{
		fmt.Errorf("the cluster is attached as %s with the controller, which keeps all secrets", name),
		"fairlead cluster detach " + name + ", and then the same command",
	}, exitConflict}
}

// sources are the secrets with the cluster's tokens that an attach with the
// controller made, by whatever name of the cluster.
func (x *installation) sources(ctx context.Context) ([]pullsecret.Secret, error) {
	var out []pullsecret.Secret
	for s, err := range x.k.Labelled(ctx, clusterLabel) {
		if err != nil && s.Namespace == "" {
			return nil, err
		}
		if err == nil && isSource(s) && s.Annotations[uidMark] == x.uid {
			out = append(out, s)
		}
	}
	return out, nil
}

// isSource tells the secret with a cluster's token from pull secrets.
func isSource(s pullsecret.Secret) bool {
	return s.Namespace == deploy.Namespace && s.Annotations[registriesMark] != "" && len(s.Data["token"]) > 0
}

// free refuses what something else has, before a token is made, and looks at
// what is there.
func (x *installation) free(ctx context.Context, e env) error {
	marks, err := x.marked(ctx, e)
	if err != nil {
		return err
	}
	for _, s := range marks {
		switch {
		case isSource(s):
			x.dropped(e, s)
		case s.Name != deploy.SecretName:
			return occupied(s, "the controller has the right to "+deploy.SecretName+" alone", "fairlead cluster detach "+x.name+", and then the same command")
		default:
			x.placed = append(x.placed, s)
		}
	}
	if err := x.unowned(ctx); err != nil {
		return err
	}
	own, err := x.k.Secret(ctx, deploy.Namespace, deploy.SecretName)
	if err == nil && own.Annotations[policyMark] == "" && own.Labels[clusterLabel] == "" {
		return occupied(own, "attach did not make it: it stays as it is", "kubectl delete secret "+deploy.SecretName+" -n "+deploy.Namespace+", if it is not needed")
	}
	if err != nil && !kube.IsMissing(err) {
		return err
	}
	return nil
}

// unowned refuses objects of attach's names that it did not make for this name.
// A namespace and kinds that are there it takes as they are.
func (x *installation) unowned(ctx context.Context) error {
	all, err := files(deploy.Options{Webhook: true, Recreate: true})
	if err != nil {
		return err
	}
	for _, r := range x.registries {
		all = append(all, object("v1", "Secret", deploy.Namespace, sourceName(r)))
	}
	for _, o := range append(all, policyObject(), ownPolicyObject()) {
		there, err := x.k.Find(ctx, o)
		if kube.IsMissing(err) {
			continue
		}
		if err != nil {
			return err
		}
		switch name := there.Label(clusterLabel); {
		case name == x.name:
		case name != "":
			return second(o.String(), name)
		case o.Kind() == "Namespace", o.Kind() == crdKind:
			x.theirs = append(x.theirs, o.String())
		default:
			return &codedError{&hintError{
				fmt.Errorf("there is %s, and attach did not make it: the controller is installed in another way", o),
				"uninstall it in that way; or give it what it needs by hand, as docs/install.md says",
			}, exitConflict}
		}
	}
	return nil
}

// dropped says of a registry that is left out what becomes of its token.
func (x *installation) dropped(e env, s pullsecret.Secret) {
	u := s.Annotations[registriesMark]
	if !slices.ContainsFunc(x.registries, func(r *clusterRegistry) bool { return r.url.String() == u }) {
		fmt.Fprintf(e.stderr, "warning: %s goes out of the secrets, and its token stays. Next: fairlead cluster detach %s --registry-only --registry %s\n", shown(u), x.name, shown(u))
	}
}

// token gets the cluster's token at a registry, and tries it.
func (x *installation) token(ctx context.Context, e env, r *clusterRegistry) error {
	v, err := r.token(ctx, clusterAccess, x.name, x.uid, x.knows(r))
	if err != nil {
		return err
	}
	if err := r.pulls(ctx, v.Value); err != nil {
		return err
	}
	r.value = v.Value
	was := "is kept"
	if v.Added {
		was = "is made"
	}
	fmt.Fprintf(e.stdout, "The token %s of %s %s: it makes tokens for this cluster that pull from %s, and may do nothing else.\n", v.ID, r.url, was, r.account)
	return nil
}

// install applies everything, the kinds first.
func (x *installation) install(ctx context.Context, e env) error {
	objects, err := x.objects(ctx)
	if err != nil {
		return err
	}
	deployment := objects[len(objects)-1]
	counts := map[kube.Result]int{}
	for _, o := range objects[:len(objects)-1] {
		if err := x.apply(ctx, e, o, counts); err != nil {
			return err
		}
	}
	if err := x.bootstrap(ctx, e); err != nil {
		return err
	}
	if err := x.takeOver(ctx, e); err != nil {
		return err
	}
	policies, err := x.policies(ctx)
	if err != nil {
		return err
	}
	for _, o := range append(policies, deployment) {
		if err := x.apply(ctx, e, o, counts); err != nil {
			return err
		}
	}
	fmt.Fprintf(e.stdout, "The controller in %s: %s created, %d changed, %d as they were.\n", deploy.Namespace,
		count(counts[kube.Created], "object"), counts[kube.Changed], counts[kube.Unchanged])
	return x.prune(ctx, e)
}

// apply makes one object, and waits for a kind to be there.
func (x *installation) apply(ctx context.Context, e env, o kube.Object, counts map[kube.Result]int) error {
	r, err := x.k.Install(ctx, o)
	if err != nil {
		return err
	}
	if counts[r]++; r == kube.Changed {
		fmt.Fprintf(e.stdout, "%s: changed.\n", capital(o.String()))
	}
	if o.Kind() != crdKind {
		return nil
	}
	return until(ctx, x.patience, func() (bool, error) {
		now, err := x.k.Find(ctx, o)
		return err == nil && kube.Established(now), err
	}, func() error { return fmt.Errorf("the API server does not serve %s yet", o.Name()) })
}

// askPause is the time between two questions to the API server.
const askPause = 250 * time.Millisecond

// until asks until the answer is yes, an error, or the time is up: then late
// gives the error.
func until(ctx context.Context, patience time.Duration, ask func() (bool, error), late func() error) error {
	end := time.Now().Add(patience)
	for {
		done, err := ask()
		if done || err != nil {
			return err
		}
		if time.Now().After(end) {
			return late()
		}
		select {
		case <-time.After(askPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// dry prints what would be applied, and says what else would change: of secrets
// that are there the tokens are not printed.
func (x *installation) dry(ctx context.Context, e env) error {
	if err := x.suspect(ctx, e); err != nil {
		return err
	}
	for _, r := range x.registries {
		r.value = noToken
	}
	all, err := x.dryObjects(ctx)
	if err != nil {
		return err
	}
	notes := e.stderr
	if x.output == "" {
		notes = e.stdout
		fmt.Fprintf(notes, "The image %s would be there (dry run).\n", x.image.reference)
		for _, o := range all {
			fmt.Fprintf(notes, "%s would be applied (dry run).\n", capital(o.String()))
		}
	}
	if err := x.dryNotes(ctx, notes); err != nil || x.output == "" {
		return err
	}
	docs := make([]json.RawMessage, len(all))
	for i, o := range all {
		if docs[i], err = json.Marshal(o); err != nil {
			return err
		}
	}
	return writeDocuments(e.stdout, x.output, docs)
}

// dryObjects are all objects that install would apply, the Deployment last.
func (x *installation) dryObjects(ctx context.Context) ([]kube.Object, error) {
	objects, err := x.objects(ctx)
	if err != nil {
		return nil, err
	}
	policies, err := x.policies(ctx)
	if err != nil {
		return nil, err
	}
	last := len(objects) - 1
	all := slices.Concat(objects[:last], policies)
	if x.image.pulled() { // which goes into the list as it is
		a, err := x.k.Account(ctx, deploy.Namespace, deploy.Controller)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(all, func(o kube.Object) bool { return o.Kind() == "ServiceAccount" })
		all[i]["imagePullSecrets"] = listWith(a, deploy.SecretName)
		good, err := x.pullsAlready(ctx)
		if err != nil {
			return nil, err
		}
		if !good {
			s, err := x.bootstrapSecret(noToken)
			if err != nil {
				return nil, err
			}
			o, err := kube.ParseObject(s.JSON())
			if err != nil {
				return nil, err
			}
			all = append(all, o)
		}
	}
	return append(all, objects[last]), nil
}

// dryNotes says what would become of what is there.
func (x *installation) dryNotes(ctx context.Context, w io.Writer) error {
	for _, s := range x.handed() {
		fmt.Fprintf(w, "The secret %s in %s would be the controller's, with its token until that is renewed (dry run).\n", s.Name, s.Namespace)
		account, names, err := x.yielded(ctx, s)
		if err != nil {
			return err
		}
		if names != "" {
			fmt.Fprintf(w, "%s would have the annotation %s: %s (dry run).\n", capital(account.String()), pullplan.ListAnnotation, names)
		}
	}
	if len(x.handed()) > 0 {
		fmt.Fprintln(w, "The tokens that were placed would be revoked once no secret has them (dry run).")
	}
	old, err := x.outdated(ctx)
	for _, o := range old {
		fmt.Fprintf(w, "%s would be removed (dry run).\n", capital(o.String()))
	}
	return err
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
