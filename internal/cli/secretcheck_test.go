package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/pullsecret"
)

// clusterOf is a cluster of these secrets; of a name that is not there it has
// nothing.
type clusterOf []pullsecret.Secret

func (c clusterOf) named(names []string) secretSource {
	return c.those(func(s pullsecret.Secret) bool { return strings.Contains(strings.Join(names, " "), s.Name) })
}

func (c clusterOf) everywhere() secretSource {
	return c.those(func(pullsecret.Secret) bool { return true })
}

func (c clusterOf) those(want func(pullsecret.Secret) bool) secretSource {
	return func(context.Context) iter.Seq2[pullsecret.Secret, error] {
		return func(yield func(pullsecret.Secret, error) bool) {
			for _, s := range c {
				if want(s) && !yield(s, nil) {
					return
				}
			}
		}
	}
}

func pullSecret(namespace, name, document string) pullsecret.Secret {
	return pullsecret.Secret{
		Namespace: namespace, Name: name, Type: pullsecret.TypeConfigJSON,
		Data: map[string][]byte{pullsecret.KeyConfigJSON: []byte(document)},
	}
}

// ran runs one command that is no child of fairlead.
func ran(t *testing.T, cmd *cobra.Command, args ...string) error {
	t.Helper()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	return cmd.ExecuteContext(t.Context())
}

// TestCheckOfACluster: the commands take secrets from wherever they are given.
func TestCheckOfACluster(t *testing.T) {
	t.Parallel()
	c := clusterOf{
		pullSecret("shop", "good", `{"auths":{"reg.example.com":{"auth":"dTpw"}}}`),
		pullSecret("lab", "bad", `{"auths":{"reg.example.com":{"auth":"x y"}}}`),
	}
	for _, x := range []struct {
		args []string
		want string
		fail bool
	}{
		{[]string{"good"}, "Checked 1 secret: nothing is wrong.\n", false},
		{[]string{"bad"}, "lab/bad: error auth-not-base64\n", true},
		{[]string{"bad"}, "    fairlead secret create bad --namespace lab --force-conflicts --server reg.example.com --username USER\n", true},
		{[]string{"-A"}, "Checked 2 secrets: 1 error.\n", true},
	} {
		var out, errs bytes.Buffer
		err := ran(t, newSecretCheck(env{stdout: &out, stderr: &errs}, func(*cobra.Command) secretCluster { return c }), x.args...)
		if (err != nil) != x.fail || !strings.Contains(out.String(), x.want) {
			t.Errorf("%v: %v\n%s", x.args, err, &out)
		}
	}
	var out bytes.Buffer
	if err := ran(t, newSecretInspect(env{stdout: &out}, func(*cobra.Command) secretCluster { return c }), "good"); err != nil || !strings.Contains(out.String(), "shop/good") {
		t.Errorf("%v\n%s", err, &out)
	}
	if err := ran(t, newSecretCheck(env{}, func(*cobra.Command) secretCluster { return c }), "good", "-A"); err == nil {
		t.Error("names and all namespaces at once")
	}
}

// spoilt are secrets whose values are wrong in all ways, with a password that
// nothing may show.
func spoilt() []pullsecret.Secret {
	const password = "hunter2"
	auth := base64.StdEncoding.EncodeToString([]byte("jo:" + password))
	var out []pullsecret.Secret
	for _, d := range []string{
		`{"auths":{"a.io":{"auth":"` + auth[:6] + " " + auth[6:] + `"}}}`, `{"auths":{"a.io":{"auth":"` + auth + `","password":"hunter2x","username":"y"}}}`,
		`{"auths":{"a.io":{"password":"hunter2"}}}`, `{"auths":{"a.io":{"username":"jo","password":"hunter2\n"}}}`, `{"auths":{"a.io":"` + auth + `"}}`,
		`{"auths":{"https://jo:hunter2@a.io":{"auth":"` + auth + `"}}}`, `{"auths":{"https://jo:hunter2@a.io":{"auth":"x y"}}}`, `{"auths":{"a.io":{"identitytoken":"hunter2"}}}`, `{"auths":{"a.io":{"auth":"` + auth + `","token":"hunter2"}}}`,
		`jo:hunter2`, `"hunter2"`, `{"a.io":{"auth":"` + auth + `"}}`, base64.StdEncoding.EncodeToString([]byte(`{"auths":{"a.io":{"auth":"` + auth + `"}}}`)),
		`{"auths":{"a.io":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("jo:flt_hunter2")) + `"}}}`,
	} {
		out = append(out, pullSecret("shop", "regcred", d))
		opaque := pullSecret("shop", "regcred", d)
		opaque.Type = "Opaque"
		out = append(out, opaque)
	}
	return out
}

// TestNothingSecretIsPrinted: of no spoilt secret, in no form, by no command.
func TestNothingSecretIsPrinted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for n, s := range spoilt() {
		file := filepath.Join(dir, "s.yaml")
		if err := os.WriteFile(file, s.YAML(), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{
			{"secret", "check", "-f", file},
			{"secret", "check", "-f", file, "-o", "json"},
			{"secret", "check", "-f", file, "-o", "yaml"},
			{"secret", "check", "-f", file, "-o", "sarif"},
			{"secret", "inspect", "-f", file},
			{"secret", "inspect", "-f", file, "-o", "json"},
			{"keyring", "a.io/app", "-f", file},
			{"keyring", "a.io/app", "-f", file, "-o", "json"},
		} {
			var out, errs bytes.Buffer
			code := run(t.Context(), args, env{stdout: &out, stderr: &errs})
			all := out.String() + errs.String()
			for _, secret := range []string{"hunter2", "aHVudGVy", "h1bnRlcj", "odW50ZXIy"} { // in base64 by its place, too
				if strings.Contains(all, secret) {
					t.Errorf("secret %d: %v shows %s:\n%s", n, args, secret, all)
				}
			}
			if args[1] == "check" && code == exitUsage {
				t.Errorf("secret %d: %v: %s", n, args, &errs)
			}
		}
	}
}

// TestSARIF: the log has what SARIF 2.1.0 requires, its results name rules
// that are there, by index as well, and lines.
func TestSARIF(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "a b.yaml")
	if err := os.WriteFile(file, append([]byte("# a comment\n---\n"), spoilt()[0].YAML()...), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"secret", "check", "-f", file, "-o", "sarif"}, env{stdout: &out, stderr: &errs}); code != exitFailed {
		t.Errorf("exit %d: %s", code, &errs)
	}
	var log struct {
		Schema, Version string
		Runs            []struct {
			Tool struct {
				Driver struct {
					Name  string
					Rules []struct {
						ID                                      string
						ShortDescription, FullDescription, Help struct{ Text string }
						DefaultConfiguration                    struct{ Level string }
					}
				}
			}
			Results []struct {
				RuleID    string
				RuleIndex int
				Level     string
				Message   struct{ Text string }
				Locations []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI string }
						Region           struct{ StartLine int }
					}
				}
			}
		}
	}
	if err := json.Unmarshal(out.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	if log.Version != "2.1.0" || len(log.Runs) != 1 || log.Runs[0].Tool.Driver.Name != "fairlead" || len(log.Runs[0].Results) != 1 {
		t.Fatalf("%+v", log)
	}
	rules, r := log.Runs[0].Tool.Driver.Rules, log.Runs[0].Results[0]
	levels := map[string]bool{"error": true, "warning": true, "note": true}
	for _, x := range rules {
		if x.ID == "" || x.ShortDescription.Text == "" || x.FullDescription.Text == "" || x.Help.Text == "" || !levels[x.DefaultConfiguration.Level] {
			t.Errorf("rule %+v", x)
		}
	}
	at := r.Locations[0].PhysicalLocation
	if rules[r.RuleIndex].ID != r.RuleID || r.RuleID != string(pullsecret.AuthNotBase64) || r.Level != "error" || r.Message.Text == "" {
		t.Errorf("result %+v", r)
	}
	if !strings.HasPrefix(at.ArtifactLocation.URI, "file:///") || !strings.HasSuffix(at.ArtifactLocation.URI, "/a%20b.yaml") || at.Region.StartLine != 3 {
		t.Errorf("place %+v", at)
	}
	if empty := sarifOf(report{}, "v"); empty.Runs[0].Results == nil {
		t.Error("no findings are null: a tool would take the run for one that failed")
	}
}

// TestPullSecretDocuments: the documentation lists every rule, as it is.
func TestPullSecretDocuments(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/pull-secrets.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(doc), "\n## All rules\n")
	for _, d := range pullsecret.Rules() {
		if line := "| `" + string(d.Rule) + "` | " + string(d.Severity) + " | " + d.Title + " | " + d.Effect + " |"; !strings.Contains(table, line+"\n") {
			t.Errorf("docs/pull-secrets.md has no line\n%s", line)
		}
	}
	if n := strings.Count(table, "\n| `"); n != len(pullsecret.Rules()) {
		t.Errorf("docs/pull-secrets.md lists %d rules, there are %d", n, len(pullsecret.Rules()))
	}
}
