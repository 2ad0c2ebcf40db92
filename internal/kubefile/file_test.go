package kubefile_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/diagnosis"
	"fairlead.dev/fairlead/internal/kubefile"
	"fairlead.dev/fairlead/internal/pullsecret"
)

const document = `{"auths":{"reg.io":{"auth":"dTpw"}}}`

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// manifest is a pull secret whose data are these lines.
func manifest(data ...string) string {
	return "apiVersion: v1\nkind: Secret\nmetadata:\n  name: regcred\n  namespace: shop\ntype: kubernetes.io/dockerconfigjson\n" + strings.Join(data, "\n") + "\n"
}

func good() string { return manifest("data:", "  .dockerconfigjson: "+b64(document)) }

func parse(t *testing.T, name, text string) *kubefile.File {
	t.Helper()
	f, err := kubefile.Parse(name, []byte(text))
	if err != nil {
		t.Fatalf("%v in\n%.300s", err, text)
	}
	return f
}

// TestSecrets: one secret in all the ways in which people write it, with the
// line where it begins.
func TestSecrets(t *testing.T) {
	t.Parallel()
	inJSON := fmt.Sprintf(`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"regcred","namespace":"shop"},"type":"kubernetes.io/dockerconfigjson","data":{".dockerconfigjson":%q}}`, b64(document))
	for name, c := range map[string]struct {
		text string
		line int
	}{
		"YAML":             {good(), 1},
		"stringData":       {manifest("stringData:", "  .dockerconfigjson: '"+document+"'"), 1},
		"stringData block": {manifest("stringData:", "  .dockerconfigjson: |-", "    "+document), 1},
		"data block":       {manifest("data:", "  .dockerconfigjson: |", "    "+b64(document)[:20], "    "+b64(document)[20:]), 1},
		"data quoted":      {manifest("data:", `  ".dockerconfigjson": "`+b64(document)+`"`), 1},
		"second document":  {"# a comment\n---\n---\n" + good() + "---\n# nothing\n", 4},
		"CRLF":             {strings.ReplaceAll(good(), "\n", "\r\n"), 1},
		"byte order mark":  {"\xef\xbb\xbf" + good(), 1},
		"List":             {"apiVersion: v1\nkind: List\nitems:\n- " + strings.ReplaceAll(strings.TrimSpace(good()), "\n", "\n  "), 4},
		"SecretList":       {"apiVersion: v1\nkind: SecretList\nitems:\n- metadata: {name: regcred, namespace: shop}\n  type: kubernetes.io/dockerconfigjson\n  data: {.dockerconfigjson: " + b64(document) + "}\n", 4},
		"JSON":             {inJSON, 1},
		"JSON with tabs":   {"\n\t" + strings.ReplaceAll(inJSON, ",", ",\n\t\t"), 2},
		"JSON in YAML":     {"---\n" + inJSON + "\n", 2},
		"alias":            {"apiVersion: v1\nkind: List\nx: &t kubernetes.io/dockerconfigjson\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata: &m {name: regcred, namespace: shop}\n  type: *t\n  data: &d {.dockerconfigjson: " + b64(document) + "}\n", 5},
		"merge":            {"apiVersion: v1\nkind: Secret\nx: &m {name: other, namespace: shop}\nmetadata:\n  <<: *m\n  name: regcred\ntype: kubernetes.io/dockerconfigjson\ndata: {.dockerconfigjson: " + b64(document) + "}\n", 1},
	} {
		f := parse(t, "x.yaml", c.text)
		if len(f.Secrets) != 1 || len(f.Findings) > 0 {
			t.Errorf("%s: %v %+v", name, f.Secrets, f.Findings)
			continue
		}
		s := f.Secrets[0]
		want := pullsecret.Position{File: "x.yaml", Line: c.line}
		if got := strings.TrimSpace(string(s.Data[pullsecret.KeyConfigJSON])); got != document || s.ID() != "shop/regcred" || s.Type != pullsecret.TypeConfigJSON || s.Position != want {
			t.Errorf("%s: %s of %s at %v: %s", name, s, s.Type, s.Position, got)
		}
	}
}

func TestSecretFields(t *testing.T) {
	t.Parallel()
	f := parse(t, "x.yaml", `
apiVersion: v1
kind: Secret
immutable: true
metadata:
  name: a
  uid: u-1
  resourceVersion: "7"
  labels: {team: a}
  annotations: {note: "b: c"}
data: {empty: , none: null, bin: AAEC}
stringData: {day: 2026-07-01}
`)
	s := f.Secrets[0]
	want := map[string][]byte{"empty": nil, "none": nil, "bin": {0, 1, 2}, "day": []byte("2026-07-01")}
	if d := cmp.Diff(want, s.Data); d != "" || !s.Immutable || s.UID != "u-1" || s.ResourceVersion != "7" || s.Labels["team"] != "a" || s.Annotations["note"] != "b: c" {
		t.Errorf("%s\n%+v %+v", d, s.Labels, s.Annotations)
	}
	many := parse(t, "x.json", `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"}}
{"apiVersion":"v1","kind":"Secret","metadata":{"name":"b"}}`)
	if len(many.Secrets) != 2 || many.Secrets[1].Name != "b" || many.Secrets[1].Position.Line != 2 {
		t.Errorf("a stream of JSON: %v", many.Secrets)
	}
}

// broken are manifests that kubectl or the API server refuses, or misreads.
var broken = map[string]struct {
	text string
	rule pullsecret.Rule
	line int
	says string
}{
	"folded over lines":     {manifest("data:", "  .dockerconfigjson:", "    "+b64(document)[:20], "    "+b64(document)[20:]), pullsecret.DataNotBase64, 9, "broken over several lines"},
	"folded by >":           {manifest("data:", "  .dockerconfigjson: >", "    "+b64(document)[:20], "    "+b64(document)[20:]), pullsecret.DataNotBase64, 8, "broken over several lines"},
	"a space":               {manifest("data:", "  .dockerconfigjson: ey Jh !"), pullsecret.DataNotBase64, 8, "at byte 2: there is a space"},
	"cut off":               {manifest("data:", "  .dockerconfigjson: "+strings.TrimRight(b64(document), "=")[:21]), pullsecret.DataNotBase64, 8, "it was cut off"},
	"padding is missing":    {manifest("data:", "  .dockerconfigjson: "+base64.RawStdEncoding.EncodeToString([]byte(document+" "))), pullsecret.DataNotBase64, 8, "its padding"},
	"the alphabet for URLs": {manifest("data:", "  .dockerconfigjson: fn5-_w=="), pullsecret.DataNotBase64, 8, "alphabet for URLs"},
	"a placeholder":         {manifest("data:", "  .dockerconfigjson: ${CONFIG}"), pullsecret.DataNotBase64, 8, "placeholder"},
	"the document, YAML":    {manifest("data:", "  .dockerconfigjson: 'auths: {}'"), pullsecret.DataNotBase64, 8, "the document itself in YAML"},
	"plain text":            {manifest("data:", "  .dockerconfigjson: user:password"), pullsecret.DataNotBase64, 8, "there is a colon"},
	"another character":     {manifest("data:", "  .dockerconfigjson: abc*"), pullsecret.DataNotBase64, 8, "none of base64"},
	"the document, text":    {manifest("data:", "  .dockerconfigjson: '"+document+"'"), pullsecret.DataPlain, 8, "is JSON"},
	"the document, mapping": {manifest("data:", "  .dockerconfigjson: "+document), pullsecret.DataPlain, 8, "is a mapping"},
	"true":                  {manifest("data:", "  .dockerconfigjson: true"), pullsecret.ManifestType, 8, "true or false"},
	"data is a list":        {manifest("data: [a]"), pullsecret.ManifestType, 7, "data is a list"},
	"a label of true":       {strings.Replace(good(), "  namespace: shop", "  labels: {a: true}", 1), pullsecret.ManifestType, 5, "metadata.labels.a is true or false"},
	"labels are a list":     {strings.Replace(good(), "  namespace: shop", "  labels: [a]", 1), pullsecret.ManifestType, 5, "where a mapping"},
	"a name of digits":      {strings.Replace(good(), "regcred", "123", 1), pullsecret.ManifestType, 4, "metadata.name is a number"},
	"stringData of numbers": {manifest("stringData: {a: 1}"), pullsecret.ManifestType, 7, "a number"},
	"twice":                 {strings.Replace(good(), "type:", "kind: Secret\ntype:", 1), pullsecret.ManifestTwice, 6, `"kind" stands twice: here and in line 2`},
	"a data key twice":      {manifest("data:", "  .dockerconfigjson: e30=", "  .dockerconfigjson: "+b64(document)), pullsecret.ManifestTwice, 9, "line 8"},
	"data and stringData":   {manifest("data:", "  .dockerconfigjson: e30=", "stringData:", "  .dockerconfigjson: '"+document+"'"), pullsecret.DataHidden, 8, "under data and under stringData"},
	"only comments":         {"# nothing\n---\n", pullsecret.NoObjects, 1, "no object"},
	"an empty JSON":         {"[]", "", 1, "a list where an object"},
	"an empty file":         {" \n\t\n", pullsecret.NoObjects, 0, "empty"},
	"a list of nothing":     {"apiVersion: v1\nkind: List\nitems: []\n", pullsecret.NoObjects, 1, "no object"},
	"a tab":                 {"apiVersion: v1\nkind: Secret\nmetadata:\n\tname: a\n", "", 4, ":4:1: the line is indented by a tab"},
	"a tab after spaces":    {"apiVersion: v1\nkind: Secret\nmetadata:\n  name: a\n  \tnamespace: b\n", "", 5, ":5:3: the line is indented by a tab"},
	"not YAML":              {"a: b: c\n", "", 1, "not YAML"},
	"half of JSON":          {`{"apiVersion":"v1",`, "", 1, "not YAML"},
	"unknown anchor":        {"a: *x\n", "", 0, "not YAML"},
	"text":                  {"hello\n", "", 1, "text where an object"},
	"no kind":               {"a: b\n", "", 1, "has no kind"},
	"no apiVersion":         {"kind: Secret\n", "", 1, "no apiVersion"},
	"binary":                {"\x7fELF\x00\x01", "", 0, "binary"},
	"Latin-1":               {"kind: \xe4\n", "", 0, "binary"},
	"UTF-16":                {"\xff\xfea\x00", "", 0, "UTF-16"},
	"too large":             {strings.Repeat("#", kubefile.MaxBytes+1), "", 0, "16 MiB"},
	"an alias bomb":         {bomb(), "", 0, "aliases"},
}

// bomb is small and unfolds into 10^9 objects.
func bomb() string {
	var b strings.Builder
	b.WriteString("apiVersion: v1\nkind: List\n")
	item := "{apiVersion: v1, kind: ConfigMap}"
	for level := range 9 {
		fmt.Fprintf(&b, "a%d: &a%d {apiVersion: v1, kind: List, items: [%s]}\n", level, level, strings.Join([]string{item, item, item, item, item, item, item, item, item, item}, ", "))
		item = fmt.Sprintf("*a%d", level)
	}
	b.WriteString("items: [" + item + "]\n")
	return b.String()
}

// TestBroken: each is told in plain words with its line, and shows nothing of
// what is in the file.
func TestBroken(t *testing.T) {
	t.Parallel()
	found := map[pullsecret.Rule]bool{}
	for name, c := range broken {
		f, err := kubefile.Parse("x.yaml", []byte(c.text))
		var bad *kubefile.Error
		findings := f.Findings
		if errors.As(err, &bad) {
			findings = append(findings, bad.Finding())
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v", name, err)
			}
			if c.rule == "" {
				c.rule = pullsecret.NotReadable
			}
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		ok := false
		for _, x := range findings {
			found[x.Rule] = true
			ok = ok || x.Rule == c.rule && (x.Line == c.line || c.rule == pullsecret.NotReadable && c.line == 0) && (bad != nil || strings.Contains(x.Message, c.says)) && x.File == "x.yaml"
			if !strings.HasSuffix(x.Message, ".") || x.Effect == "" || x.Fix == "" {
				t.Errorf("%s: %+v", name, x)
			}
		}
		if !ok {
			t.Errorf("%s: %+v, %v", name, findings, err)
		}
		if broken := f.Err() != nil || err != nil; broken != (c.rule != pullsecret.ManifestTwice && c.rule != pullsecret.DataHidden) {
			t.Errorf("%s: as an error: %v", name, f.Err())
		}
	}
	for _, d := range pullsecret.Rules() {
		if d.InFile && !found[d.Rule] {
			t.Errorf("%s: no example", d.Rule)
		}
	}
	if f := parse(t, "x.yaml", good()); len(f.Findings) > 0 || f.Err() != nil {
		t.Errorf("the good one: %+v", f.Findings)
	}
}

// TestNothingIsQuoted: an error of the parser may quote a value, and a value
// may be a secret.
func TestNothingIsQuoted(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"a: *hunter2\n", "a: !<hunter2\n", "'hunter2\n", "\"\\hunter2\"\n", "a: b: hunter2\n", "%hunter2\n---\n", "? [hunter2\n", "hunter2: @x\n", "&hunter2\n",
		manifest("data:", "  .dockerconfigjson: hunter2-hunter2:hunter2"), manifest("data:", "  .dockerconfigjson: {hunter2: hunter2}"), manifest("stringData: {a: [hunter2]}"),
	} {
		f, err := kubefile.Parse("x.yaml", []byte(text))
		if all := fmt.Sprintf("%v %+v %v", err, f.Findings, f.Err()); strings.Contains(all, "hunter2") {
			t.Errorf("%q: %s", text, all)
		}
	}
}

// TestEarlierDocuments: what stood before the error is read.
func TestEarlierDocuments(t *testing.T) {
	t.Parallel()
	f, err := kubefile.Parse("x.yaml", []byte(good()+"---\na: b\nc: d: e\n"))
	if err == nil || len(f.Secrets) != 1 {
		t.Errorf("%v, %v", f.Secrets, err)
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, kind string }{
		{"config.json", document, pullsecret.TypeConfigJSON},
		{"/home/a/.docker/config.json", "{broken", pullsecret.TypeConfigJSON},
		{`C:\Users\a\.docker\config.json`, "{}", pullsecret.TypeConfigJSON},
		{"auth.json", document, pullsecret.TypeConfigJSON},
		{"-", document, pullsecret.TypeConfigJSON},
		{"x.json", `{"credsStore":"pass"}`, pullsecret.TypeConfigJSON},
		{".dockercfg", `{"reg.io":{"auth":"dTpw"}}`, pullsecret.TypeLegacy},
		{"x.json", `{"reg.io":{"username":"u"}}`, pullsecret.TypeLegacy},
		{"config.json", `{"reg.io":{"auth":"dTpw"}}`, pullsecret.TypeLegacy},
	} {
		f := parse(t, c.name, c.text)
		if !f.Credentials || len(f.Secrets) != 1 || f.Secrets[0].Type != c.kind || f.Secrets[0].Name != c.name {
			t.Errorf("%s %s: %+v %v", c.name, c.text, f.Secrets, f.Credentials)
			continue
		}
		for _, v := range f.Secrets[0].Data {
			if string(v) != c.text {
				t.Errorf("%s: %s", c.name, v)
			}
		}
	}
	if f := parse(t, "config.json", `{"apiVersion":"v1","kind":"ConfigMap"}`); f.Credentials || len(f.Others) != 1 {
		t.Errorf("a manifest of this name: %+v", f)
	}
}

func TestWorkloads(t *testing.T) {
	t.Parallel()
	const spec = `{imagePullSecrets: [{name: a}, {name: b}, {}], serviceAccountName: robot, nodeSelector: {kubernetes.io/arch: arm64}, volumes: [{name: v, image: {reference: "reg.io/data:1"}}, {name: w, emptyDir: {}}], initContainers: [{name: i, image: reg.io/init}], containers: [{name: c, image: "reg.io/app:1", imagePullPolicy: Never}, {name: d, image: "reg.io/app@sha256:0123456789012345678901234567890123456789012345678901234567890123"}]}`
	pod := diagnosis.Pod{
		Namespace: "shop", Name: "web", AccountName: "robot", PullSecrets: []string{"a", "b"}, Template: true,
		NodeSelector: map[string]string{"kubernetes.io/arch": "arm64"}, Position: pullsecret.Position{File: "x.yaml", Line: 1},
		Containers: []diagnosis.Container{
			{Kind: diagnosis.ImageVolume, Name: "v", Image: "reg.io/data:1", PullPolicy: "IfNotPresent"},
			{Kind: diagnosis.Init, Name: "i", Image: "reg.io/init", PullPolicy: "Always"},
			{Kind: diagnosis.Normal, Name: "c", Image: "reg.io/app:1", PullPolicy: "Never"},
			{Kind: diagnosis.Normal, Name: "d", Image: "reg.io/app@sha256:0123456789012345678901234567890123456789012345678901234567890123", PullPolicy: "IfNotPresent"},
		},
	}
	for _, c := range []struct{ version, kind, spec, owner string }{
		{"v1", "Pod", spec, ""},
		{"apps/v1", "Deployment", "{template: {spec: " + spec + "}}", "deployment/web"},
		{"extensions/v1beta1", "Deployment", "{template: {spec: " + spec + "}}", "deployment/web"},
		{"apps/v1", "ReplicaSet", "{template: {spec: " + spec + "}}", "replicaset/web"},
		{"apps/v1", "StatefulSet", "{template: {spec: " + spec + "}}", "statefulset/web"},
		{"apps/v1", "DaemonSet", "{template: {spec: " + spec + "}}", "daemonset/web"},
		{"batch/v1", "Job", "{template: {spec: " + spec + "}}", "job/web"},
		{"batch/v1", "CronJob", "{jobTemplate: {spec: {template: {spec: " + spec + "}}}}", "cronjob/web"},
		{"v1", "ReplicationController", "{template: {spec: " + spec + "}}", "replicationcontroller/web"},
		{"argoproj.io/v1alpha1", "Rollout", "{template: {spec: " + spec + "}}", "rollout/web"},
	} {
		text := fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata: {name: web, namespace: shop}\nspec: %s\n", c.version, c.kind, c.spec)
		f := parse(t, "x.yaml", text)
		if len(f.Workloads) != 1 || f.Workloads[0].APIVersion != c.version || f.Workloads[0].Kind != c.kind {
			t.Errorf("%s: %+v", c.kind, f)
			continue
		}
		want := pod
		want.Owner = c.owner
		if d := cmp.Diff(want, f.Workloads[0].Pod); d != "" {
			t.Errorf("%s: %s", c.kind, d)
		}
	}
	f := parse(t, "x.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: s}\n---\napiVersion: v1\nkind: Pod\nmetadata: {generateName: p-}\nspec: {serviceAccount: old, containers: [{name: c, image: nginx}]}\n")
	if len(f.Others) != 1 || f.Others[0].Kind != "Service" || len(f.Workloads) != 1 || f.Workloads[0].Pod.AccountName != "old" || f.Workloads[0].Name != "p-xxxxx" {
		t.Errorf("%+v", f)
	}
}

// TestRunningPod: a pod that was read from a cluster keeps what it said.
func TestRunningPod(t *testing.T) {
	t.Parallel()
	f := parse(t, "x.yaml", `
apiVersion: v1
kind: Pod
metadata: {name: p, creationTimestamp: "2026-07-01T12:00:00Z", uid: u}
spec: {nodeName: n1, containers: [{name: a, image: reg.io/a}, {name: b, image: reg.io/b}]}
status:
  phase: Pending
  containerStatuses:
  - {name: a, imageID: "", state: {waiting: {reason: ImagePullBackOff, message: Back-off}}}
  - {name: b, imageID: "reg.io/b@sha256:01", state: {running: {}}}
`)
	p := f.Workloads[0].Pod
	if p.Template || p.NodeName != "n1" || p.Created.Year() != 2026 || p.Containers[0].Reason != "ImagePullBackOff" || p.Containers[0].Running || !p.Containers[1].Running {
		t.Errorf("%+v", p)
	}
}

// FuzzParse: whatever the file, there is an answer, and every secret and
// finding has a place in it.
func FuzzParse(f *testing.F) {
	for _, c := range broken {
		if len(c.text) < 10_000 {
			f.Add("x.yaml", []byte(c.text))
		}
	}
	f.Add("x.yaml", []byte(good()))
	f.Add("config.json", []byte(document))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		file, err := kubefile.Parse(name, data)
		if err != nil {
			var bad *kubefile.Error
			if !errors.As(err, &bad) {
				t.Fatal(err)
			}
			_ = bad.Finding()
		}
		for _, s := range file.Secrets {
			if s.Position.Line < 1 {
				t.Errorf("%s has no line", s)
			}
			pullsecret.Check(s, pullsecret.Options{Bare: file.Credentials})
		}
		for _, x := range file.Findings {
			if x.Line < 1 || x.Message == "" {
				t.Errorf("%+v", x)
			}
		}
	})
}
