package cli

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"fairlead.dev/fairlead/deploy"
	"fairlead.dev/fairlead/dockerconfig"
	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/pullplan"
	"fairlead.dev/fairlead/internal/pullsecret"
)

const (
	policyMark = pullplan.PolicyAnnotation
	// noToken stands in a dry run where a token would be.
	noToken = "NO-TOKEN-IS-MADE-IN-A-DRY-RUN"

	policyVersion = "fairlead.dev/v1alpha1"
	crdKind       = "CustomResourceDefinition"
	defaultPolicy = "fairlead" // of the whole cluster
	// pullLife is how long the controller's own credential lives: it must
	// outlast whatever keeps the controller from renewing it. It is renewed
	// after pullRenewal: each renewal leaves a token that is good for the rest
	// of that life.
	pullLife, pullRenewal = "8760h", "720h"
	// firstLife is that of the one it is first pulled with.
	firstLife = "168h"
)

func object(version, kind, namespace, name string) kube.Object {
	meta := map[string]any{"name": name}
	if namespace != "" {
		meta["namespace"] = namespace
	}
	return kube.Object{"apiVersion": version, "kind": kind, "metadata": meta}
}

func namespaceObject() kube.Object { return object("v1", "Namespace", "", deploy.Namespace) }

func controllerObject() kube.Object {
	return object("apps/v1", "Deployment", deploy.Namespace, deploy.Controller)
}

func accountObject(namespace, name string) kube.Object {
	return object("v1", "ServiceAccount", namespace, name)
}

func policyObject() kube.Object { return object(policyVersion, "ClusterPullSecret", "", defaultPolicy) }

func ownPolicyObject() kube.Object {
	return object(policyVersion, "PullSecret", deploy.Namespace, deploy.Controller)
}

func policyID(o kube.Object) pullplan.ID {
	return pullplan.ID{Kind: o.Kind(), Namespace: o.Namespace(), Name: o.Name()}
}

// files are the objects in deploy that one attach or another applies.
func files(o deploy.Options) ([]kube.Object, error) {
	texts, err := deploy.Objects(o)
	if err != nil {
		return nil, err
	}
	out := make([]kube.Object, len(texts))
	for i, text := range texts {
		if out[i], err = kube.ParseObject(text); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// objects are what is applied, in this order, but for pull secrets and
// policies; the Deployment is the last.
func (x *installation) objects(ctx context.Context) ([]kube.Object, error) {
	all, err := files(deploy.Options{Webhook: !x.noWebhook, Recreate: x.recreate})
	if err != nil {
		return nil, err
	}
	sources, err := x.sourceObjects(ctx)
	if err != nil {
		return nil, err
	}
	var out []kube.Object
	for _, o := range all {
		switch o.Kind() {
		case "Namespace":
			if x.hostNetwork {
				for _, mode := range []string{"enforce", "audit", "warn"} {
					o.SetLabel("pod-security.kubernetes.io/"+mode, "privileged")
				}
			}
			if !slices.Contains(x.theirs, o.String()) {
				out = append(out, o)
			}
			out = append(out, sources...) // as soon as can be: detach goes by them
			continue
		case "ServiceAccount":
			if x.image.pulled() {
				o.In("metadata", "annotations")[pullplan.ListAnnotation] = deploy.SecretName
			}
		case "Deployment":
			if err := x.shape(o); err != nil {
				return nil, err
			}
		}
		out = append(out, o)
	}
	for _, o := range out {
		if !slices.Contains(x.theirs, o.String()) {
			o.SetLabel(clusterLabel, x.name)
		}
	}
	return out, nil
}

// shape makes the Deployment this cluster's.
func (x *installation) shape(o kube.Object) error {
	pod := o.In("spec", "template", "spec")
	containers := pod.Items("containers")
	if len(containers) != 1 {
		return fmt.Errorf("%s has %d containers", o, len(containers))
	}
	containers[0]["image"] = x.image.reference
	if x.noWebhook {
		args, _ := containers[0]["args"].([]any)
		containers[0]["args"] = slices.DeleteFunc(args, func(a any) bool {
			text, _ := a.(string)
			return strings.HasPrefix(text, "--webhook-")
		})
		containers[0]["ports"] = slices.DeleteFunc(slices.Clone(containers[0]["ports"].([]any)), func(p any) bool {
			port, _ := p.(map[string]any)
			return port["name"] == "webhook"
		})
	}
	if x.hostNetwork {
		pod["hostNetwork"], pod["dnsPolicy"] = true, "ClusterFirstWithHostNet"
		// On one node two of them would want the same ports.
		o.In("spec")["strategy"] = map[string]any{"type": "RollingUpdate", "rollingUpdate": map[string]any{"maxSurge": 0, "maxUnavailable": 1}}
	}
	return nil
}

// sourcePrefix is that of the names of all secrets with tokens.
const sourcePrefix = "fairlead-token-"

// sourceName is the secret of a registry's token. A host that is too long for
// a name is cut, and told from others by its hash.
func sourceName(r *clusterRegistry) string {
	const most = 253 // characters of a Secret's name
	host := hostInName(r.url.Host)
	if len(sourcePrefix+host) > most {
		sum := sha256.Sum256([]byte(host))
		tail := "-" + hex.EncodeToString(sum[:8])
		host = strings.TrimRight(host[:most-len(sourcePrefix)-len(tail)], "-.") + tail
	}
	return sourcePrefix + host
}

// hostInName is a host as it stands in the name of a file or a Secret.
func hostInName(host string) string { return strings.Trim(notInName.Replace(host), "-") }

var notInName = strings.NewReplacer(":", "-", "[", "", "]", "")

// sourceObjects are the secrets with the cluster's tokens. Who may use them is
// what the operator says of those that are there.
func (x *installation) sourceObjects(ctx context.Context) ([]kube.Object, error) {
	var out []kube.Object
	for _, r := range x.registries {
		ca, err := r.authority(ctx)
		if err != nil {
			return nil, err
		}
		data := map[string]any{"url": packed(r.url.String()), "token": packed(r.value)}
		if len(ca) > 0 {
			data["ca.crt"] = packed(string(ca))
		}
		if r.url.Scheme == "http" {
			data["insecure-http"] = packed("true")
		}
		o := object("v1", "Secret", deploy.Namespace, sourceName(r))
		o["type"], o["data"] = "Opaque", data
		there, err := x.k.Find(ctx, o)
		if err != nil && !kube.IsMissing(err) {
			return nil, err
		}
		notes := o.In("metadata", "annotations")
		notes[uidMark], notes[registriesMark], notes[accountsMark] = x.uid, r.url.String(), r.account
		for key, names := range usersOf(there, x.image.registry == r) {
			notes[key] = names
		}
		out = append(out, o)
	}
	return out, nil
}

// Who may use a source: policies of the whole cluster by their names, wherever
// they choose, and all policies in some namespaces, by those of the namespaces.
const (
	policiesMark   = "fairlead.dev/cluster-pull-secrets"
	namespacesMark = "fairlead.dev/namespaces"
)

// usersOf gives the annotations that say who may use a source: attach's own
// policies, and no tenant. own says that the controller's image is pulled with
// it. In the source that is there, nil for none, what the operator wrote stays;
// only what the two policies cannot do without is added.
func usersOf(there kube.Object, own bool) map[string]string {
	policies, namespaces := annotation(there, policiesMark), annotation(there, namespacesMark)
	if namespaces == deploy.Namespace && !own {
		namespaces = "" // an attach of another image wrote it
	}
	if policies == "" && (namespaces == "" || namespaces == deploy.Namespace) {
		policies = defaultPolicy // otherwise the operator chose namespaces in its place
	}
	named := strings.FieldsFunc(namespaces, func(r rune) bool { return r == ',' || r == ' ' })
	if own && !slices.Contains(named, deploy.Namespace) && !slices.Contains(named, "*") {
		namespaces = strings.Join(append(named, deploy.Namespace), ",")
	}
	out := map[string]string{}
	for key, names := range map[string]string{policiesMark: policies, namespacesMark: namespaces} {
		if names != "" {
			out[key] = names
		}
	}
	return out
}

func packed(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// annotation of an object; "" also if that is nil.
func annotation(o kube.Object, key string) string {
	if o == nil {
		return ""
	}
	text, _ := o.In("metadata", "annotations")[key].(string)
	return text
}

// policies are what the controller is told. What others added to the cluster's
// registries stays, and so does what they set in attach's own entries.
func (x *installation) policies(ctx context.Context) ([]kube.Object, error) {
	out := x.freshPolicies()
	for _, o := range out {
		there, err := x.k.Find(ctx, o)
		if kube.IsMissing(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		spec, old := o.In("spec"), there.In("spec").Items("registries")
		if o.Kind() == ownPolicyObject().Kind() {
			for _, f := range spec.Items("registries") {
				for _, t := range ofSource(old, tokenSecret(f)) {
					f["fairlead"] = t["fairlead"] // the rest is what the image needs
				}
			}
			continue
		}
		spec["registries"] = entriesWith(spec.Items("registries"), old)
	}
	return out, nil
}

// entriesWith are a policy's registries where some are there already. Those of
// names of attach's sources are its own: they keep their namespaces and how
// long tokens live, and go if there is no such source any more.
func entriesWith(fresh, there []kube.Object) []any {
	var out []any
	for _, f := range fresh {
		same := ofSource(there, tokenSecret(f))
		if len(same) == 0 {
			same = []kube.Object{f}
		}
		for _, t := range same { // several, for different namespaces
			t["host"] = f["host"]
			out = append(out, map[string]any(t))
		}
	}
	for _, t := range there {
		if !strings.HasPrefix(tokenSecret(t), sourcePrefix) {
			out = append(out, map[string]any(t))
		}
	}
	return out
}

// ofSource are the entries whose credentials a token makes.
func ofSource(entries []kube.Object, name string) []kube.Object {
	return slices.DeleteFunc(slices.Clone(entries), func(t kube.Object) bool { return tokenSecret(t) != name })
}

// tokenSecret is the source of an entry that a Fairlead mints the credential
// of; "" for others.
func tokenSecret(entry kube.Object) string {
	source, _ := entry["fairlead"].(map[string]any)
	name, _ := source["tokenSecret"].(string)
	return name
}

// freshPolicies are the cluster's, and the one that the controller's own image
// is pulled with; none where its image needs no credential.
func (x *installation) freshPolicies() []kube.Object {
	all := policyObject()
	spec := all.In("spec")
	spec["secretName"], spec["excludeNamespaces"] = deploy.SecretName, []any{deploy.Namespace}
	if x.recreate {
		spec["recreatePods"] = "Stuck"
	}
	var list []any
	for _, r := range x.registries {
		list = append(list, map[string]any{"host": r.url.Host, "fairlead": map[string]any{"tokenSecret": sourceName(r)}})
	}
	spec["registries"] = list
	out := []kube.Object{all}
	if x.image.pulled() {
		own := ownPolicyObject()
		spec := own.In("spec")
		spec["secretName"] = deploy.SecretName
		spec["serviceAccounts"] = map[string]any{"names": []any{deploy.Controller}}
		entry := map[string]any{
			"host":     x.image.registry.url.Host,
			"fairlead": map[string]any{"tokenSecret": sourceName(x.image.registry), "lifetime": pullLife, "renewAfter": pullRenewal},
		}
		if x.image.namespace != "" {
			entry["namespaces"] = []any{x.image.namespace}
		}
		spec["registries"] = []any{entry}
		out = append(out, own)
	}
	for _, o := range out {
		o.SetLabel(clusterLabel, x.name)
	}
	return out
}

// bootstrapSecret is what the controller is first pulled with. It looks as the
// controller will make it, so that it takes it over.
func (x *installation) bootstrapSecret(token string) (pullsecret.Secret, error) {
	if !x.image.pulled() {
		return pullsecret.Secret{}, nil
	}
	return pullsecret.Build(pullsecret.Recipe{
		Namespace: deploy.Namespace, Name: deploy.SecretName,
		Entries:     []dockerconfig.Entry{{Key: x.image.key(), Username: tokenUser, Password: token}},
		Labels:      map[string]string{pullplan.ManagedByLabel: pullplan.ManagedBy},
		Annotations: map[string]string{policyMark: policyID(ownPolicyObject()).String()},
	})
}
