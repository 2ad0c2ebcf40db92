package harness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Asked is a request that an account of System made to the API server, as its
// audit log has it.
type Asked struct {
	Verb      string
	UserAgent string
	User      struct{ Username string }
	// ObjectRef is what it was about; Name may be "".
	ObjectRef struct{ APIGroup, Resource, Subresource, Namespace, Name string }
	// ResponseStatus has the HTTP status.
	ResponseStatus struct{ Code int }
	Stage          string
}

// Writes says whether it asked for a change of secrets or service accounts,
// whatever came of it.
func (r Asked) Writes() bool {
	about := r.ObjectRef.APIGroup == "" && (r.ObjectRef.Resource == "secrets" || r.ObjectRef.Resource == "serviceaccounts")
	return about && !slices.Contains([]string{"get", "list", "watch"}, r.Verb)
}

// auditPolicy notes the requests of the accounts of System, without bodies,
// and nobody else's.
func (c *Kubernetes) auditPolicy() string { return filepath.Join(c.dir, "audit.yaml") }

func (c *Kubernetes) auditLog() string { return filepath.Join(c.dir, "logs", "audit.log") }

func (c *Kubernetes) writeAuditPolicy() error {
	return os.WriteFile(c.auditPolicy(), fmt.Appendf(nil, `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Metadata, userGroups: ["system:serviceaccounts:%s"]}
- {level: None}
`, System), 0o600)
}

// Asked lists the requests up to now, in the order in which they were
// answered; a watch when it began.
func (c *Kubernetes) Asked(t testing.TB) (out []Asked) {
	t.Helper()
	text, err := os.ReadFile(c.auditLog())
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // it is being written
		}
		var one Asked
		if err := json.Unmarshal(line, &one); err != nil {
			t.Fatalf("the audit log: %v", err)
		}
		if (one.Verb == "watch") == (one.Stage == "ResponseStarted") {
			out = append(out, one)
		}
	}
	return out
}
