package pullsecret_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/pullsecret"
)

var now = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// of is a secret of the right type with this document.
func of(document string) pullsecret.Secret {
	return pullsecret.Secret{
		Namespace: "shop", Name: "regcred", Type: pullsecret.TypeConfigJSON,
		Data: map[string][]byte{pullsecret.KeyConfigJSON: []byte(document)},
	}
}

// legacy is one of the older type.
func legacy(document string) pullsecret.Secret {
	return pullsecret.Secret{Name: "old", Type: pullsecret.TypeLegacy, Data: map[string][]byte{pullsecret.KeyLegacy: []byte(document)}}
}

// key is a secret with one good entry under this key.
func key(k string) pullsecret.Secret {
	return of(fmt.Sprintf(`{"auths":{%q:{"auth":"dTpw"}}}`, k))
}

// entry is a secret whose only entry is this.
func entry(fields string) pullsecret.Secret { return of(`{"auths":{"reg.io":` + fields + `}}`) }

// login is a secret with this user and password, as kubectl writes it.
func login(user, password string) pullsecret.Secret {
	return entry(fmt.Sprintf(`{"auth":%q}`, b64(user+":"+password)))
}

// with changes a secret.
func with(s pullsecret.Secret, change func(*pullsecret.Secret)) pullsecret.Secret {
	change(&s)
	return s
}

func renamed(name string) pullsecret.Secret {
	return with(key("reg.io"), func(s *pullsecret.Secret) { s.Name = name })
}

// data is a secret of this type with one good document under this key.
func data(kind, dataKey string) pullsecret.Secret {
	return with(key("reg.io"), func(s *pullsecret.Secret) {
		s.Type = kind
		s.Data = map[string][]byte{dataKey: s.Data[pullsecret.KeyConfigJSON]}
	})
}

func labelled(name, value string) pullsecret.Secret {
	return with(key("reg.io"), func(s *pullsecret.Secret) { s.Labels = map[string]string{name: value} })
}

func annotated(name, value string) pullsecret.Secret {
	return with(key("reg.io"), func(s *pullsecret.Secret) { s.Annotations = map[string]string{name: value} })
}

// jwt is an unsigned token that ends at t.
func jwt(t time.Time) string {
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"none"}`)) + "." + enc(fmt.Appendf(nil, `{"iss":"ci","sub":"robot","exp":%d}`, t.Unix())) + ".c2ln"
}

func ecr(t time.Time) string {
	return b64(fmt.Sprintf(`{"payload":"p","datakey":"k","version":"2","type":"DATA_KEY","expiration":%d}`, t.Unix()))
}

type secrets = []pullsecret.Secret

// examples has for every rule what it finds, and what looks near and is
// right.
var examples = map[pullsecret.Rule]struct{ bad, good secrets }{
	pullsecret.NameInvalid: {
		secrets{renamed(""), renamed("Regcred"), renamed("a_b"), renamed("-a"), renamed("a..b"), renamed(strings.Repeat("a", 254)), with(key("reg.io"), func(s *pullsecret.Secret) { s.Namespace = "a.b" })},
		secrets{renamed("a"), renamed("a.b-c.1"), renamed(strings.Repeat("a", 253)), {Name: "NOT_FOR_PULLING", Type: "Opaque", Data: map[string][]byte{"x": nil}}},
	},
	pullsecret.LabelInvalid: {
		secrets{labelled("a b", ""), labelled("a", "b c"), labelled("/a", ""), labelled("A.io/a", ""), labelled("a", strings.Repeat("a", 64)), labelled("", "")},
		secrets{labelled("a", ""), labelled("example.com/Team_1", "x.y")},
	},
	pullsecret.AnnotationInvalid: {
		secrets{annotated("a b", ""), annotated("a", strings.Repeat("a", 256<<10)), annotated("a/b/c", "")},
		secrets{annotated("Example.com/a", "any text\n"), annotated("a", strings.Repeat("a", 256<<10-1))},
	},
	pullsecret.DataKeyInvalid: {
		secrets{data(pullsecret.TypeConfigJSON, "a/b"), data(pullsecret.TypeConfigJSON, "..a")},
		secrets{key("reg.io"), data(pullsecret.TypeConfigJSON, "config.json")},
	},
	pullsecret.TooLarge: {
		secrets{with(key("reg.io"), func(s *pullsecret.Secret) { s.Data["big"] = make([]byte, 1<<20) })},
		secrets{of(`{"auths":{"reg.io":{"auth":"dTpw"}},"pad":"` + strings.Repeat("a", 1<<20-52) + `"}`)},
	},
	pullsecret.TypeWrong: {
		secrets{data("Opaque", ".dockerconfigjson"), data("", "config.json"), data("kubernetes.io/tls", ".dockerconfigjson"), data("Opaque", "docker.json"), data("Opaque", ".dockercfg")},
		secrets{
			key("reg.io"),
			{Name: "a", Type: "Opaque", Data: map[string][]byte{"password": []byte("x"), "settings.json": []byte(`{"db":{"username":"u","password":"p"}}`)}},
			{Name: "a", Type: "kubernetes.io/basic-auth", Data: map[string][]byte{"username": []byte("x")}},
		},
	},
	pullsecret.TypeMisspelt: {
		secrets{
			data("kubernetes.io/dockerconfig", ".dockerconfigjson"), data("kubernetes.io/dockerconfigJson", ".dockerconfigjson"), data("dockerconfigjson", ".dockerconfigjson"),
			data("kubernetes.io/.dockerconfigjson", "x"), data("docker-registry", "x"), data("kubernetes.io/docker-cfg", "x"), data("kubernetes.io/dockerconfigjson ", "x"),
		},
		secrets{key("reg.io"), legacy(`{"reg.io":{"auth":"dTpw"}}`), data("example.com/own", "x")},
	},
	pullsecret.DataKeyMissing: {
		secrets{
			data(pullsecret.TypeConfigJSON, "config.json"), data(pullsecret.TypeConfigJSON, ".dockercfg"), data(pullsecret.TypeLegacy, ".dockerconfigjson"),
			data(pullsecret.TypeConfigJSON, "x"), with(key("reg.io"), func(s *pullsecret.Secret) { s.Data = nil }),
		},
		secrets{key("reg.io"), of("")},
	},
	pullsecret.DataKeyExtra: {
		secrets{with(key("reg.io"), func(s *pullsecret.Secret) { s.Data["config.json"] = []byte("x") })},
		secrets{key("reg.io"), data(pullsecret.TypeConfigJSON, "config.json")},
	},
	pullsecret.ValueEmpty: {secrets{of(""), legacy("")}, secrets{of("{}")}},
	pullsecret.Immutable: {
		secrets{with(key("reg.io"), func(s *pullsecret.Secret) { s.Immutable = true })},
		secrets{key("reg.io"), {Name: "a", Type: "Opaque", Immutable: true}},
	},

	pullsecret.NotJSON: {
		secrets{of("reg.io"), of("auths: {}"), of(`{'auths':{}}`), of("${CONFIG}"), of(`{"auths":{"a":{"auth":"dTpw"}`), of("\x00\x01\x02\xff"), of(`{"auths":{},}`), of(" "), legacy("x")},
		secrets{of("{}"), of("[]"), of(" {\n}\n")},
	},
	pullsecret.DoubleBase64: {
		secrets{of(b64(`{"auths":{"reg.io":{"auth":"dTpw"}}}`)), of(b64(`{"auths":{}}`) + "\n"), of("eyJh\nIjoxfQ")},
		secrets{of("eyJh"), of(`"eyJhIjoxfQ=="`)},
	},
	pullsecret.ByteOrderMark: {secrets{of("\xef\xbb\xbf{}")}, secrets{of("{}")}},
	pullsecret.UTF16:         {secrets{of("\xff\xfe{\x00}\x00"), of("\xfe\xff\x00{\x00}"), of("{\x00}\x00")}, secrets{of("{}"), of("\x00\x00\x00\x00")}},
	pullsecret.NotUTF8:       {secrets{entry("{\"username\":\"u\",\"password\":\"p\xe4ss\"}")}, secrets{entry(`{"username":"u","password":"päss"}`)}},
	pullsecret.TrailingData:  {secrets{of(`{"auths":{}} x`), of(`{"auths":{}}{"auths":{}}`), of("{}\x00")}, secrets{of("{}\n\n"), of("1 2")}},
	pullsecret.NotObject:     {secrets{of("[]"), of(`"x"`), of("1"), of("true"), legacy("[]")}, secrets{of("null"), of("{}")}},
	pullsecret.NumberRange:   {secrets{of(`{"auths":{},"a":1e999}`)}, secrets{of(`{"auths":{},"a":1e99}`)}},
	pullsecret.AuthsWrongType: {
		secrets{of(`{"auths":"x"}`), of(`{"auths":[]}`), of(`{"Auths":1}`), of(`{"auths":{},"auths":true}`)},
		secrets{of(`{"auths":null}`), of(`{"auths":{}}`), legacy(`{"auths":"x"}`)},
	},
	pullsecret.EntryWrongType: {secrets{entry(`"dTpw"`), entry("[]"), entry("1"), legacy(`{"reg.io":"x"}`)}, secrets{entry("null"), entry("{}")}},
	pullsecret.FieldWrongType: {
		secrets{entry(`{"username":5}`), entry(`{"auth":["x"]}`), entry(`{"email":{}}`), of(`{"auths":{},"HttpHeaders":{"a":1}}`), of(`{"HttpHeaders":"x"}`)},
		secrets{entry(`{"username":null}`), entry(`{"identitytoken":5}`), of(`{"auths":{},"HttpHeaders":{"a":"b"}}`), of(`{"psFormat":1,"auths":{}}`)},
	},
	pullsecret.NoEntries: {
		secrets{of("null"), of("{}"), of(`{"auths":{}}`), of(`{"auths":null}`), legacy("{}"), of(`{"HttpHeaders":{"a":"b"}}`)},
		secrets{key("reg.io"), of(`{"credsStore":"pass"}`), of(`{"reg.io":{"auth":"dTpw"}}`)},
	},
	pullsecret.BodyUnwrapped: {
		secrets{of(`{"reg.io":{"auth":"dTpw"}}`), of(`{"https://index.docker.io/v1/":{"username":"u","password":"p"}}`)},
		secrets{of("{}"), of(`{"auths":{},"reg.io":{"auth":"dTpw"}}`), legacy(`{"reg.io":{"auth":"dTpw"}}`)},
	},
	pullsecret.BodyWrapped: {
		secrets{legacy(`{"auths":{"reg.io":{"auth":"dTpw"}}}`), legacy(`{"auths":{}}`)},
		secrets{key("reg.io"), legacy(`{"reg.io":{"auth":"dTpw"}}`), legacy(`{"auths":{"auth":"dTpw"}}`)},
	},
	pullsecret.DuplicateName: {
		secrets{of(`{"auths":{"a.io":{"auth":"dTpw"}},"auths":{"b.io":{"auth":"dTpw"}}}`), of(`{"auths":{"a.io":{"auth":"dTpw"},"a.io":{"auth":"dTpx"}}}`), entry(`{"auth":"dTpw","auth":"dTpw"}`), legacy(`{"a.io":{},"a.io":{}}`)},
		secrets{of(`{"auths":{"a.io":{"auth":"dTpw"},"b.io":{"auth":"dTpw"}}}`)},
	},
	pullsecret.CredentialsElsewhere: {
		secrets{of(`{"credsStore":"desktop"}`), of(`{"auths":{"reg.io":{}},"credsStore":"pass"}`), of(`{"auths":{"reg.io":{"auth":"dTpw"}},"credHelpers":{"b.io":"ecr-login"}}`), of(`{"auths":{},"credHelpers":{"b.io":"gcloud"}}`)},
		secrets{of(`{"auths":{"reg.io":{"auth":"dTpw"}},"credsStore":"pass"}`), of(`{"auths":{"b.io":{"auth":"dTpw"}},"credHelpers":{"b.io":"gcloud"}}`), of(`{"auths":{"b.io":{"auth":"dTpw"}},"credsStore":""}`)},
	},

	pullsecret.AuthNotBase64: {
		secrets{entry(`{"auth":"dTpw="}`), entry(`{"auth":"dTp-"}`), entry(`{"auth":"dT pw"}`), entry(`{"auth":"u:p"}`), entry(`{"auth":"dTpwd"}`), entry(`{"auth":"d===="}`), entry(`{"auth":"\"dTpw\""}`), entry(`{"auth":" "}`), entry(`{"auth":"é"}`), legacy(`{"a.io":{"auth":"*"}}`)},
		secrets{entry(`{"auth":"dTpw\n"}`), entry(`{"auth":"dTp\r\nw"}`), entry(`{"auth":"dTpwdw"}`), entry(`{"auth":"dTpwdw=="}`)},
	},
	pullsecret.AuthNoColon:   {secrets{entry(`{"auth":"dXNlcg=="}`), entry(fmt.Sprintf(`{"auth":%q}`, b64(b64("u:p")))), entry(`{"auth":"\n"}`)}, secrets{login("u", "p"), entry(`{"auth":""}`)}},
	pullsecret.AuthDisagrees: {secrets{entry(`{"auth":"dTpw","username":"v"}`), entry(`{"auth":"dTpw","password":"q"}`)}, secrets{entry(`{"auth":"dTpw","username":"u","password":"p"}`), entry(`{"username":"u","password":"p"}`)}},
	pullsecret.PasswordLineBreak: {
		secrets{login("u", "p\n"), login("u", "p\r\n"), login("u", "p\r"), login("u", "p\nq"), entry(`{"username":"u","password":"p\n"}`)},
		secrets{login("u", "p"), login("_json_key", "{\n}\n")},
	},
	pullsecret.PasswordSpaces:  {secrets{login("u", " p"), login("u", "p\t")}, secrets{login("u", "p q"), login("u", "p\n")}},
	pullsecret.PasswordEmpty:   {secrets{login("u", ""), entry(`{"username":"u"}`)}, secrets{login("u", "p"), entry(`{"auth":"dTo=","identitytoken":"x"}`), entry("{}")}},
	pullsecret.UsernameControl: {secrets{login("u\n", "p"), login("\x1b[2J", "p")}, secrets{login("u", "p\n")}},
	pullsecret.UsernameSpaces:  {secrets{login(" u", "p"), login("u ", "p")}, secrets{login("u v", "p")}},
	pullsecret.UsernameEmpty:   {secrets{login("", "p"), entry(`{"password":"p"}`)}, secrets{login("u", "p"), entry("{}")}},
	pullsecret.EntryEmpty:      {secrets{entry("{}"), entry("null"), entry(`{"auth":"Og=="}`), entry(`{"email":"a@b.c"}`)}, secrets{login("u", ""), of(`{"auths":{"reg.io":{}},"credsStore":"pass"}`), entry(`{"registrytoken":"x"}`)}},
	pullsecret.IdentityToken:   {secrets{entry(`{"auth":"dTo=","identitytoken":"x"}`), entry(`{"IdentityToken":"x"}`)}, secrets{entry(`{"auth":"dTpw","identitytoken":"x"}`), entry(`{"identitytoken":""}`)}},
	pullsecret.RegistryToken:   {secrets{entry(`{"registrytoken":"x"}`)}, secrets{entry(`{"auth":"dTpw","registrytoken":"x"}`)}},
	pullsecret.FieldUnknown:    {secrets{entry(`{"user":"u","pass":"p"}`), entry(`{"auth":"dTpw","token":"x"}`)}, secrets{entry(`{"auth":"dTpw","serveraddress":"reg.io","comment":""}`)}},
	pullsecret.RobotDollar:     {secrets{login("robot", "p"), login("robot", ""), login("robot-", "")}, secrets{login("robot$ci", "p"), login("robots", "p")}},
	pullsecret.VariableLiteral: {secrets{login("$USER", "p"), login("u", "${TOKEN}"), login("u", "{{ .Values.token }}"), login("u", "<password>"), login("u", "%TOKEN%"), login("u", "$(cat f)")}, secrets{login("u", "pa$$word"), login("$oauthtoken", "p$x"), login("u", "a<b>c")}},
	pullsecret.TokenExpired:    {secrets{login("u", jwt(now)), login("u", jwt(now.Add(-time.Hour))), login("AWS", ecr(now.Add(-time.Minute)))}, secrets{login("u", jwt(now.Add(time.Hour))), login("u", "a.b.c"), login("u", jwt(time.Unix(0, 0)))}},
	pullsecret.TokenShortLived: {secrets{login("u", jwt(now.Add(time.Hour))), login("AWS", ecr(now.Add(12*time.Hour))), login("oauth2accesstoken", "ya29.x"), login("00000000-0000-0000-0000-000000000000", "x"), login("AWS", "x")}, secrets{login("u", jwt(now.Add(25*time.Hour))), login("aws", "x")}},
	pullsecret.TokenDamaged:    {secrets{login("token", "flt_short")}, secrets{login("token", "flt_good"), login("token", "x")}},

	pullsecret.KeyUnparsable:   {secrets{key("reg.io:port"), key(" reg.io"), key("reg io"), key("reg.io/%zz"), key("https://reg.io\n")}, secrets{key("reg.io:5000"), key("reg[1].io")}},
	pullsecret.KeySchemeCase:   {secrets{key("HTTPS://reg.io"), key("Http://reg.io")}, secrets{key("https://reg.io"), key("http://reg.io")}},
	pullsecret.KeyUpperCase:    {secrets{key("Reg.io"), key("REG.IO:5000/a/")}, secrets{key("reg.io")}},
	pullsecret.KeyAPIPath:      {secrets{key("reg.io/v2"), key("https://reg.io/v1")}, secrets{key("reg.io/v2/"), key("reg.io/v3/")}},
	pullsecret.KeyHub:          {secrets{key("https://index.docker.io/v1"), key("registry-1.docker.io"), key("hub.docker.com"), key("*.docker.io"), key("index.docker.io/org"), key("docker.com"), key("https://registry.hub.docker.com/v1/"), key("index.docker.io/org/"), key("auth.docker.io")}, secrets{key("https://index.docker.io/v1/"), key("index.docker.io"), key("docker.io"), key("docker.io/org/"), key("https://index.docker.io"), key("https://docker.io/v1/"), key("mydocker.io")}},
	pullsecret.KeyHubHidden:    {secrets{of(`{"auths":{"docker.io":{"auth":"dTpw"},"https://index.docker.io/v1/":{"auth":"dTpx"}}}`), of(`{"auths":{"docker.io/org/":{"auth":"dTpw"},"index.docker.io":{"auth":"dTpx"}}}`)}, secrets{of(`{"auths":{"docker.io":{"auth":"dTpw"},"https://index.docker.io/v1/":{"auth":"dTpw"}}}`), key("docker.io")}},
	pullsecret.KeyGlob:         {secrets{key("reg?.io"), key("reg[12].io"), key("reg.io:*"), key("reg.io/a*"), key("reg.io/*/app"), key("*"), key("reg.io:50?0")}, secrets{key("*.reg.io"), key("**.reg.io"), key("reg-*.io/team/"), key("*:5000")}},
	pullsecret.KeyTag:          {secrets{key("reg.io/app:1.0"), key("reg.io/app@sha256:0123"), key("reg.io/team/app:latest")}, secrets{key("reg.io:5000/app")}},
	pullsecret.KeyTrailingPath: {secrets{key("reg.io/team/app/")}, secrets{key("reg.io/team/"), key("reg.io/team/app"), key("reg.io/v2/")}},
	pullsecret.KeyPathPrefix:   {secrets{key("reg.io/te"), key("reg.io/team/app"), key("docker.io/org")}, secrets{key("reg.io/te/"), key("reg.io")}},
	pullsecret.KeyIgnoredParts: {secrets{key("reg.io/a/?x=1"), key("reg.io#x"), key("https://u:hunter2@reg.io"), key("u@reg.io")}, secrets{key("reg.io/a/")}},
	pullsecret.KeyIPv6:         {secrets{key("[::1]"), key("https://[2001:db8::1]/a/")}, secrets{key("[::1]:5000"), key("10.0.0.1")}},
	pullsecret.KeyTrailingDot:  {secrets{key("reg.io."), key("https://reg.io.:5000")}, secrets{key("reg.io")}},
	pullsecret.KeyNotASCII:     {secrets{key("bücher.example"), key("登録.example")}, secrets{key("xn--bcher-kva.example")}},
	pullsecret.KeySingleLabel:  {secrets{key("registry"), key("registry/team/")}, secrets{key("registry:5000"), key("localhost"), key("*")}},
	pullsecret.KeyDefaultPort:  {secrets{key("reg.io:443"), key("http://reg.io:80")}, secrets{key("reg.io:8443")}},
	pullsecret.KeyDuplicate:    {secrets{of(`{"auths":{"reg.io":{"auth":"dTpw"},"https://reg.io":{"auth":"dTpx"}}}`), of(`{"auths":{"https://reg.io/v1/":{"auth":"dTpw"},"https://reg.io/v2/":{"auth":"dTpw"}}}`)}, secrets{of(`{"auths":{"reg.io":{"auth":"dTpw"},"reg.io:443":{"auth":"dTpx"}}}`)}},
	pullsecret.KeyNeverMatches: {secrets{key(""), key("reg.io/Team/"), key("reg.io//a"), key("reg..io"), key("-reg.io"), key("reg.io:"), key("/a"), key("https://"), key("reg.io/-a/")}, secrets{key("reg-1.io"), key("reg_1.io"), key("reg.io/a_b/")}},
}

func check(s pullsecret.Secret) []pullsecret.Finding {
	return pullsecret.Check(s, pullsecret.Options{Now: now, Token: func(p string) error {
		if p == "flt_short" {
			return errors.New("it is too short")
		}
		return nil
	}})
}

func rules(fs []pullsecret.Finding) []pullsecret.Rule {
	out := []pullsecret.Rule{}
	for _, f := range fs {
		out = append(out, f.Rule)
	}
	return out
}

// TestRules: every rule finds what it is for, and not what is right.
func TestRules(t *testing.T) {
	t.Parallel()
	n := 0
	for _, d := range pullsecret.Rules() {
		if d.InFile {
			continue // a test of kubefile
		}
		n++
		t.Run(string(d.Rule), func(t *testing.T) {
			t.Parallel()
			e, ok := examples[d.Rule]
			if !ok || len(e.bad) == 0 || len(e.good) == 0 {
				t.Fatal("no examples")
			}
			for i, s := range e.bad {
				fs := check(s)
				at := slices.IndexFunc(fs, func(f pullsecret.Finding) bool { return f.Rule == d.Rule })
				if at < 0 {
					t.Errorf("bad %d %q: %v", i, s.Data, rules(fs))
					continue
				}
				if f := fs[at]; f.Severity != d.Severity && d.Rule != pullsecret.KeyDuplicate {
					t.Errorf("bad %d: %s", i, f.Severity)
				}
			}
			for i, s := range e.good {
				if fs := check(s); slices.Contains(rules(fs), d.Rule) {
					t.Errorf("good %d %.60q: %+v", i, s.Data, fs)
				}
			}
		})
	}
	if len(examples) != n {
		t.Errorf("%d examples for %d rules", len(examples), n)
	}
}

// TestFindingsAreWhole: every finding says what is wrong, what happens and
// what to do, and shows no password.
func TestFindingsAreWhole(t *testing.T) {
	t.Parallel()
	for r, e := range examples {
		for _, s := range slices.Concat(e.bad, e.good) {
			for _, f := range check(s) {
				for what, text := range map[string]string{"message": f.Message, "effect": f.Effect, "fix": f.Fix} {
					if !strings.HasSuffix(text, ".") || strings.Contains(text, "%!") {
						t.Errorf("%s: the %s of %s is %q", r, what, f.Rule, text)
					}
					if strings.ContainsFunc(text, func(c rune) bool { return c < ' ' }) {
						t.Errorf("%s: the %s of %s has a control character: %q", r, what, f.Rule, text)
					}
				}
				if all := fmt.Sprintf("%+v", f); strings.Contains(all, "hunter2") {
					t.Errorf("%s: a password is shown: %s", r, all)
				}
				if f.Secret != s.ID() {
					t.Errorf("%s: secret %q", r, f.Secret)
				}
			}
		}
	}
}

// TestGood: what is right has no finding at all.
func TestGood(t *testing.T) {
	t.Parallel()
	good := secrets{
		key("reg.io"), key("https://index.docker.io/v1/"), key("reg.io:5000"), key("reg.io/team/"), key("*.reg.io"),
		legacy(`{"reg.io":{"username":"u","password":"p","email":"a@b.c"}}`), login("token", "flt_good"),
		of(`{"auths":{"reg.io/a/":{"auth":"dTpw"},"reg.io/b/":{"auth":"dTpw"}},"HttpHeaders":{"User-Agent":"x"},"credsStore":""}`),
		{Name: "tls", Type: "kubernetes.io/tls", Data: map[string][]byte{"tls.crt": nil}},
	}
	for _, s := range good {
		if fs := check(s); len(fs) > 0 {
			t.Errorf("%s %q: %+v", s, s.Data, fs)
		}
	}
}
