package diagnosis

// Cause is a root cause of a failing pull: stable, kebab-case.
type Cause string

// The catalogue. Each constant is a row of docs/why.md.
const (
	None Cause = "" // it pulls

	SecretAbsent  Cause = "secret-absent"            // the namespace has none of that name
	PatchedAfter  Cause = "account-patched-after"    // the account's list came after the pod
	OwnList       Cause = "pod-has-own-list"         // so the account's list does not count
	OtherAccount  Cause = "other-account"            // another account has the list
	ListClobbered Cause = "account-list-overwritten" // somebody's list replaced it
	NotReferenced Cause = "secret-not-referenced"    // a fitting secret is there, nobody names it
	NoCredentials Cause = "no-credentials"           // there is no secret for this registry at all
	WrongType     Cause = "wrong-type"               // the kubelet skips it
	Malformed     Cause = "malformed-secret"         // the kubelet rejects it, and all beside it
	DoubleBase64  Cause = "double-base64"
	NewlineInPass Cause = "newline-in-password"
	LegacyBody    Cause = "auths-missing" // the body of a .dockercfg under .dockerconfigjson
	StoreOnly     Cause = "credential-in-store"
	IdentityToken Cause = "identity-token"
	WrongKey      Cause = "wrong-server-key"
	PathPrefix    Cause = "path-prefix"
	WrongOrder    Cause = "wrong-order"
	StaleOnPublic Cause = "stale-credential-on-public-image"
	TokenExpired  Cause = "token-expired"
	TokenRevoked  Cause = "token-revoked"
	TokenRotated  Cause = "token-rotated" // the secret holds a former value
	WrongPassword Cause = "wrong-password"
	ScopeMissing  Cause = "scope-missing"
	ShellDollar   Cause = "shell-ate-dollar"
	NotFoundThere Cause = "not-found"
	BadReference  Cause = "bad-reference"
	SingleLabel   Cause = "single-label-host"
	WrongPlatform Cause = "wrong-platform"
	UntrustedCA   Cause = "unknown-ca"
	TLSFault      Cause = "bad-tls"
	HTTPRegistry  Cause = "plain-http"
	NoDNS         Cause = "no-such-host"
	ConnRefused   Cause = "refused"
	TimedOut      Cause = "timeout"
	NetworkFault  Cause = "unreachable"
	RegistryFault Cause = "server-error"
	RateLimit     Cause = "rate-limited"
	Immutable     Cause = "immutable-secret" // beside another: it cannot be mended in place
	CachedImage   Cause = "cached-image"     // beside another: the node holds the image, and asks for credentials
	PluginFailed  Cause = "credential-plugin-failed"
	BackOffOnly   Cause = "back-off-only" // it would pull now
	NeverPulled   Cause = "never-pull"    // imagePullPolicy: Never
	OldAPIVersion Cause = "old-api-version"
	CouldNotTell  Cause = "could-not-tell"
)

// Causes are all of the catalogue.
func Causes() []Cause {
	return []Cause{
		SecretAbsent, PatchedAfter, OwnList, OtherAccount, ListClobbered, NotReferenced,
		NoCredentials, WrongType, Malformed, DoubleBase64, NewlineInPass, LegacyBody,
		StoreOnly, IdentityToken, WrongKey, PathPrefix, WrongOrder, StaleOnPublic,
		TokenExpired, TokenRevoked, TokenRotated, WrongPassword, ScopeMissing, ShellDollar, NotFoundThere,
		BadReference, SingleLabel, WrongPlatform, UntrustedCA, TLSFault, HTTPRegistry,
		NoDNS, ConnRefused, TimedOut, NetworkFault, RegistryFault, RateLimit,
		Immutable, CachedImage, PluginFailed, BackOffOnly, NeverPulled, OldAPIVersion,
		CouldNotTell,
	}
}

// Step is one thing to do: a sentence, and lines to paste, if there are any.
type Step struct {
	Say string   `json:"say"`
	Run []string `json:"run,omitempty"`
}

// Verdict is what is known about one container's image.
type Verdict struct {
	Kind      ContainerKind `json:"kind,omitempty"`
	Container string        `json:"container,omitempty"`
	Image     string        `json:"image"`
	// Cause is None if the image pulls. Also are causes that stand beside it.
	Cause Cause   `json:"cause,omitempty"`
	Also  []Cause `json:"also,omitempty"`
	// Sentence is the cause in one sentence.
	Sentence string   `json:"sentence"`
	Evidence []string `json:"evidence,omitempty"`
	Fix      []Step   `json:"fix,omitempty"`
	// Notes are what does not stop this pull, and may stop another.
	Notes []string `json:"notes,omitempty"`
}

// Report is the answer: a Verdict per image.
type Report struct {
	Workload string    `json:"workload,omitempty"`
	Pod      string    `json:"pod,omitempty"` // namespace/name
	Verdicts []Verdict `json:"verdicts"`
	Notes    []string  `json:"notes,omitempty"`
	// Blind is what could not be seen.
	Blind []string `json:"blind,omitempty"`
}

// Pulls says that every image pulls.
func (r Report) Pulls() bool {
	for _, v := range r.Verdicts {
		if v.Cause != None {
			return false
		}
	}
	return len(r.Verdicts) > 0
}

// Known says that a cause was found; of another image it may not be.
func (r Report) Known() bool {
	for _, v := range r.Verdicts {
		if v.Cause != None && v.Cause != CouldNotTell {
			return true
		}
	}
	return false
}
