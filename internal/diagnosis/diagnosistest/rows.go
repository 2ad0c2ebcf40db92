// Package diagnosistest has a failing pull for every cause of the catalogue,
// as evidence: for tables and golden screens. What a real cluster can be made
// to do is tested there as well.
package diagnosistest

import (
	"encoding/base64"
	"fmt"
	"time"

	"fairlead.dev/fairlead/internal/diagnosis"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/pullsecret"
)

// Now is the time in every row.
var Now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// The image of most rows.
const (
	Host  = "registry.example.com"
	Image = Host + "/shop/web:v1"
)

// Row is one failing pull.
type Row struct {
	Name     string
	Evidence diagnosis.Evidence
	Want     diagnosis.Cause
	// Also is a cause that stands beside it.
	Also diagnosis.Cause
}

// Auth is base64 of user:password.
func Auth(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

// Config is a config.json with one entry.
func Config(key, user, password string) string {
	return fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, key, Auth(user, password))
}

// Secret of the namespace shop.
func Secret(name, config string) pullsecret.Secret {
	return pullsecret.Secret{Namespace: "shop", Name: name, Type: pullsecret.TypeConfigJSON, Data: map[string][]byte{pullsecret.KeyConfigJSON: []byte(config)}}
}

func there(s pullsecret.Secret) diagnosis.NamedSecret {
	return diagnosis.NamedSecret{Name: s.Name, Found: true, Secret: s}
}

func exchange(method, path string, status int, code, message string) diagnosis.Exchange {
	return diagnosis.Exchange{Method: method, URL: "https://" + Host + path, Status: status, Code: code, Message: message, Took: 3 * time.Millisecond}
}

// attempt ends as o does.
func attempt(i int, o diagnosis.Outcome) diagnosis.Attempt {
	a := diagnosis.Attempt{Index: i, Outcome: o}
	head := "/v2/shop/web/manifests/v1"
	switch o {
	case diagnosis.Pulls, diagnosis.NoPlatform:
		a.Exchanges = []diagnosis.Exchange{exchange("HEAD", head, 200, "", "")}
	case diagnosis.Unauthorized:
		a.Exchanges = []diagnosis.Exchange{exchange("GET", "/token?scope=repository%3Ashop%2Fweb%3Apull", 401, "UNAUTHORIZED", "authentication required")}
	case diagnosis.Forbidden:
		a.Exchanges = []diagnosis.Exchange{exchange("HEAD", head, 403, "DENIED", "requested access to the resource is denied")}
	case diagnosis.NotFound:
		a.Exchanges = []diagnosis.Exchange{exchange("HEAD", head, 404, "MANIFEST_UNKNOWN", "manifest unknown")}
	case diagnosis.RateLimited:
		a.Exchanges = []diagnosis.Exchange{exchange("HEAD", head, 429, "TOOMANYREQUESTS", "you have reached your pull rate limit")}
	case diagnosis.ServerError:
		a.Exchanges = []diagnosis.Exchange{exchange("HEAD", head, 503, "", "")}
	default:
		a.Exchanges = []diagnosis.Exchange{{Method: "GET", URL: "https://" + Host + "/v2/", Error: string(o)}}
	}
	return a
}

// answers says how the attempts end, and the one without a credential.
func answers(anonymous diagnosis.Outcome, with ...diagnosis.Outcome) diagnosis.Answer {
	a := diagnosis.Answer{Scheme: "https", Ping: exchange("GET", "/v2/", 401, "UNAUTHORIZED", "authentication required"), Anonymous: attempt(-1, anonymous)}
	switch anonymous {
	case diagnosis.UnknownCA, diagnosis.BadTLS, diagnosis.PlainHTTP, diagnosis.NoHost, diagnosis.Refused, diagnosis.Timeout, diagnosis.Unreachable:
		a.Ping = a.Anonymous.Exchanges[0]
	}
	for i, o := range with {
		a.Attempts = append(a.Attempts, attempt(i, o))
	}
	return a
}

// told changes the evidence of the plain pod: the image of a private
// repository, no secret at all.
type told func(*diagnosis.Evidence)

func row(name string, want diagnosis.Cause, changes ...told) Row {
	e := diagnosis.Evidence{
		Now: Now, Workload: "pod/web",
		Pod: &diagnosis.Pod{
			Namespace: "shop", Name: "web", AccountName: "default", Created: Now.Add(-time.Hour), NodeName: "n1", Owner: "deployment/web",
			Containers: []diagnosis.Container{{
				Kind: diagnosis.Normal, Name: "app", Image: Image, PullPolicy: "IfNotPresent",
				Reason: "ImagePullBackOff", Message: `Back-off pulling image "` + Image + `": ErrImagePull: failed to pull and unpack image "` + Image + `": failed to resolve image: unexpected status from HEAD request to https://` + Host + `/v2/shop/web/manifests/v1: 401 Unauthorized`,
			}},
		},
		Account: &diagnosis.Account{Namespace: "shop", Name: "default", Exists: true},
		Node:    &diagnosis.Node{Name: "n1", OS: "linux", Architecture: "amd64", KubeletVersion: "v1.36.3", Runtime: "containerd://2.1.0"},
		Answers: map[string]diagnosis.Answer{Image: answers(diagnosis.Unauthorized)},
		Blind:   []string{"the node's own DNS"},
	}
	for _, c := range changes {
		c(&e)
	}
	return Row{Name: name, Evidence: e, Want: want}
}

func (r Row) also(c diagnosis.Cause) Row {
	r.Also = c
	return r
}

// secrets are the pod's list, and what is there of it.
func secrets(list ...diagnosis.NamedSecret) told {
	return func(e *diagnosis.Evidence) {
		e.Secrets = list
		for _, n := range list {
			e.Pod.PullSecrets = append(e.Pod.PullSecrets, n.Name)
		}
	}
}

func answered(a diagnosis.Answer) told {
	return func(e *diagnosis.Evidence) { e.Answers = map[string]diagnosis.Answer{e.Pod.Containers[0].Image: a} }
}

func image(ref string) told {
	return func(e *diagnosis.Evidence) {
		a := e.Answers[e.Pod.Containers[0].Image]
		e.Pod.Containers[0].Image = ref
		e.Answers = map[string]diagnosis.Answer{ref: a}
	}
}

func waits(reason, message string) told {
	return func(e *diagnosis.Evidence) {
		e.Pod.Containers[0].Reason, e.Pod.Containers[0].Message = reason, message
	}
}

func record(r diagnosis.Record) told {
	return func(e *diagnosis.Evidence) {
		r.Server, r.Known = "https://"+Host, true
		e.Records = map[diagnosis.RecordKey]diagnosis.Record{{Image: e.Pod.Containers[0].Image, Index: 0}: r}
	}
}

func ours(e *diagnosis.Evidence) {
	for k, a := range e.Answers {
		a.Fairlead = true
		e.Answers[k] = a
	}
}

// good is a secret that fits, with a credential that the registry may refuse.
func good() pullsecret.Secret { return Secret("regcred", Config(Host, "ann", "s3cret")) }

func with(s pullsecret.Secret, change func(*pullsecret.Secret)) pullsecret.Secret {
	change(&s)
	return s
}

// Tags are near to v1.
var Tags = []string{"v1.0", "v2"}

// Digest of an image that is there.
const Digest = oci.Digest("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
