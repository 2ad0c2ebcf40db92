package cli

import (
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/deploy"
	"fairlead.dev/fairlead/internal/kube/controller"
	"fairlead.dev/fairlead/internal/observe"
)

// controllerGarbage makes the collector run at five quarters of the live heap:
// a controller is idle nearly always, and runs beside others' programs.
const controllerGarbage = 25

func newController(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "controller",
		Short: "Keep pull secrets in a Kubernetes cluster",
		Long: `Keep the pull secrets of a Kubernetes cluster as its ClusterPullSecrets and
PullSecrets say, until it is asked to stop (SIGINT or SIGTERM). In a pod it
looks after its own cluster. docs/controller.md has the kinds, the rights that
it needs, and what each reason means.`,
		Example: `  fairlead controller
  fairlead controller --kubeconfig admin.kubeconfig --secret-name fairlead-pull --secret-name team-pull
  fairlead controller --leader-elect --metrics-listen :9090 --health-listen :9091
  fairlead controller --webhook-listen :9443 --webhook-service fairlead-webhook`,
		Args: noArgs,
	}
	c := addCluster(cmd, false)
	f := cmd.Flags()
	f.Lookup("namespace").Usage = "`namespace` of the controller, where sources lie (default " + deploy.Namespace + ")"
	var o controller.Options
	f.StringSliceVar(&o.SecretNames, "secret-name", []string{deploy.SecretName}, "`name` that secrets may have; may be repeated")
	f.BoolVar(&o.LeaderElect, "leader-elect", false, "let one of several replicas work at a time")
	f.StringVar(&o.MetricsListen, "metrics-listen", "", "`address` of /metrics; none without")
	f.StringVar(&o.HealthListen, "health-listen", "", "`address` of /healthz and /readyz; none without")
	f.StringVar(&o.Webhook.Listen, "webhook-listen", "", "`address` of the webhook for pods; none without")
	f.StringVar(&o.Webhook.Service, "webhook-service", "", "`name` of the Service that the webhook is reached by")
	f.StringVar(&o.Webhook.URL, "webhook-url", "", "`URL` that the webhook is reached by, in place of a Service")
	for _, flag := range []string{"secret-name", "metrics-listen", "health-listen", "webhook-listen", "webhook-service", "webhook-url"} {
		complete(cmd, flag)
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if os.Getenv("GOGC") == "" {
			debug.SetGCPercent(controllerGarbage)
		}
		if err := c.one(); err != nil {
			return err
		}
		o.Cluster = c.at
		o.Cluster.Version, o.Cluster.Namespace = build().Version, deploy.Namespace
		if len(c.namespaces) > 0 {
			o.Cluster.Namespace = c.namespaces[0]
		}
		o.Log = observe.NewLogger(e.stderr, slog.LevelInfo, terminal(e.stderr))
		if err := o.Check(); err != nil {
			return usagef(cmd.CommandPath()+" --help", "%w", err)
		}
		return failed("controller", controller.Run(cmd.Context(), o))
	}
	return cmd
}
