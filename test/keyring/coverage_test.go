package keyring_test

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const covered = "FAIRLEAD_COVERED" // set in the run that is measured

// notInPlay are functions that the differential test need not cover whole,
// by the end of their file's path and their name, and why.
var notInPlay = map[string]string{
	"fairlead/keyring/credential.go String":      "how a credential is printed: the package's own tests",
	"fairlead/keyring/credential.go Format":      "as String",
	"fairlead/keyring/credential.go LogValue":    "as String",
	"fairlead/keyring/credential.go MarshalJSON": "as String",
	"fairlead/keyring/error.go Error":            "as String",
	"fairlead/keyring/image.go Error":            "as String",
	"fairlead/keyring/keyring.go Skipped":        "the kubelet says nothing of what it skips: the package's own tests",

	"credentialprovider/keyring.go isDefaultRegistryMatch":           "the rest is for names without a slash, which no image's repository is",
	"credentialprovider/keyring.go NewTrackedAuthConfig":             "the rest is a panic",
	"credentialprovider/keyring.go hashAuthConfig":                   "the rest is for what cannot be encoded",
	"credentialprovider/keyring.go FakeKeyring.Lookup":               "a fake",
	"credentialprovider/keyring.go providersDockerKeyring.Lookup":    "TestNode has it; it reads files",
	"credentialprovider/config.go Error":                             "an error of HTTP",
	"credentialprovider/config.go MarshalJSON":                       "it writes what is only read here",
	"credentialprovider/config.go encodeDockerConfigFieldAuth":       "as MarshalJSON",
	"credentialprovider/config.go readDockerConfigJSONFileFromBytes": "unexported, and used by what reads files only; nodeConfig does the same",
}

// TestCoverage runs the differential test once more and asserts that it
// reaches every branch of both sides.
func TestCoverage(t *testing.T) {
	if os.Getenv(covered) != "" {
		t.Skip("this is the run that is measured")
	}
	profile := filepath.Join(t.TempDir(), "cover.out")
	const theirs = "k8s.io/kubernetes/pkg/credentialprovider"
	run := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-run", "^(TestTable|TestDifferential)$",
		"-coverpkg=fairlead.dev/fairlead/keyring,"+theirs+","+theirs+"/secrets", "-coverprofile="+profile, ".")
	run.Env = append(os.Environ(), covered+"=1", "FAIRLEAD_LONG=", "FAIRLEAD_SEED=5")
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), "go", "tool", "cover", "-func="+profile).Output()
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^(\S+):(\d+):\s+(\S+)\s+(\S+)%$`)
	source := sources(t, "fairlead.dev/fairlead/keyring", theirs, theirs+"/secrets")
	var whole int
	for _, m := range line.FindAllStringSubmatch(string(out), -1) {
		file, name, percent := m[1], m[3], m[4]
		if percent == "100.0" {
			whole++
			continue
		}
		if name == "Lookup" { // three types have one
			number, err := strconv.Atoi(m[2])
			if err != nil {
				t.Fatal(err)
			}
			name = receiver(t, source(file), number) + "." + name
		}
		why, known := reason(file, name)
		t.Logf("%s %s: %s %%: %s", file, name, percent, why)
		if !known {
			t.Errorf("%s: the differential test covers %s to %s %% only", file, name, percent)
		}
	}
	if whole < 30 {
		t.Errorf("%d functions are covered whole: the profile is not read right\n%s", whole, out)
	}
}

// sources gives the path of a file of a package, which a profile names by the
// package's path.
func sources(t *testing.T, packages ...string) func(file string) string {
	out, err := exec.CommandContext(t.Context(), "go", append([]string{"list", "-f", "{{.ImportPath}} {{.Dir}}"}, packages...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	dirs := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, dir, _ := strings.Cut(strings.TrimSpace(line), " ")
		dirs[name] = dir
	}
	return func(file string) string { return filepath.Join(dirs[path.Dir(file)], path.Base(file)) }
}

// receiver is the type of the method that begins on a line of a file.
func receiver(t *testing.T, file string, number int) string {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`^func \(\w+ \*?(\w+)\)`).FindStringSubmatch(strings.Split(string(text), "\n")[number-1])
	if m == nil {
		t.Fatalf("%s:%d is no method", file, number)
	}
	return m[1]
}

// reason says why a function need not be covered.
func reason(file, name string) (string, bool) {
	if strings.HasSuffix(file, "/provider.go") {
		return "providers are not in play", true
	}
	if strings.HasSuffix(file, "/config.go") && regexp.MustCompile(`Path|^Read.*File$|^ReadURL$`).MatchString(name) {
		return "it reads files and URLs", true
	}
	for at, why := range notInPlay {
		if f, n, _ := strings.Cut(at, " "); strings.HasSuffix(file, f) && n == name {
			return why, true
		}
	}
	return "", false
}
