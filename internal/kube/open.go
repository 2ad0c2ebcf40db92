package kube

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	// Users of these kubeconfigs have no other way in.
	_ "k8s.io/client-go/plugin/pkg/client/auth/oidc"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Open finds the cluster as kubectl does: --kubeconfig, else the files in
// KUBECONFIG, else ~/.kube/config, else, in a pod, its own cluster. It touches
// no network. Errors: *Error with the reason NoConfig, NoContext or BadConfig.
func Open(o Options) (*Cluster, error) {
	cfg, namespace, err := find(o)
	if err != nil {
		return nil, err
	}
	return newCluster(cfg, namespace, o)
}

// Config is Open for who brings a client of their own. Its requests are
// limited as those of Cluster are, and have no time limit, since some watch.
func Config(o Options) (*rest.Config, error) {
	cfg, _, err := find(o)
	if err != nil {
		return nil, err
	}
	cfg.UserAgent = "fairlead/" + o.Version
	cfg.QPS, cfg.Burst = qps, burst
	cfg.WarningHandlerWithContext = rest.NoWarnings{}
	return cfg, nil
}

func find(o Options) (*rest.Config, string, error) {
	rules := rulesOf(o)
	over := &clientcmd.ConfigOverrides{
		CurrentContext: o.Context,
		Context:        clientcmdapi.Context{Cluster: o.Cluster, AuthInfo: o.User, Namespace: o.Namespace},
		ClusterInfo:    clientcmdapi.Cluster{Server: o.Server},
		AuthInfo:       clientcmdapi.AuthInfo{Impersonate: o.As, ImpersonateGroups: o.AsGroup},
	}
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, over)
	cfg, err := configOf(loader.ClientConfig, o)
	if err != nil {
		return nil, "", configError(err, o, rules.Precedence)
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, "", configError(err, o, rules.Precedence)
	}
	return cfg, namespace, nil
}

// configOf is what is found, acting as o says: a pod's own cluster takes no
// override of who that is.
func configOf(found func() (*rest.Config, error), o Options) (*rest.Config, error) {
	cfg, err := found()
	if err != nil {
		return nil, err
	}
	if o.As != "" {
		cfg.Impersonate.UserName = o.As
	}
	if len(o.AsGroup) > 0 {
		cfg.Impersonate.Groups = o.AsGroup
	}
	return cfg, nil
}

const contextsHint = "kubectl config get-contexts, to see what there is"

// configError says what is wrong with what names the cluster.
func configError(err error, o Options, files []string) error {
	switch {
	case o.Kubeconfig != "" && errors.Is(err, fs.ErrNotExist):
		return &Error{Reason: NoConfig, text: fmt.Sprintf("there is no kubeconfig %s", o.Kubeconfig), next: "name one that is there with --kubeconfig", err: err}
	case clientcmd.IsContextNotFound(err), o.Context != "" && strings.Contains(err.Error(), fmt.Sprintf("context %q does not exist", o.Context)):
		return &Error{Reason: NoContext, text: fmt.Sprintf("the kubeconfig has no context %q", o.Context), next: contextsHint, err: err}
	case clientcmd.IsEmptyConfig(err):
		where := strings.Join(files, ", ")
		if o.Kubeconfig != "" {
			where = o.Kubeconfig
		}
		return &Error{Reason: NoConfig, text: "no cluster is named: there is no current context in " + where, next: "kubectl config use-context NAME, or name a file with --kubeconfig or KUBECONFIG", err: err}
	}
	return badConfig(err)
}

func badConfig(err error) error {
	text := strings.TrimPrefix(err.Error(), "invalid configuration: ")
	return &Error{Reason: BadConfig, text: "the kubeconfig cannot be used: " + clip(text), next: contextsHint, err: err}
}

// Named lists the contexts, clusters or users ("context", "cluster", "user")
// that the kubeconfig names, in order, for who types one; nothing where it
// cannot be read.
func Named(o Options, what string) []string {
	raw, err := rulesOf(o).Load()
	if err != nil {
		return nil
	}
	switch what {
	case "context":
		return slices.Sorted(maps.Keys(raw.Contexts))
	case "cluster":
		return slices.Sorted(maps.Keys(raw.Clusters))
	case "user":
		return slices.Sorted(maps.Keys(raw.AuthInfos))
	}
	return nil
}

// rulesOf says which files are read.
func rulesOf(o Options) *clientcmd.ClientConfigLoadingRules {
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: o.Kubeconfig}
	if list := os.Getenv(clientcmd.RecommendedConfigPathEnvVar); list != "" {
		rules.Precedence = filepath.SplitList(list)
	} else {
		rules.Precedence = []string{clientcmd.RecommendedHomeFile}
	}
	return rules
}
