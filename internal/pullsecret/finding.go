package pullsecret

// Rule names what a finding is about: stable, kebab-case, for CI and SARIF.
type Rule string

// Severity is what a finding means for pods.
type Severity string

// The severities, worst first.
const (
	// Broken: the API server refuses it, or pods that name it cannot pull.
	Broken Severity = "error"
	// Ignored: the kubelet skips or misreads something; some pull will fail.
	Ignored Severity = "warning"
	// Notice: it works, and may stop to, or is more than is needed.
	Notice Severity = "note"
)

// Finding is one thing that is wrong with a secret.
type Finding struct {
	Rule     Rule     `json:"rule"`
	Severity Severity `json:"severity"`
	// Secret is namespace/name.
	Secret string `json:"secret"`
	// Entry is the key in auths as written; "" if it is about the whole.
	Entry string `json:"entry,omitempty"`
	// Field is the field of the entry, or the data key.
	Field string `json:"field,omitempty"`
	// Byte is the offset in the field's text, -1 if none is known.
	Byte int `json:"byte"`
	// Message is what is wrong, Effect what happens to pods, Fix what to do;
	// each a sentence that shows no secret. Commands are lines to paste.
	Message  string   `json:"message"`
	Effect   string   `json:"effect,omitempty"`
	Fix      string   `json:"fix,omitempty"`
	Commands []string `json:"commands,omitempty"`

	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
}
