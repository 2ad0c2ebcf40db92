# Kubernetes' task page: pull an image from a private registry.

say() { printf '\n--- %s\n' "$*"; }

say 'log in: the file of the login (S79-S82)'
mkdir -p .docker
export DOCKER_CONFIG="$PWD/.docker"
skopeo login --tls-verify=false --authfile .docker/config.json --username "$OTHER_USER" --password-stdin "$OTHER" <other.password
grep -q '"auths"' .docker/config.json

say 'a secret of the existing file (S85-S88); byte for byte the one of kubectl'
fairlead secret create regcred --from-docker-config
kubectl get secret regcred -o jsonpath='{.type}' | grep -x kubernetes.io/dockerconfigjson
kubectl get secret regcred -o jsonpath='{.data.\.dockerconfigjson}' | base64 --decode >stored.json
fairlead secret check regcred

say 'with a name, a namespace and labels of its own, as a manifest (S89-S91)'
fairlead secret create myregistrykey -n "$SECOND" --label team=awesome --from-docker-config -o yaml >secret.yaml
kubectl apply -f secret.yaml
kubectl get secret -n "$SECOND" -l team=awesome -o name | grep -x secret/myregistrykey

say 'what kubectl says in riddles (S92, S93)'
sed 's/\(\.dockerconfigjson: \).*/\1bm90IGpzb24/' secret.yaml >broken.yaml
if kubectl apply -f broken.yaml; then exit 1; fi
fairlead secret check -f broken.yaml >said && exit 1
grep -q 'base64' said
sed 's/\(\.dockerconfigjson: \).*/\1bm90IGpzb24h/' secret.yaml >invalid.yaml
if kubectl apply -f invalid.yaml; then exit 1; fi
fairlead secret check -f invalid.yaml >said && exit 1
grep -q 'not-json' said

say 'a credential store instead of the password (S83, S84)'
mkdir -p store/.docker bin
cat >bin/docker-credential-walk <<-SH
	#!/bin/sh
	case \$1 in
	get) read -r server; test "\$server" = "$OTHER" && printf '{"ServerURL":"%s","Username":"%s","Secret":"%s"}' "\$server" "$OTHER_USER" "\$(cat "$PWD/other.password")" ;;
	list) printf '{"%s":"%s"}' "$OTHER" "$OTHER_USER" ;;
	esac
SH
chmod +x bin/docker-credential-walk
printf '{"auths":{"%s":{}},"credsStore":"walk"}' "$OTHER" >store/.docker/config.json
PATH="$PWD/bin:$PATH" DOCKER_CONFIG="$PWD/store/.docker" fairlead secret create fromstore --from-docker-config
kubectl get secret fromstore -o jsonpath='{.data.\.dockerconfigjson}' | base64 --decode >fromstore.json
grep -q '"auth"' fromstore.json
if grep -q credsStore fromstore.json; then exit 1; fi

say 'from the command line, without the password on it (S94-S99); as kubectl makes it'
fairlead secret create byhand --server "$OTHER" --username "$OTHER_USER" --email a@b.c --password-stdin <other.password
kubectl create secret docker-registry bykubectl --docker-server="$OTHER" --docker-username="$OTHER_USER" --docker-email=a@b.c --docker-password="$(cat other.password)"
ours=$(kubectl get secret byhand -o jsonpath='{.data.\.dockerconfigjson}')
theirs=$(kubectl get secret bykubectl -o jsonpath='{.data.\.dockerconfigjson}')
test "$ours" = "$theirs"

say 'look at it: decoded, redacted (S100-S104)'
fairlead secret inspect byhand | grep redacted
auth=$(printf %s "$ours" | base64 --decode | sed 's/.*"auth":"\([^"]*\)".*/\1/')
printf %s "$auth" | base64 --decode | grep -qx "$OTHER_USER:$(cat other.password)"

say 'the pod without it does not start, and why says so'
cat >pod.yaml <<-YAML
	apiVersion: v1
	kind: Pod
	metadata: {name: private-reg}
	spec:
	  hostNetwork: true
	  terminationGracePeriodSeconds: 1
	  containers: [{name: private-reg-container, image: "$FOREIGN"}]
YAML
kubectl apply -f pod.yaml
fairlead why pod/private-reg >said && exit 1
grep -q 'neither the pod nor its service account names it' said
kubectl delete pod private-reg --wait

say 'the pod with it runs (S105-S109)'
sed 's/  hostNetwork/  imagePullSecrets: [{name: byhand}]\n&/' pod.yaml | kubectl apply -f -
kubectl wait --for=condition=Ready pod/private-reg --timeout=90s
kubectl get pod private-reg | grep Running

say 'the service account names it for all to come (S110)'
fairlead secret use byhand --serviceaccount default
sed 's/name: private-reg}/name: by-account}/' pod.yaml | kubectl apply -f -
kubectl wait --for=condition=Ready pod/by-account --timeout=90s
