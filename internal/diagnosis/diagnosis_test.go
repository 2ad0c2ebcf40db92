package diagnosis_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"fairlead.dev/fairlead/internal/diagnosis"
	"fairlead.dev/fairlead/internal/diagnosis/diagnosistest"
)

func TestCauses(t *testing.T) {
	t.Parallel()
	seen := map[diagnosis.Cause]bool{}
	for _, r := range diagnosistest.Rows() {
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			report := diagnosis.Diagnose(r.Evidence)
			v := report.Verdicts[0]
			if v.Cause != r.Want {
				t.Fatalf("cause %q, want %q: %s\n%s", v.Cause, r.Want, v.Sentence, strings.Join(v.Evidence, "\n"))
			}
			if r.Also != "" && !slices.Contains(v.Also, r.Also) {
				t.Errorf("beside it %q, want %q", v.Also, r.Also)
			}
			if v.Sentence == "" || !strings.HasSuffix(v.Sentence, ".") && !strings.HasSuffix(v.Sentence, "…") {
				t.Errorf("no sentence: %q", v.Sentence)
			}
			if v.Cause != diagnosis.None && v.Cause != diagnosis.CouldNotTell && len(v.Fix) == 0 {
				t.Error("nothing to do")
			}
			text, err := json.Marshal(report)
			if err != nil {
				t.Fatal(err)
			}
			for _, secret := range []string{"s3cret", diagnosistest.Auth("ann", "s3cret"), "flt_x"} {
				if strings.Contains(string(text), secret) {
					t.Errorf("a password stands in the report: %s", text)
				}
			}
		})
		seen[r.Want], seen[r.Also] = true, true
	}
	for _, c := range diagnosis.Causes() {
		if !seen[c] && c != diagnosis.WrongOrder {
			t.Errorf("no row shows %q", c)
		}
	}
}

func TestNotesOfOrder(t *testing.T) {
	t.Parallel()
	for _, r := range diagnosistest.Rows() {
		if r.Name != "order" && r.Name != "unstable" {
			continue
		}
		notes := strings.Join(diagnosis.Diagnose(r.Evidence).Verdicts[0].Notes, "\n")
		if !strings.Contains(notes, string(diagnosis.WrongOrder)) {
			t.Errorf("%s: notes %q", r.Name, notes)
		}
	}
}

// TestPodsMadeAnew: what is proposed fits who owns the pod.
func TestPodsMadeAnew(t *testing.T) {
	t.Parallel()
	var patched diagnosis.Evidence
	for _, r := range diagnosistest.Rows() {
		if r.Want == diagnosis.PatchedAfter {
			patched = r.Evidence
		}
	}
	for owner, want := range map[string]string{
		"deployment/web": "kubectl -n shop rollout restart deployment/web",
		"daemonset/web":  "kubectl -n shop rollout restart daemonset/web",
		"job/web":        "kubectl -n shop delete pod web",
		"replicaset/web": "kubectl -n shop delete pod web",
		// The list is a copy of the account's, which must be made anew.
		"": `kubectl -n shop get pod web -o json | kubectl patch --local -f - --type json -p '[{"op":"remove","path":"/spec/imagePullSecrets"}]' -o json | kubectl replace --force -f -`,
	} {
		e := patched
		pod := *e.Pod
		pod.Owner, e.Pod = owner, &pod
		var lines []string
		for _, s := range diagnosis.Diagnose(e).Verdicts[0].Fix {
			lines = append(lines, s.Run...)
		}
		if !slices.Contains(lines, want) {
			t.Errorf("%q: %q, want %s", owner, lines, want)
		}
	}
}
