package clients

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"fairlead.dev/fairlead/test/clients/harness"
)

// TestComposed runs the program's own image as deploy/compose says, with
// docker alone: what was pushed into the volume is there when the container is
// made anew.
func TestComposed(t *testing.T) {
	t.Parallel()
	s := harness.Start(t) // somebody to have a home with
	home := s.Home(t)
	c := docker(t, home)
	tar := home.Path("fairlead.tar")
	if out, err := exec.CommandContext(t.Context(), harness.Binary(), "image", "self", tar, "--tag", "fairlead:latest").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c.Run("load", "--input", tar)

	create := append([]string{"create", "--name", "composed", "--network", "none"}, composed(t)...)
	start := func() {
		t.Helper()
		c.Run(create...)
		if !c.Works("start", "composed") {
			harness.Unavailable(t, "docker starts no container here")
		}
		for end := time.Now().Add(30 * time.Second); !c.Works("exec", "composed", "/fairlead", "account", "list"); time.Sleep(200 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the server does not answer: %s", c.Run("logs", "composed"))
			}
		}
	}
	start()
	c.Run("exec", "composed", "/fairlead", "account", "add", "acme")
	c.Run("stop", "--time", "60", "composed")
	if code := c.Run("inspect", "--format", "{{.State.ExitCode}}", "composed"); code != "0" {
		t.Errorf("the server ended with %s", code)
	}
	c.Run("rm", "composed")
	start()
	if got := c.Run("exec", "composed", "/fairlead", "account", "list", "--output", "name"); !strings.Contains(got, "acme") {
		t.Errorf("the new container has the accounts %q", got)
	}
	c.Run("rm", "--force", "composed")
}

// composed are docker's flags for what the compose file says of the service.
func composed(t *testing.T) []string {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services struct {
			Fairlead struct {
				Image, User string
				Command     []string
				Environment map[string]string
				Volumes     []string
				ReadOnly    bool     `yaml:"read_only"`
				CapDrop     []string `yaml:"cap_drop"`
				SecurityOpt []string `yaml:"security_opt"`
			}
		}
	}
	text, err := os.ReadFile(filepath.Join(root, "deploy", "compose", "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	s := file.Services.Fairlead
	args := []string{"--user", s.User, fmt.Sprintf("--read-only=%t", s.ReadOnly)}
	for name, value := range s.Environment {
		args = append(args, "--env", name+"="+value)
	}
	for flag, all := range map[string][]string{"--volume": s.Volumes, "--cap-drop": s.CapDrop, "--security-opt": s.SecurityOpt} {
		for _, one := range all {
			args = append(args, flag, one)
		}
	}
	return append(append(args, s.Image), s.Command...)
}
