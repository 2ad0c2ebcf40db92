package pullsecret

// Description is what is known about every finding of a rule.
type Description struct {
	Rule     Rule
	Severity Severity
	// Title is the rule in a few words, without a full stop.
	Title string
	// Effect is what pods see, Fix what to do, where the finding itself knows
	// nothing better.
	Effect, Fix string
	// Refused says that the API server refuses such a secret: it is found in
	// files only. Rejected says that the kubelet does, as keyring has it.
	Refused, Rejected bool
	// InFile says that it is about a manifest's text, which Check does not
	// see: package kubefile finds it.
	InFile bool
}

// The rules about the object: what the API server refuses or the kubelet
// passes over.
const (
	NameInvalid       Rule = "name-invalid"
	LabelInvalid      Rule = "label-invalid"
	AnnotationInvalid Rule = "annotation-invalid"
	DataKeyInvalid    Rule = "data-key-invalid"
	TooLarge          Rule = "too-large"
	TypeWrong         Rule = "type-wrong"
	TypeMisspelt      Rule = "type-misspelt"
	DataKeyMissing    Rule = "data-key-missing"
	DataKeyExtra      Rule = "data-key-extra"
	ValueEmpty        Rule = "value-empty"
	Immutable         Rule = "immutable"
)

// The rules about manifests, found by package kubefile.
const (
	NoObjects     Rule = "no-objects"
	ManifestType  Rule = "manifest-wrong-type"
	ManifestTwice Rule = "manifest-duplicate-key"
	DataNotBase64 Rule = "data-not-base64"
	DataPlain     Rule = "data-not-encoded"
	DataHidden    Rule = "data-hidden"
	NotReadable   Rule = "manifest-unreadable"
)

// The rules about the document in the value.
const (
	NotJSON              Rule = "not-json"
	DoubleBase64         Rule = "double-base64"
	ByteOrderMark        Rule = "byte-order-mark"
	UTF16                Rule = "utf-16"
	NotUTF8              Rule = "not-utf-8"
	TrailingData         Rule = "trailing-data"
	NotObject            Rule = "not-an-object"
	NumberRange          Rule = "number-out-of-range"
	AuthsWrongType       Rule = "auths-wrong-type"
	EntryWrongType       Rule = "entry-wrong-type"
	FieldWrongType       Rule = "field-wrong-type"
	NoEntries            Rule = "no-entries"
	BodyUnwrapped        Rule = "body-unwrapped"
	BodyWrapped          Rule = "body-wrapped"
	DuplicateName        Rule = "duplicate-name"
	CredentialsElsewhere Rule = "credentials-elsewhere"
)

// The rules about what an entry holds.
const (
	AuthNotBase64     Rule = "auth-not-base64"
	AuthNoColon       Rule = "auth-no-colon"
	AuthDisagrees     Rule = "auth-disagrees"
	PasswordLineBreak Rule = "password-line-break"
	PasswordSpaces    Rule = "password-spaces"
	PasswordEmpty     Rule = "password-empty"
	UsernameControl   Rule = "username-control"
	UsernameSpaces    Rule = "username-spaces"
	UsernameEmpty     Rule = "username-empty"
	EntryEmpty        Rule = "entry-empty"
	IdentityToken     Rule = "identity-token"
	RegistryToken     Rule = "registry-token"
	FieldUnknown      Rule = "field-unknown"
	RobotDollar       Rule = "robot-dollar"
	VariableLiteral   Rule = "variable-literal"
	TokenExpired      Rule = "token-expired"
	TokenShortLived   Rule = "token-short-lived"
	TokenDamaged      Rule = "token-damaged"
)

// The rules about keys: which images an entry is for.
const (
	KeyUnparsable   Rule = "key-unparsable"
	KeySchemeCase   Rule = "key-scheme-case"
	KeyUpperCase    Rule = "key-upper-case"
	KeyAPIPath      Rule = "key-api-path"
	KeyHub          Rule = "key-docker-hub"
	KeyHubHidden    Rule = "key-docker-hub-hidden"
	KeyGlob         Rule = "key-glob"
	KeyTag          Rule = "key-tag"
	KeyTrailingPath Rule = "key-trailing-slash"
	KeyPathPrefix   Rule = "key-path-prefix"
	KeyIgnoredParts Rule = "key-ignored-parts"
	KeyIPv6         Rule = "key-ipv6"
	KeyTrailingDot  Rule = "key-trailing-dot"
	KeyNotASCII     Rule = "key-not-ascii"
	KeySingleLabel  Rule = "key-single-label"
	KeyDefaultPort  Rule = "key-default-port"
	KeyDuplicate    Rule = "key-duplicate"
	KeyNeverMatches Rule = "key-never-matches"
)

// What pods see, as far as many rules share it.
const (
	refusedEffect   = "The API server refuses it; nothing is stored."
	malformedEffect = "The API server refuses it (data[.dockerconfigjson]: Invalid value). Where it is stored all the same, every pod that names it fails."
	rejectedEffect  = "Every pod that names this secret fails, for images of other registries and with good secrets beside it, too."
	skippedEffect   = "The kubelet passes over it in silence: pods pull without its credentials."
	unusedEffect    = "No image uses this entry: pods pull without it."
	refusedByServer = "The registry refuses the credential, and the kubelet does not try without one afterwards: public images fail, too."
	noneEffect      = "Pods pull without credentials."

	recreateFix = "Make the secret anew."
)

var catalogue = []Description{
	{NotReadable, Broken, "The file cannot be read as a manifest", `kubectl refuses it ("error parsing", "no objects passed to create"); nothing is stored.`, "Correct the file.", true, false, true},
	{NoObjects, Broken, "The file holds no object", `kubectl says "no objects passed to create"; nothing is stored.`, "Look whether it is the right file, and whether what made it failed.", true, false, true},
	{ManifestType, Broken, "A field has a value of another type", "kubectl or the API server refuses it; nothing is stored.", "Write the value in quotes.", true, false, true},
	{ManifestTwice, Ignored, "A key stands twice in one mapping", "The last one counts; what stands before it is lost.", "Keep one.", false, false, true},
	{DataNotBase64, Broken, "The value under data is not base64", `kubectl says "no objects passed to create" or "illegal base64 data"; nothing is stored.`, "Encode it on one line (base64 -w0), or write the document as it is under stringData.", true, false, true},
	{DataPlain, Broken, "The document itself stands under data", `kubectl says "no objects passed to create" or "illegal base64 data"; nothing is stored.`, "Write it under stringData, or encode it in base64.", true, false, true},
	{DataHidden, Ignored, "stringData hides a value under data", "The API server takes stringData; what stands under data is lost.", "Keep one.", false, false, true},

	{NameInvalid, Broken, "The name is none that Kubernetes takes", refusedEffect, "Use lower case letters, digits, '-' and '.', at most 253 characters.", true, false, false},
	{LabelInvalid, Broken, "A label is none that Kubernetes takes", refusedEffect, "Use at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends.", true, false, false},
	{AnnotationInvalid, Broken, "An annotation is none that Kubernetes takes", refusedEffect, "Correct its name, or make it shorter: all together may have 256 KiB.", true, false, false},
	{DataKeyInvalid, Broken, "A data key is none that Kubernetes takes", refusedEffect, "Use letters, digits, '-', '_' and '.'.", true, false, false},
	{TooLarge, Broken, "The values have more than 1 MiB", refusedEffect, "Keep only the entries that pods need, or make several secrets.", true, false, false},
	{TypeWrong, Ignored, "Credentials under a type that the kubelet does not read", skippedEffect, "Write the right type. That of a stored secret cannot be changed: delete it and make it anew.", false, false, false},
	{TypeMisspelt, Ignored, "The type is a misspelling of one that the kubelet reads", skippedEffect, "Write the right type. That of a stored secret cannot be changed: delete it and make it anew.", false, false, false},
	{DataKeyMissing, Broken, "The data key that the type asks for is missing", refusedEffect, "Put the credentials under the key that belongs to the type.", true, false, false},
	{DataKeyExtra, Notice, "A data key that the kubelet does not read", "The kubelet reads one key only; what stands under others is not used.", "Take it out.", false, false, false},
	{ValueEmpty, Broken, "The value is empty", refusedEffect, "Fill in the credentials; a variable or a file may have been empty.", true, false, false},
	{Immutable, Notice, "The secret is immutable", "Its credentials cannot be renewed in place.", "To rotate, make a secret of another name and let the service accounts or pods name that one.", false, false, false},

	{NotJSON, Broken, "The value is not JSON", malformedEffect, recreateFix, true, true, false},
	{DoubleBase64, Broken, "The value was encoded in base64 twice", malformedEffect, "Encode it once under data, or write it as it is under stringData.", true, true, false},
	{ByteOrderMark, Broken, "The value begins with a byte order mark", malformedEffect, "Save the file as UTF-8 without a byte order mark.", true, true, false},
	{UTF16, Broken, "The value is UTF-16", malformedEffect, "Save the file as UTF-8; in PowerShell: Out-File -Encoding utf8NoBOM.", true, true, false},
	{NotUTF8, Ignored, "The value holds bytes that are no UTF-8", "The kubelet replaces these bytes: the user or the password becomes another.", "Save the file as UTF-8.", false, false, false},
	{TrailingData, Broken, "Something follows the JSON", malformedEffect, "Take out what stands behind the last brace.", true, true, false},
	{NotObject, Broken, "The value is JSON, but no object", malformedEffect, `Write {"auths":{"HOST":{"auth":"…"}}}.`, true, true, false},
	{NumberRange, Broken, "A number is too large", refusedEffect, "Take it out: the kubelet reads no numbers.", true, false, false},
	{AuthsWrongType, Broken, "auths is no object", rejectedEffect, `Write {"auths":{"HOST":{"auth":"…"}}}.`, false, true, false},
	{EntryWrongType, Broken, "An entry is no object", rejectedEffect, `Write the entry as {"auth":"…"}.`, false, true, false},
	{FieldWrongType, Broken, "A field has a value of another type", rejectedEffect, "Put the value in quotes.", false, true, false},
	{NoEntries, Ignored, "There is no entry", noneEffect, "Add the registry that pods pull from.", false, false, false},
	{BodyUnwrapped, Ignored, "The older form without auths under .dockerconfigjson", noneEffect, `Wrap the document: {"auths": … }.`, false, false, false},
	{BodyWrapped, Ignored, "The newer form with auths under .dockercfg", "The kubelet reads auths as the name of a registry: pods pull without these credentials.", "Make it anew with the type " + TypeConfigJSON + ", or leave auths out.", false, false, false},
	{DuplicateName, Ignored, "A name stands twice in one object", "The last one counts; what stands before it is lost.", "Keep one.", false, false, false},
	{CredentialsElsewhere, Ignored, "The credentials lie in a store or helper of another machine", "Nodes cannot ask it: for these registries there is no credential in the secret.", "Ask the helper once and write explicit entries.", false, false, false},

	{AuthNotBase64, Broken, "auth is not base64", rejectedEffect, "Write base64(user:password), in the standard alphabet, without spaces.", false, true, false},
	{AuthNoColon, Broken, "auth decodes, and has no colon", rejectedEffect, "Write base64(user:password).", false, true, false},
	{AuthDisagrees, Ignored, "auth and username or password differ", "The kubelet uses auth alone.", "Remove what is out of date; auth is enough.", false, false, false},
	{PasswordLineBreak, Ignored, "The password has a line break", refusedByServer, "Encode it without the line break: printf, or echo -n.", false, false, false},
	{PasswordSpaces, Notice, "The password begins or ends with white space", "If it is not meant, the registry refuses the credential.", "If it is not meant, take it out.", false, false, false},
	{PasswordEmpty, Ignored, "The password is empty", refusedByServer, "Fill in the password; a shell takes out what follows a $ unless it stands in single quotes.", false, false, false},
	{UsernameControl, Ignored, "The user has a control character", refusedByServer, "Take it out: a line break comes from echo without -n.", false, false, false},
	{UsernameSpaces, Notice, "The user begins or ends with a space", "If it is not meant, the registry refuses the credential.", "If it is not meant, take it out.", false, false, false},
	{UsernameEmpty, Ignored, "There is a password and no user", refusedByServer, "Fill in the user; where a registry asks for none, any will do.", false, false, false},
	{EntryEmpty, Ignored, "An entry holds no credential", "The kubelet signs in with an empty user and password, and does not try without afterwards: public images fail, too.", "Fill in the credential, or remove the entry.", false, false, false},
	{IdentityToken, Ignored, "An identity token, which the kubelet does not read", refusedByServer, "Use an access token, or a password made for this.", false, false, false},
	{RegistryToken, Ignored, "A registry token, which the kubelet does not read", refusedByServer, "Use an access token, or a password made for this.", false, false, false},
	{FieldUnknown, Notice, "A field that the kubelet does not read", "It is not used.", "The kubelet reads auth, username, password and email.", false, false, false},
	{RobotDollar, Notice, "The user may have lost what followed a $", "If so, the registry refuses the credential.", "If the user has a $, write it in single quotes.", false, false, false},
	{VariableLiteral, Notice, "The user or password is the name of a variable", "If nothing filled it in, the registry refuses the credential.", "Fill it in: a shell does so in double quotes only, kubectl not at all.", false, false, false},
	{TokenExpired, Ignored, "The password is a token that has expired", refusedByServer, "Make a new one.", false, false, false},
	{TokenShortLived, Notice, "The password is a token that lives for hours", "When it ends, pulls fail.", "Renew it in time by a controller, or use a credential that lives longer.", false, false, false},
	{TokenDamaged, Ignored, "The password is a damaged Fairlead token", refusedByServer, "Copy all of it.", false, false, false},

	{KeyUnparsable, Ignored, "The key is no host", "The kubelet drops the entry alone: pods pull without it.", "Write the host, with its port where images have one, and nothing else.", false, false, false},
	{KeySchemeCase, Ignored, "The scheme is in upper case", unusedEffect, "Write https:// in lower case, or leave it out.", false, false, false},
	{KeyUpperCase, Ignored, "The host has upper case letters", "The kubelet compares letters as they are: only images that are written in the same case use the entry.", "Write the host in lower case, as images do.", false, false, false},
	{KeyAPIPath, Ignored, "/v1 or /v2 without a final slash", "The kubelet takes it for a part of the repository's name: pods pull without the entry.", "Write the host alone.", false, false, false},
	{KeyHub, Ignored, "A name of Docker Hub that the kubelet does not look up", "Images of Docker Hub do not use this entry.", "Write https://index.docker.io/v1/.", false, false, false},
	{KeyHubHidden, Ignored, "A docker.io entry hides that of index.docker.io", "The entry of index.docker.io is tried only where no docker.io entry matches.", "Keep one of them.", false, false, false},
	{KeyGlob, Ignored, "A wildcard where none works", unusedEffect, "A * stands for one whole or partial label of the host; not in ports, not in paths, and no other wildcard works.", false, false, false},
	{KeyTag, Ignored, "The key has a tag or a digest", unusedEffect, "Leave the tag or digest out: repositories are looked up without.", false, false, false},
	{KeyTrailingPath, Notice, "The path ends with a slash", "The repository of this very name does not use the entry.", "Leave the final slash out if it is a repository's name.", false, false, false},
	{KeyPathPrefix, Notice, "The path is a beginning of names, not a whole name", "The kubelet compares bytes: repositories whose names go on in any way are sent this credential first.", "Add a final slash if it is a namespace.", false, false, false},
	{KeyIgnoredParts, Notice, "The key has parts that are not looked at", "User, query and fragment of a key are dropped.", "Write the host alone.", false, false, false},
	{KeyIPv6, Ignored, "An IPv6 address without a port", "The kubelet takes the brackets for a wildcard: no image uses the entry.", "Write the port, in the key and in images.", false, false, false},
	{KeyTrailingDot, Ignored, "The host ends with a dot", unusedEffect, "Write the host without the final dot.", false, false, false},
	{KeyNotASCII, Ignored, "The host has characters that images cannot have", unusedEffect, "Write the host in its ASCII form, which begins with xn--.", false, false, false},
	{KeySingleLabel, Ignored, "A host of one label without a port", "An image that begins so is one of Docker Hub: no image uses the entry.", "Write the host with its domain or port, in the key and in images.", false, false, false},
	{KeyDefaultPort, Notice, "The key names the default port", "Images without the port do not use the entry.", "Leave the port out, unless images have it.", false, false, false},
	{KeyDuplicate, Ignored, "Two keys mean the same", "The kubelet tries them in random order: a pull may work once and fail the next time.", "Keep one.", false, false, false},
	{KeyNeverMatches, Ignored, "No image can match the key", unusedEffect, "Write the host, or host/namespace/, as images begin.", false, false, false},
}

var byRule = func() map[Rule]Description {
	m := make(map[Rule]Description, len(catalogue))
	for _, d := range catalogue {
		m[d.Rule] = d
	}
	return m
}()

// Rules describes every rule, in the order of the documentation.
func Rules() []Description { return append([]Description(nil), catalogue...) }

// Describe gives a rule's description; false if there is no such rule.
func Describe(r Rule) (Description, bool) {
	d, ok := byRule[r]
	return d, ok
}
