package controller

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

var (
	namespaces = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "fairlead_controller_namespaces", Help: "Namespaces that a policy chooses, by whether all is as it should be (ready, failing).",
	}, []string{"policy", "state"})
	writes = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fairlead_controller_writes_total", Help: "Writes to secrets and service accounts.",
	}, []string{"object", "verb"})
	renewals = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fairlead_controller_renewals_total", Help: "Tokens asked for, by what came of it (minted, failed).",
	}, []string{"result"})
	credentialMinted = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "fairlead_controller_credential_minted_timestamp_seconds", Help: "When the credential in use was minted; its age is the time since.",
	}, []string{"policy", "host"})
	credentialExpires = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "fairlead_controller_credential_expires_timestamp_seconds", Help: "When the credential in use expires.",
	}, []string{"policy", "host"})
	credentialProblem = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "fairlead_controller_credentials_failing", Help: "1 if a policy's credentials cannot be had or renewed.",
	}, []string{"policy"})
	reviews = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fairlead_controller_webhook_requests_total", Help: "Pods that the webhook was asked about, by what came of it (added, unchanged, failed, refused, busy).",
	}, []string{"result"})
	podsEarly = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "fairlead_controller_pods_too_early", Help: "Pods that wait for an image because they were made before their account named the secret.",
	}, []string{"policy"})
	podsRecreated = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fairlead_controller_pods_recreated_total", Help: "Such pods that were deleted so that their owners make them again.",
	}, []string{"policy"})
)

// registerMetrics adds ours to those of the library.
func registerMetrics() {
	for _, c := range []prometheus.Collector{namespaces, writes, renewals, credentialMinted, credentialExpires, credentialProblem, reviews, podsEarly, podsRecreated} {
		var twice prometheus.AlreadyRegisteredError
		if err := metrics.Registry.Register(c); err != nil && !errors.As(err, &twice) {
			ctrl.Log.Error(err, "a metric is not shown") // two have one name
		}
	}
}

// showTokens is about the tokens of a policy in use, by place; if its spec is
// new the series of other places go.
func showTokens(policy string, tokens map[string]held, fresh bool) {
	if fresh {
		forgetIn(policy, credentialMinted, credentialExpires)
	}
	for place, h := range tokens {
		credentialMinted.WithLabelValues(policy, place).Set(float64(h.minted.Unix()))
		credentialExpires.WithLabelValues(policy, place).Set(float64(h.expires.Unix()))
	}
}

func forgetMetrics(policy string) {
	forgetIn(policy, namespaces, credentialMinted, credentialExpires, credentialProblem, podsEarly)
}

func forgetIn(policy string, of ...*prometheus.GaugeVec) {
	for _, v := range of {
		v.DeletePartialMatch(prometheus.Labels{"policy": policy})
	}
}
