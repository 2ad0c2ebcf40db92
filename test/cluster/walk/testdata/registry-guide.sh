# The guide of 2018, with our spellings: what it does by hand in every
# namespace, and what became of its manifests.

say() { printf '\n--- %s\n' "$*"; }
deployment() { # NAME IMAGE SECRET
	cat <<-YAML
	apiVersion: apps/v1
	kind: Deployment
	metadata: {name: $1}
	spec:
	  replicas: 1
	  selector: {matchLabels: {app: $1}}
	  template:
	    metadata: {labels: {app: $1}}
	    spec:
	      hostNetwork: true
	      terminationGracePeriodSeconds: 1
	      imagePullSecrets: [${3:+{name: $3\}}]
	      containers: [{name: $1, image: "$2"}]
	YAML
}

say 'sign in; the namespaces, the tokens (S20, S41-S44)'
fairlead login "$URL" --token-file admin.token
fairlead namespace-list | grep acme-web
id=$(fairlead token-add --description cluster --non-expiring --quiet >token.value && fairlead token-list --quiet | head -n 1)
fairlead token-get "$id" >got
grep -q '^Token' got
rm got token.value

say 'the manifest of the guide is of a version that is gone (S33)'
deployment old "$IMAGE" | sed 's#apps/v1#extensions/v1beta1#' >old.yaml
if kubectl apply -f old.yaml; then exit 1; fi
fairlead why -f old.yaml >said && exit 1
grep -q 'extensions/v1beta1 is gone' said

say 'without a secret it does not start, and why says so (S38)'
deployment app "$IMAGE" '' | kubectl apply -f -
fairlead why deployment/app >said && exit 1
grep -q 'wants a credential' said

say 'a secret in this namespace, from the token (S45-S51), named by the default account (S31)'
fairlead secret create regional --token "$id"
fairlead secret use regional --serviceaccount default
kubectl get secrets --namespace "$NS" | grep regional
kubectl get serviceaccount default -o jsonpath='{.imagePullSecrets[*].name}' | grep regional
kubectl rollout restart deployment/app
kubectl rollout status deployment/app --timeout=90s

say 'a provided image, of one path element (S55)'
deployment liberty "$PROVIDED" '' | kubectl apply -f -
kubectl rollout status deployment/liberty --timeout=90s

say 'another Kubernetes namespace has none (S39), and gets a copy (S46-S52), named by the pod (S60)'
fairlead secret copy regional --to "$SECOND"
deployment app "$IMAGE" regional | kubectl apply -n "$SECOND" -f -
kubectl rollout status -n "$SECOND" deployment/app --timeout=90s

say 'another registry, with user and password (S13, S67-S75), beside ours in one pod (S8)'
fairlead secret create foreign --server "$OTHER" --username "$OTHER_USER" --email a@b.c --password-file other.password
cat >both.yaml <<-YAML
	apiVersion: v1
	kind: Pod
	metadata: {name: both}
	spec:
	  hostNetwork: true
	  terminationGracePeriodSeconds: 1
	  imagePullSecrets: [{name: regional}, {name: foreign}]
	  containers: [{name: ours, image: "$IMAGE"}, {name: theirs, image: "$FOREIGN"}]
YAML
kubectl apply -f both.yaml
kubectl wait --for=condition=Ready pod/both --timeout=90s
fairlead why pod/both

say 'two accounts of one registry side by side in one pod (S40)'
fairlead login "$URL" --name rival --token-file rival.token
fairlead secret create theirs --new-token --scope rival-web
fairlead secret create ours --registry-context "$REGISTRY" --new-token --scope acme-web
cat >two.yaml <<-YAML
	apiVersion: v1
	kind: Pod
	metadata: {name: two}
	spec:
	  hostNetwork: true
	  terminationGracePeriodSeconds: 1
	  imagePullSecrets: [{name: ours}, {name: theirs}]
	  containers: [{name: ours, image: "$IMAGE"}, {name: theirs, image: "$RIVAL"}]
YAML
kubectl apply -f two.yaml
kubectl wait --for=condition=Ready pod/two --timeout=90s

say 'a password on the command line is refused'
if fairlead secret create bad --server "$OTHER" --username "$OTHER_USER" --password nonsense; then exit 1; fi
