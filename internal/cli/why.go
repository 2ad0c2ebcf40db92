package cli

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/diagnosis"
	"fairlead.dev/fairlead/internal/inquiry"
	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/probe"
)

// The exit codes of why. They say what was found, as grep's do.
const (
	whyPulls    = 0
	whyCause    = 1
	whyNotKnown = 2
)

// why is one command line of fairlead why.
type why struct {
	e       env
	cmd     *cobra.Command
	cluster *clusterFlags
	out     *output

	files, secretFiles []string
	image, platform    string
	container          string
	kubeletLog, caFile string
	offline, watch     bool
	timeout            time.Duration
}

func newWhy(e env) *cobra.Command {
	w := &why{e: e}
	cmd := &cobra.Command{
		Use:   "why [KIND/NAME] [-f FILE | --image IMAGE]",
		Short: "Say why an image cannot be pulled, and what to type",
		Long: `Say why an image cannot be pulled, and what to type.

It reads the pod, its service account, the secrets and the node, replays the
kubelet's choice of credentials, and asks the registry with each of them as the
node would, and once without. A credential is sent to no host but its own, and
none is printed. The kinds are pod, deployment, replicaset, statefulset,
daemonset, job, cronjob and replicationcontroller; a name alone is a pod's.

With -f the workloads of a file are judged as if they were applied; with
--image one image, with the credentials of --secret-file, in that order.

Exit codes: 0 it pulls, 1 a cause was found, 2 it cannot be told, or the
command line is wrong.`,
		Example: `  fairlead why pod/web
  fairlead why deployment/web -n shop --watch
  fairlead why -f deploy.yaml
  fairlead why --image registry.example.com/shop/web:v1 --secret-file regcred.yaml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return w.run(args) },
	}
	w.cmd, w.cluster, w.out = cmd, addCluster(cmd, false), addOutput(cmd)
	cmd.ValidArgsFunction = w.completing
	f := cmd.Flags()
	f.StringArrayVarP(&w.files, "filename", "f", nil, "judge the workloads of this `file`; - is standard input")
	f.StringVar(&w.image, "image", "", "judge this `image` alone, without a cluster")
	f.StringArrayVar(&w.secretFiles, "secret-file", nil, "with --image or -f: a `file` with a pull secret or docker's config.json, in the pod's order")
	f.StringVar(&w.platform, "platform", "", "with --image or -f: the node's `OS/ARCHITECTURE`, such as linux/arm64")
	f.StringVarP(&w.container, "container", "c", "", "judge the container of this `name` only")
	f.StringVar(&w.kubeletLog, "kubelet-log", "", "look for failing credential plugins in this `file`: the node's kubelet log")
	f.StringVar(&w.caFile, "ca-file", "", "trust the certificates in this `file` when the registry is asked")
	f.BoolVar(&w.offline, "no-registry", false, "do not ask the registry")
	f.BoolVarP(&w.watch, "watch", "w", false, "look again until it pulls")
	f.DurationVar(&w.timeout, "timeout", 5*time.Second, "wait so long for an answer of the registry")
	for _, flag := range []string{"image", "container"} {
		complete(cmd, flag)
	}
	complete(cmd, "platform", "linux/amd64", "linux/arm64")
	return cmd
}

// mostRequests bounds all that is asked of one registry, in timeouts: a pull
// is as many requests behind each other.
const mostRequests = 4

// codeError is an exit code without a message: all is said.
type codeError struct{ code int }

func (c *codeError) Error() string { return fmt.Sprintf("exit code %d", c.code) }

func (w *why) run(args []string) error {
	hint := w.cmd.CommandPath() + " --help"
	ways := 0
	for _, given := range []bool{len(args) > 0, len(w.files) > 0, w.image != ""} {
		if given {
			ways++
		}
	}
	switch {
	case ways != 1:
		return usagef(hint, "say what to explain, one of: a pod or its owner (pod/NAME), -f FILE, --image IMAGE")
	case len(w.secretFiles) > 0 && len(args) > 0:
		return usagef(hint, "--secret-file goes with --image or -f: a pod in a cluster has the secrets that it has")
	case len(w.cluster.namespaces) > 1:
		return usagef(hint, "give one --namespace")
	case w.watch && len(args) == 0:
		return usagef(hint, "--watch needs a pod or its owner in a cluster")
	case w.container != "" && w.image != "":
		return usagef(hint, "--container goes with a pod or -f: --image is one image")
	case w.timeout <= 0:
		return usagef(hint, "--timeout %s is no time to wait: write such as 5s", w.timeout)
	}
	ask, err := w.inquiry()
	if err != nil {
		return err
	}
	gather, closing, err := w.gatherer(args)
	if err != nil {
		return failed("find out", &codedError{err, whyNotKnown})
	}
	defer closing()
	if w.watch {
		return w.until(gather, ask)
	}
	reports, err := w.look(w.cmd.Context(), gather, ask)
	if err != nil {
		return failed("find out", &codedError{err, whyNotKnown})
	}
	if err := w.print(reports); err != nil {
		return err
	}
	return exitWith(reports)
}

// inquiry is who asks the registries; without the registry nobody.
func (w *why) inquiry() (inquiry.Inquiry, error) {
	if w.offline {
		return inquiry.Inquiry{}, nil
	}
	ca, err := readCA(w.caFile)
	if err != nil {
		return inquiry.Inquiry{}, err
	}
	o := probe.Options{Timeout: w.timeout, Whole: mostRequests * w.timeout, UserAgent: "fairlead/" + build().Version}
	if ca != nil {
		o.CA = x509.NewCertPool()
		o.CA.AppendCertsFromPEM(ca)
	}
	return inquiry.Inquiry{Registry: probe.New(o), Records: tokenRecords{w.e}}, nil
}

// gatherer gives what there is to judge, each time it is called.
type gatherer func(context.Context) ([]diagnosis.Evidence, error)

func (w *why) gatherer(args []string) (gatherer, func(), error) {
	nothing := func() {}
	log, err := w.readKubeletLog()
	if err != nil {
		return nil, nothing, err
	}
	if len(args) == 0 {
		return func(context.Context) ([]diagnosis.Evidence, error) { return w.fromFiles() }, nothing, nil
	}
	kind, name, err := workloadName(args[0])
	if err != nil {
		return nil, nothing, usagef(w.cmd.CommandPath()+" --help", "%w", err)
	}
	c, err := w.cluster.open()
	if err != nil {
		return nil, nothing, err
	}
	return func(ctx context.Context) ([]diagnosis.Evidence, error) {
		list, err := fromCluster(ctx, c, kind, c.Namespace(), name)
		for i := range list {
			list[i].Workload, list[i].KubeletLog = string(kind)+"/"+name, log
		}
		return list, err
	}, c.Close, nil
}

// workloadName reads KIND/NAME; a name alone is a pod's.
func workloadName(text string) (kube.Kind, string, error) {
	kind, name, ok := strings.Cut(text, "/")
	if !ok && text != "" {
		return kube.Pod, text, nil
	}
	k, err := kube.ParseKind(kind)
	if err == nil && (name == "" || strings.Contains(name, "/")) {
		err = fmt.Errorf("%q is no name of a %s: write KIND/NAME", text, k)
	}
	return k, name, err
}

// fromCluster gathers about a pod, or about the failing pods of a workload;
// about the pods to come where none fails.
func fromCluster(ctx context.Context, c *kube.Cluster, kind kube.Kind, namespace, name string) ([]diagnosis.Evidence, error) {
	var pods []diagnosis.Pod
	var blind []error
	if kind == kube.Pod {
		p, unseen, err := c.Pod(ctx, namespace, name)
		if err != nil {
			return nil, err
		}
		pods, blind = append(pods, p), unseen
	} else {
		w, unseen, err := c.Workload(ctx, kind, namespace, name)
		if err != nil {
			return nil, err
		}
		if pods, blind = w.Pods, unseen; len(pods) == 0 {
			pods = append(pods, w.Template)
		}
	}
	var out []diagnosis.Evidence
	for _, p := range pods {
		e := c.Gather(ctx, p)
		for _, err := range blind {
			e.Blind = append(e.Blind, err.Error())
		}
		out = append(out, e)
	}
	return out, nil
}

// look gathers, asks and judges.
func (w *why) look(ctx context.Context, gather gatherer, ask inquiry.Inquiry) ([]diagnosis.Report, error) {
	list, err := gather(ctx)
	if err != nil {
		return nil, err
	}
	var out []diagnosis.Report
	for i := range list {
		e := &list[i]
		e.Now = time.Now()
		if err := w.only(e.Pod); err != nil {
			return nil, err
		}
		ask.Complete(ctx, e)
		out = append(out, diagnosis.Diagnose(*e))
	}
	return out, ctx.Err()
}

// only leaves the container that --container names.
func (w *why) only(p *diagnosis.Pod) error {
	if w.container == "" {
		return nil
	}
	var names []string
	for _, c := range p.Containers {
		if c.Name == w.container {
			p.Containers = []diagnosis.Container{c}
			return nil
		}
		names = append(names, c.Name)
	}
	return usagef(w.cmd.CommandPath()+" --help", "there is no container %q: it has %s", w.container, strings.Join(names, ", "))
}

func (w *why) print(reports []diagnosis.Report) error {
	o := w.out
	return o.print(w.e.stdout, whyDocument{reports}, func(out io.Writer) {
		for i, r := range reports {
			if i > 0 {
				fmt.Fprintln(out)
			}
			whyScreen(out, r)
		}
	})
}

// whyDocument is what -o json prints.
type whyDocument struct {
	Reports []diagnosis.Report `json:"reports"`
}

// exitWith gives the exit code of what was found, worst first: a cause, then
// what cannot be told.
func exitWith(reports []diagnosis.Report) error {
	code := whyPulls
	for _, r := range reports {
		switch {
		case r.Pulls():
		case r.Known():
			return &codeError{whyCause}
		default:
			code = whyNotKnown
		}
	}
	if code == whyPulls && len(reports) > 0 {
		return nil
	}
	return &codeError{whyNotKnown}
}

// whyPause is between two looks of --watch.
const whyPause = 2 * time.Second

// until looks again and again, says what changed, and ends when it pulls.
func (w *why) until(gather gatherer, ask inquiry.Inquiry) error {
	ctx := w.cmd.Context()
	var last []diagnosis.Verdict
	for {
		reports, err := w.look(ctx, gather, ask)
		if err != nil {
			return failed("find out", &codedError{err, whyNotKnown})
		}
		if now := verdictsOf(reports); !sameCauses(last, now) {
			last = now
			if err := w.print(reports); err != nil {
				return err
			}
		}
		if err := exitWith(reports); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return exitWith(reports)
		case <-time.After(whyPause):
		}
	}
}

func verdictsOf(reports []diagnosis.Report) []diagnosis.Verdict {
	var out []diagnosis.Verdict
	for _, r := range reports {
		out = append(out, r.Verdicts...)
	}
	return out
}

func sameCauses(a, b []diagnosis.Verdict) bool {
	type key struct {
		name, sentence string
		cause          diagnosis.Cause
	}
	keys := func(list []diagnosis.Verdict) []key {
		out := []key{}
		for _, v := range list {
			out = append(out, key{v.Container, v.Sentence, v.Cause})
		}
		return out
	}
	return a != nil && reflect.DeepEqual(keys(a), keys(b))
}

// maxKubeletLog is how much of a log is read, in bytes: its end.
const maxKubeletLog = 16 << 20

// readKubeletLog gives the lines about credential plugins.
func (w *why) readKubeletLog() ([]string, error) {
	if w.kubeletLog == "" {
		return nil, nil
	}
	f, err := os.Open(w.kubeletLog)
	if err != nil {
		return nil, &hintError{fmt.Errorf("read --kubelet-log: %w", err), "journalctl -u kubelet > kubelet.log, on the node"}
	}
	defer f.Close() //nolint:errcheck // it was only read
	if info, err := f.Stat(); err == nil && info.Size() > maxKubeletLog {
		if _, err := f.Seek(-maxKubeletLog, io.SeekEnd); err != nil {
			return nil, fmt.Errorf("read --kubelet-log: %w", err)
		}
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKubeletLog))
	if err != nil {
		return nil, fmt.Errorf("read --kubelet-log: %w", err)
	}
	var out []string
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "credential") || strings.Contains(line, "serviceaccounts-token-audience") {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out, nil
}

// codedError is an error with an exit code of its own.
type codedError struct {
	err  error
	code int
}

func (c *codedError) Error() string { return c.err.Error() }
func (c *codedError) Unwrap() error { return c.err }
