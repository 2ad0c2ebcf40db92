package diagnosistest

import (
	"encoding/base64"
	"time"

	"fairlead.dev/fairlead/internal/diagnosis"
	"fairlead.dev/fairlead/internal/pullsecret"
)

// Rows has at least one row for each cause.
func Rows() []Row {
	var out []Row
	for _, part := range [][]Row{lists(), broken(), keys(), refused(), names(), ways(), rest(), misleading()} {
		out = append(out, part...)
	}
	return out
}

func lists() []Row {
	account := func(names ...string) told {
		return func(e *diagnosis.Evidence) {
			e.Account.PullSecrets = names
			e.AccountSecrets = []diagnosis.NamedSecret{there(good())}
		}
	}
	others := func(e *diagnosis.Evidence) { e.Others = []pullsecret.Secret{good()} }
	return []Row{
		row("absent", diagnosis.SecretAbsent, secrets(diagnosis.NamedSecret{Name: "regcred", Elsewhere: []string{"infra", "stage"}})),
		row("absent-everywhere", diagnosis.SecretAbsent, secrets(diagnosis.NamedSecret{Name: "regcred"}), ours),
		row("patched-after", diagnosis.PatchedAfter, account("regcred")),
		row("own-list", diagnosis.OwnList, account("regcred"), secrets(there(Secret("other", Config("quay.io", "ann", "s3cret"))))),
		row("other-account", diagnosis.OtherAccount, others, func(e *diagnosis.Evidence) {
			e.Pod.AccountName, e.Account.Name = "runner", "runner"
			e.Accounts = []diagnosis.Account{{Namespace: "shop", Name: "default", Exists: true, PullSecrets: []string{"regcred"}}}
		}),
		row("list-overwritten", diagnosis.ListClobbered, others, func(e *diagnosis.Evidence) {
			e.Account.ListOwners = []diagnosis.FieldOwner{{Manager: "fairlead", Operation: "Update", At: Now.Add(-2 * time.Hour)}, {Manager: "argocd-controller", Operation: "Apply", At: Now.Add(-90 * time.Minute)}}
		}),
		row("not-referenced", diagnosis.NotReferenced, others),
		row("no-credentials", diagnosis.NoCredentials),
		row("no-credentials-ours", diagnosis.NoCredentials, ours),
		row("cached", diagnosis.NoCredentials, func(e *diagnosis.Evidence) { e.Node.Images = map[string]bool{Image: true} }).also(diagnosis.CachedImage),
		row("plugin-counter", diagnosis.PluginFailed, func(e *diagnosis.Evidence) { e.Node.PluginErrors = map[string]int{"acme-credentials": 7} }),
		row("plugin-log", diagnosis.PluginFailed, func(e *diagnosis.Evidence) {
			e.KubeletLog = []string{`E0301 11:59:00 plugin.go:1] "failed to get credential provider auth" err="serviceaccounts \"default\" is forbidden: verb request-serviceaccounts-token-audience"`}
		}),
	}
}

func broken() []Row {
	bad := func(name, config string, want diagnosis.Cause) Row {
		return row(name, want, secrets(there(Secret("regcred", config))), waits("ErrImagePull", ""))
	}
	wrongType := with(good(), func(s *pullsecret.Secret) { s.Type = "kubernetes.io/dockerconfig" })
	opaque := with(good(), func(s *pullsecret.Secret) {
		s.Type, s.Data = "Opaque", map[string][]byte{"config.json": s.Data[pullsecret.KeyConfigJSON]}
	})
	return []Row{
		row("wrong-type", diagnosis.WrongType, secrets(there(wrongType))),
		row("opaque", diagnosis.WrongType, secrets(there(opaque))),
		row("not-base64", diagnosis.Malformed, secrets(there(Secret("regcred", `{"auths":{"`+Host+`":{"auth":"a n n"}}}`))), waits("illegal base64 data at input byte 1", "")),
		bad("no-colon", `{"auths":{"`+Host+`":{"auth":"YW5u"}}}`, diagnosis.Malformed),
		bad("not-json", `{"auths":{`, diagnosis.Malformed),
		bad("double-base64", base64.StdEncoding.EncodeToString([]byte(Config(Host, "ann", "s3cret"))), diagnosis.DoubleBase64),
		bad("no-auths", `{"`+Host+`":{"auth":"`+Auth("ann", "s3cret")+`"}}`, diagnosis.LegacyBody),
		bad("store-only", `{"auths":{},"credsStore":"desktop"}`, diagnosis.StoreOnly),
		row("immutable", diagnosis.Malformed, secrets(there(with(Secret("regcred", `{"auths":{"`+Host+`":{"auth":"YW5u"}}}`), func(s *pullsecret.Secret) { s.Immutable = true })))).also(diagnosis.Immutable),
	}
}

func keys() []Row {
	keyed := func(name, key string, want diagnosis.Cause) Row {
		return row(name, want, secrets(there(Secret("regcred", Config(key, "ann", "s3cret")))))
	}
	return []Row{
		keyed("port", Host+":5000", diagnosis.WrongKey),
		keyed("upper-case", "Registry.example.com", diagnosis.WrongKey),
		keyed("labels", "example.com", diagnosis.WrongKey),
		keyed("version-path", "https://"+Host+"/v1", diagnosis.WrongKey),
		keyed("path-narrow", Host+"/shop/web/", diagnosis.PathPrefix),
		row("hub-key", diagnosis.WrongKey, secrets(there(Secret("regcred", Config("hub.docker.com", "ann", "s3cret")))), image("acme/web:v1")),
		row("path-wide", diagnosis.PathPrefix, secrets(there(Secret("regcred", Config(Host+"/sh", "ann", "s3cret")))), answered(answers(diagnosis.Unauthorized, diagnosis.Unauthorized))),
		row("order", diagnosis.None, secrets(there(Secret("regcred", `{"auths":{"`+Host+`/shop":{"auth":"`+Auth("old", "x")+`"},"`+Host+`":{"auth":"`+Auth("ann", "s3cret")+`"}}}`))),
			answered(answers(diagnosis.Unauthorized, diagnosis.Unauthorized, diagnosis.Pulls)), waits("", "")),
		row("unstable", diagnosis.None, secrets(there(Secret("regcred", `{"auths":{"`+Host+`":{"auth":"`+Auth("old", "x")+`"},"https://`+Host+`":{"auth":"`+Auth("ann", "s3cret")+`"}}}`))),
			answered(answers(diagnosis.Unauthorized, diagnosis.Pulls, diagnosis.Pulls)), waits("", "")),
	}
}

func refused() []Row {
	entry := func(name, user, password string, o diagnosis.Outcome, want diagnosis.Cause, more ...told) Row {
		changes := []told{secrets(there(Secret("regcred", Config(Host, user, password)))), answered(answers(diagnosis.Unauthorized, o))}
		return row(name, want, append(changes, more...)...)
	}
	at := Now.Add(-24 * time.Hour)
	return []Row{
		entry("wrong-password", "ann", "s3cret", diagnosis.Unauthorized, diagnosis.WrongPassword),
		entry("newline", "ann", "s3cret\n", diagnosis.Unauthorized, diagnosis.NewlineInPass),
		entry("dollar", "robot", "s3cret", diagnosis.Unauthorized, diagnosis.ShellDollar),
		row("identity-token", diagnosis.IdentityToken, secrets(there(Secret("regcred", `{"auths":{"`+Host+`":{"auth":"`+Auth("00000000-0000-0000-0000-000000000000", "")+`","identitytoken":"x"}}}`))), answered(answers(diagnosis.Unauthorized, diagnosis.Unauthorized))),
		row("empty-entry", diagnosis.StoreOnly, secrets(there(Secret("regcred", `{"auths":{"`+Host+`":{}},"credsStore":"desktop"}`))), answered(answers(diagnosis.Unauthorized, diagnosis.Unauthorized))),
		entry("stale-on-public", "ann", "s3cret", diagnosis.Unauthorized, diagnosis.StaleOnPublic, func(e *diagnosis.Evidence) {
			e.Answers[Image] = answers(diagnosis.Pulls, diagnosis.Unauthorized)
		}),
		entry("scope", "ann", "s3cret", diagnosis.Forbidden, diagnosis.ScopeMissing),
		entry("expired", "token", "flt_x", diagnosis.Unauthorized, diagnosis.TokenExpired, ours, record(diagnosis.Record{ID: "k3x9", Description: "prod", Expires: at})),
		entry("revoked", "token", "flt_x", diagnosis.Unauthorized, diagnosis.TokenRevoked, ours, record(diagnosis.Record{ID: "k3x9", Revoked: at, RevokedBy: "ann"})),
		entry("rotated", "token", "flt_x", diagnosis.Unauthorized, diagnosis.TokenRotated, ours, record(diagnosis.Record{ID: "k3x9", Rotated: at})),
		entry("reach", "token", "flt_x", diagnosis.Forbidden, diagnosis.ScopeMissing, ours, record(diagnosis.Record{ID: "k3x9", Reach: "stage", Lacks: "its reach does not hold shop/web"})),
	}
}

func names() []Row {
	near := answers(diagnosis.Unauthorized, diagnosis.NotFound)
	near.Tags = Tags
	unknown := answers(diagnosis.Unauthorized, diagnosis.NotFound)
	unknown.RepositoryUnknown = true
	arm := answers(diagnosis.Unauthorized, diagnosis.NoPlatform)
	arm.Attempts[0].Platforms = []diagnosis.Platform{{OS: "linux", Architecture: "arm64", Variant: "v8"}}
	return []Row{
		row("tag", diagnosis.NotFoundThere, secrets(there(good())), answered(near)),
		row("repository", diagnosis.NotFoundThere, secrets(there(good())), answered(unknown)),
		row("platform", diagnosis.WrongPlatform, secrets(there(good())), answered(arm)),
		row("upper-case-name", diagnosis.BadReference, image(Host+"/Shop/web:v1"), waits("InvalidImageName", `Failed to apply default image tag`)),
		row("scheme", diagnosis.BadReference, image("https://"+Image), waits("InvalidImageName", "")),
		row("single-label", diagnosis.SingleLabel, image("registry/shop/web:v1"), secrets(there(Secret("regcred", Config("registry", "ann", "s3cret"))))),
		row("old-version", diagnosis.OldAPIVersion, func(e *diagnosis.Evidence) {
			e.Workload, e.APIVersion, e.Kind = "web.yaml", "extensions/v1beta1", "Deployment"
			e.Pod.Name, e.Pod.Template, e.Pod.NodeName, e.Node = "", true, "", nil
		}, waits("", "")),
	}
}

func ways() []Row {
	var out []Row
	for _, o := range []struct {
		name    string
		outcome diagnosis.Outcome
		cause   diagnosis.Cause
	}{
		{"ca", diagnosis.UnknownCA, diagnosis.UntrustedCA},
		{"tls", diagnosis.BadTLS, diagnosis.TLSFault},
		{"http", diagnosis.PlainHTTP, diagnosis.HTTPRegistry},
		{"dns", diagnosis.NoHost, diagnosis.NoDNS},
		{"closed", diagnosis.Refused, diagnosis.ConnRefused},
		{"slow", diagnosis.Timeout, diagnosis.TimedOut},
		{"no-way", diagnosis.Unreachable, diagnosis.NetworkFault},
	} {
		out = append(out, row(o.name, o.cause, answered(answers(o.outcome)), waits("ErrImagePull", "")))
	}
	return append(out,
		row("dns-of-the-node", diagnosis.NoDNS, waits("ErrImagePull", `failed to pull and unpack image "`+Image+`": failed to resolve image: failed to do request: Head "https://`+Host+`/v2/shop/web/manifests/v1": dial tcp: lookup `+Host+` on 10.0.0.2:53: no such host`)),
		row("out-of-sight", diagnosis.NoCredentials, answered(answers(diagnosis.Timeout))),
		row("registry-fault", diagnosis.RegistryFault, answered(answers(diagnosis.ServerError)), waits("ErrImagePull", "")),
		row("rate-limit", diagnosis.RateLimit, answered(answers(diagnosis.RateLimited)), waits("ErrImagePull", "")),
	)
}

func rest() []Row {
	return []Row{
		row("back-off", diagnosis.BackOffOnly, secrets(there(good())), answered(answers(diagnosis.Unauthorized, diagnosis.Pulls))),
		row("never", diagnosis.NeverPulled, waits("ErrImageNeverPull", `Container image "`+Image+`" is not present with pull policy of Never`)),
		row("runs", diagnosis.None, func(e *diagnosis.Evidence) { e.Pod.Containers[0].Running = true }, waits("", "")),
		row("unknown", diagnosis.CouldNotTell, func(e *diagnosis.Evidence) { e.Answers = nil }, waits("ErrImagePull", "something new")),
	}
}
