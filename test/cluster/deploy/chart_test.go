package deploy_test

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sets of values that each chart is tried with: as little and as much as there
// is, and names that YAML takes for something else, those of the release and
// its namespace included.
var sets = map[string]map[string]string{
	controller: {
		"defaults": "",
		"all": `
image: {tag: v1.2.3, pullPolicy: Always}
imagePullSecrets: [{name: bootstrap}, {name: fairlead-pull}]
replicas: 3
secretNames: [fairlead-pull, team-pull]
registries:
- {host: registry.example.com, namespaces: [acme-web, acme-data], fairlead: {tokenSecret: cluster, lifetime: 48h, renewAfter: 12h}}
- {host: "127.0.0.1:5000", fairlead: {tokenSecret: local}}
- {host: docker.io, secret: {name: hub}}
policy:
  secretName: team-pull
  namespaceSelector: {matchLabels: {team: shop}, matchExpressions: [{key: stage, operator: NotIn, values: [test]}]}
  excludeNamespaces: [kube-public, fairlead-system]
  serviceAccounts: {names: [default, builder], selector: {matchLabels: {pulls: "yes"}}}
  nameInKubeSystem: true
  appendToOwnList: true
  recreatePods: Stuck
rights: {recreatePods: true}
ports: {metrics: 19090, health: 19091, webhook: 19443}
env: {HTTPS_PROXY: "http://proxy.example:3128", NO_PROXY: "10.0.0.0/8"}
priorityClassName: system-cluster-critical
tolerations: [{key: node-role.kubernetes.io/control-plane, operator: Exists, effect: NoSchedule}]
affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: zone, operator: Exists}]}]}}}
podAnnotations: {prometheus.io/scrape: "true", prometheus.io/port: "19090"}
podLabels: {team: platform}
`,
		"nothing": `
image: {digest: "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}
replicas: 0
registries: [{host: docker.io, secret: {name: hub}}]
ownPullSecret: false
webhook: {enabled: false}
rights: {admissionPolicy: false}
hostNetwork: true
resources: null
runAsUser: null
nodeSelector: null
`,
		"numbers": `
imagePullSecrets: [{name: "1"}]
secretNames: ["123", "on", "1e3"]
registries:
- {host: registry.example, secret: {name: "123"}}
- {host: docker.io, fairlead: {tokenSecret: "0"}}
policy: {secretName: "1e3", excludeNamespaces: ["123"], serviceAccounts: {names: ["123"]}, recreatePods: Stuck}
rights: {recreatePods: true}
env: {"y": "1"}
priorityClassName: "on"
`,
	},
	server: {
		"defaults": "",
		"all": `
image: {tag: v1.2.3, pullPolicy: Always}
imagePullSecrets: [{name: bootstrap}]
config:
  public-url: ["https://registry.example.com", "https://registry.internal.example.com:8443"]
  trusted-proxies: [10.0.0.0/8, "fd00::/8"]
  log-level: debug
  log-format: json
  anonymous-public: true
  audit-retention: 0s
  max-blob-size: 20GiB
  min-free-disk: 5%
  max-open-uploads: 10
tls: {existingSecret: fairlead-tls}
operatorToken: {existingSecret: operator, key: value}
persistence: {storageClassName: "", size: 1.5Ti, accessModes: [ReadWriteOncePod]}
service: {type: LoadBalancer, port: 8443, nodePort: 30443, loadBalancerClass: example.com/lb, annotations: {a.example/b: "1"}}
ingress: {enabled: true, className: nginx, tlsSecret: ingress-tls, annotations: {nginx.ingress.kubernetes.io/proxy-body-size: "0"}}
networkPolicy: {enabled: true, from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}, {namespaceSelector: {}, podSelector: {matchLabels: {a: b}}}]}
port: 8443
env: {GOMEMLIMIT: 900MiB}
priorityClassName: system-cluster-critical
tolerations: [{operator: Exists}]
podAnnotations: {a.example/b: "1"}
podLabels: {team: platform}
`,
		"nothing": `
persistence: {existingClaim: "123"}
hostNetwork: true
resources: null
runAsUser: null
nodeSelector: null
ingress: {enabled: true, hosts: [other.example.com]}
`,
		"numbers": `
imagePullSecrets: [{name: "1"}]
tls: {existingSecret: "123"}
operatorToken: {existingSecret: "1e3", key: "1"}
persistence: {size: "10", storageClassName: "123"}
service: {type: LoadBalancer, loadBalancerClass: "123"}
ingress: {enabled: true, className: "1e3", tlsSecret: "0"}
networkPolicy: {enabled: true}
env: {"y": "1"}
priorityClassName: "on"
`,
	},
}

// given writes values to a file and gives the flag.
func given(t *testing.T, values string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "values.yaml")
	save(t, file, values)
	return "--values=" + file
}

// TestCharts: with each set of values helm finds nothing to complain of, the
// API server would take all of it, and helm's own dry run goes through.
func TestCharts(t *testing.T) {
	s := newSite(t)
	s.crds()
	s.homes()
	for chart, all := range sets {
		for name, values := range all {
			t.Run(chart+" "+name, func(t *testing.T) {
				s := &site{s.Namespace, s.c, t}
				release, namespace := chart, map[string]string{controller: system, server: "fairlead"}[chart]
				if name == "numbers" {
					release, namespace = "on", "123"
				}
				flags := slices.Concat(needed[chart], []string{"--namespace", namespace, given(t, values)})
				if out := s.helm(append([]string{"lint", "--strict", at(t, "charts", chart)}, flags...)...); !strings.Contains(out, "0 chart(s) failed") {
					t.Errorf("helm lint says %s", out)
				}
				s.accepts(s.helm(append([]string{"template", release, at(t, "charts", chart)}, flags...)...))
				s.helm(append([]string{"install", release, at(t, "charts", chart), "--dry-run=server"}, flags...)...)
			})
		}
	}
}

// TestChartsAreKustomize: what helm renders by default is what kustomize
// builds, but for what only one of them has.
func TestChartsAreKustomize(t *testing.T) {
	s := newSite(t)
	for chart, flags := range map[string][]string{
		controller: {"--namespace", system, "--include-crds"},
		server:     {"--namespace", "fairlead", "--set", "tls.existingSecret=fairlead-tls"},
	} {
		base := strings.TrimPrefix(chart, "fairlead-")
		if chart == server {
			base = "server"
		}
		t.Run(base, func(t *testing.T) {
			s := &site{s.Namespace, s.c, t}
			want, got := map[string]object{}, map[string]object{}
			for _, o := range objects(t, s.build(at(t, base))) {
				if o.kind() != "Namespace" { // helm install --create-namespace
					o = comparable(t, o)
					want[o.id()] = o
				}
			}
			for _, o := range objects(t, s.render(chart, flags...)) {
				o = comparable(t, o)
				got[o.id()] = o
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("kustomize (-) and helm (+) differ:\n%s", d)
			}
		})
	}
}

// comparable takes away what differs by its nature: helm's labels, the image,
// the hash by which a configuration is followed, and its comments.
func comparable(t *testing.T, o object) object {
	t.Helper()
	meta, _ := o["metadata"].(map[string]any)
	labels, _ := meta["labels"].(map[string]any)
	for _, l := range []string{"name", "instance", "version", "managed-by"} {
		delete(labels, "app.kubernetes.io/"+l)
	}
	delete(labels, "helm.sh/chart")
	if len(labels) == 0 {
		delete(meta, "labels")
	}
	switch o.kind() {
	case "ConfigMap":
		meta["name"] = server
		var settings map[string]any
		decode(t, o.at("data", "fairlead.yaml").(string), &settings)
		o["data"] = settings
	case "PersistentVolumeClaim":
		delete(meta, "annotations")
	case "Deployment", "StatefulSet":
		if !strings.Contains(container(o)["image"].(string), "fairlead") {
			t.Errorf("%s has the image %v", o.id(), container(o)["image"])
		}
		delete(container(o), "image")
		if template, _ := o.at("spec", "template", "metadata").(map[string]any); template != nil {
			delete(template, "annotations")
		}
		volumes, _ := o.at("spec", "template", "spec", "volumes").([]any)
		for _, v := range volumes {
			if v, _ := v.(map[string]any); v["configMap"] != nil {
				v["configMap"] = "the generated one"
			}
		}
	}
	return o
}

// TestValuesRefused: each wrong value has an answer that names it.
func TestValuesRefused(t *testing.T) {
	s := newSite(t)
	refused := map[string]map[string][]string{
		controller: {
			"--set=image.repository=":                            {"image.repository is not set", "registry.example.com/acme-platform/fairlead"},
			"--set=image.repository=Upper/case":                  {"/image/repository", "does not match pattern"},
			"--set=image.digest=sha256:short":                    {"/image/digest"},
			"--set=imag.tag=v1":                                  {"'imag'"},
			"--set=replicas=two":                                 {"/replicas", "want integer"},
			"--set=secretNames=":                                 {"/secretNames"},
			"--set=policy.secretName=other":                      {"policy.secretName", "secretNames", "fairlead-pull"},
			"--set=policy.recreatePods=Stuck":                    {"rights.recreatePods"},
			"--set=policy.recreatePods=Always":                   {"/policy/recreatePods", "'Never', 'Stuck'"},
			"--set=webhook.enabled=maybe":                        {"/webhook/enabled", "want boolean"},
			"--set=ports.health=0":                               {"/ports/health"},
			"--set=resources.limit.memory=1Gi":                   {"/resources", "'limit'"},
			"--set=runAsUser=0":                                  {"/runAsUser"},
			`--set-json=registries=[{"host":"a.example"}]`:       {"/registries/0"},
			`--set-json=registries=[{"secret":{"name":"a"}}]`:    {"/registries/0", "'host'"},
			`--set-json=registries=[{"host":"A","secret":{}}]`:   {"/registries/0/host", "/registries/0/secret", "'name'"},
			`--set-json=registries=[{"host":"a","token":"flt"}]`: {"/registries/0", "'token'"},
			`--set-json=registries=[{"host":"a","secret":{"name":"a"},"fairlead":{"tokenSecret":"b"}}]`: {"registries[0]", "one of fairlead and secret"},
		},
		server: {
			"--set=image.repository=":                                           {"image.repository is not set"},
			"--set-json=config={}":                                              {"config.public-url is not set", "https://registry.example.com"},
			`--set-json=config={"public-url":["registry.x"]}`:                   {"/config/public-url/0"},
			`--set-json=config={"public-url":["https://a"],"data":"/x"}`:        {"/config", "'data'"},
			`--set-json=config={"public-url":["https://a"],"max-blobs":1}`:      {"/config", "'max-blobs'"},
			`--set-json=config={"public-url":["https://a"],"log-level":"loud"}`: {"/config/log-level"},
			"--set=replicas=2":                                                  {"'replicas'"},
			"--set=operatorToken.value=flt":                                     {"/operatorToken", "'value'"},
			"--set=service.type=External":                                       {"/service/type"},
			"--set=persistence.size=big":                                        {"/persistence/size"},
			"--set=ingress.hosts[0]=https://a.example":                          {"/ingress/hosts/0"},
		},
	}
	for chart, all := range refused {
		for _, flag := range slices.Sorted(maps.Keys(all)) {
			r := s.tryHelm(slices.Concat([]string{"template", chart, at(t, "charts", chart)}, needed[chart], []string{flag})...)
			if r.Code == 0 {
				t.Errorf("%s %s is taken", chart, flag)
				continue
			}
			for _, want := range all[flag] {
				if !strings.Contains(r.Stderr, want) {
					t.Errorf("%s %s: no %q in\n%s", chart, flag, want, r.Stderr)
				}
			}
		}
	}
}
