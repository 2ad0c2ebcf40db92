package deploy_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"fairlead.dev/fairlead/internal/config"
)

// load checks the settings of a file as the server does.
func load(t *testing.T, file string) config.Config {
	t.Helper()
	c, err := config.Load(config.Source{File: file})
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return c
}

// TestUnit: systemd takes the unit, which keeps the service to itself.
func TestUnit(t *testing.T) {
	t.Parallel()
	unit := text(t, "systemd/fairlead.service")
	for _, line := range []string{
		"DynamicUser=yes", "StateDirectory=fairlead", "ProtectSystem=strict", "ProtectHome=yes", "NoNewPrivileges=yes", "PrivateDevices=yes",
		"CapabilityBoundingSet=CAP_NET_BIND_SERVICE", "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX", "MemoryDenyWriteExecute=yes", "SystemCallFilter=@system-service",
	} {
		if !strings.Contains(unit, "\n"+line+"\n") {
			t.Errorf("the unit has no line %s", line)
		}
	}
	c := load(t, "systemd/fairlead.yaml")
	if !strings.Contains(unit, "ExecStart=/usr/local/bin/fairlead serve --config /etc/fairlead/fairlead.yaml\n") || c.Data != "/var/lib/fairlead" {
		t.Errorf("the unit's folder is /var/lib/fairlead, the configuration's %s", c.Data)
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil && os.Getenv("CI") != "" {
		t.Fatal("systemd-analyze is not installed: make deps installs it")
	}
	if err != nil {
		t.Skip("systemd-analyze is not installed: the rest was checked")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// It looks for the program: one that is there, and one that is not.
	start := func(program string) string {
		return strings.Replace(unit, "=/usr/local/bin/fairlead", "="+program, 1)
	}
	for want, unit := range map[string]string{
		"":                start(self),
		"Unknown key":     strings.Replace(start(self), "ProtectHome", "ProtectHouse", 1),
		"is not executab": start(filepath.Join(t.TempDir(), "absent")),
	} {
		file := filepath.Join(t.TempDir(), "fairlead.service")
		if err := os.WriteFile(file, []byte(unit), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", file).CombinedOutput()
		said := said(out, file)
		switch {
		case want == "" && (err != nil || said != ""):
			t.Errorf("systemd says %v %s", err, said)
		case want != "" && !strings.Contains(said, want):
			t.Errorf("systemd finds nothing wrong with a unit that is; want %q, it says %s", want, said)
		}
	}
}

// said is what systemd-analyze says of our unit: it reads others as well.
func said(out []byte, file string) string {
	var b bytes.Buffer
	for line := range bytes.Lines(out) {
		if bytes.Contains(line, []byte(file)) || bytes.HasPrefix(line, []byte("fairlead.service")) {
			b.Write(line)
		}
	}
	return b.String()
}

// TestServerFiles: the configurations that are shipped are whole, and name the
// folders that the pods, the service and the container have.
func TestServerFiles(t *testing.T) {
	t.Parallel()
	c := load(t, "server/fairlead.yaml")
	if c.Data != "/var/lib/fairlead/data" || c.Listen != ":5000" || !c.TLS() || len(c.PublicURL) != 1 {
		t.Errorf("the pod's configuration is %+v", c)
	}

	_, rest, _ := strings.Cut(text(t, "../docs/install.md"), "systemctl restart fairlead")
	_, rest, _ = strings.Cut(rest, "```yaml\n")
	own, _, ok := strings.Cut(rest, "```")
	file := filepath.Join(t.TempDir(), "fairlead.yaml")
	if err := os.WriteFile(file, []byte(own), 0o600); err != nil {
		t.Fatal(err)
	}
	if c := load(t, file); !ok || !c.TLS() || !strings.HasPrefix(c.TLSKey, "/run/credentials/fairlead.service/") {
		t.Errorf("docs/install.md has the configuration %+v for a service with TLS of its own", c)
	}
}

// TestCompose: the container has what it needs and no more, and its variables
// are settings.
func TestCompose(t *testing.T) {
	t.Parallel()
	var file struct {
		Name     string
		Services map[string]struct {
			Image, User     string
			Command         []string
			Environment     map[string]string
			Ports, Volumes  []string
			ReadOnly        bool     `yaml:"read_only"`
			CapDrop         []string `yaml:"cap_drop"`
			SecurityOpt     []string `yaml:"security_opt"`
			Restart         string
			StopGracePeriod string `yaml:"stop_grace_period"`
		}
		Volumes map[string]any
	}
	d := yaml.NewDecoder(strings.NewReader(text(t, "compose/compose.yaml")))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil {
		t.Fatal(err)
	}
	s := file.Services["fairlead"]
	if s.Image != "fairlead:latest" || s.User != "65532:65532" || !s.ReadOnly || strings.Join(s.CapDrop, "") != "ALL" || strings.Join(s.Command, " ") != "serve" {
		t.Errorf("the service is %+v", s)
	}
	var env []string
	for k, v := range s.Environment {
		env = append(env, k+"="+v)
	}
	c, err := config.Load(config.Source{Env: env})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(s.Volumes, ","); got != "data:"+c.Data {
		t.Errorf("the volumes are %s, the data folder is %s", got, c.Data)
	}
	if _, ok := file.Volumes["data"]; !ok {
		t.Error("the volume data is not made")
	}
	if got := strings.Join(s.Ports, ","); !regexp.MustCompile(`^127\.0\.0\.1:5000` + c.Listen + `$`).MatchString(got) {
		t.Errorf("the ports are %s, the server listens on %s", got, c.Listen)
	}
}
