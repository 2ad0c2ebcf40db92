package clients

import (
	"strings"
	"testing"

	"fairlead.dev/fairlead/test/clients/harness"
)

func TestHelm(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	home := s.Home(t)
	c := home.Tool("helm")
	home.Write("chart/Chart.yaml", "apiVersion: v2\nname: beacon\nversion: 1.2.3\ndescription: a chart for a test\n")
	home.Write("chart/templates/configmap.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: beacon}\ndata: {light: \"{{ .Values.light }}\"}\n")
	home.Write("chart/values.yaml", "light: green\n")
	c.Run("package", "chart")
	charts := "oci://" + s.Ref("team/charts")

	c.Refused("push", "--plain-http", "beacon-1.2.3.tgz", charts)
	c.Fails(strings.NewReader("wrong"), "registry", "login", s.Host, "--plain-http", "-u", harness.User, "--password-stdin")
	c.Input(strings.NewReader(s.Token), "registry", "login", s.Host, "--plain-http", "-u", harness.User, "--password-stdin")

	c.Run("push", "--plain-http", "beacon-1.2.3.tgz", charts)
	digest := s.Has(t, "team/charts/beacon", "1.2.3")
	if shown := c.Run("show", "chart", "--plain-http", charts+"/beacon", "--version", "1.2.3"); !strings.Contains(shown, "a chart for a test") {
		t.Errorf("helm show chart = %q", shown)
	}
	if made := c.Run("template", "--plain-http", "--set", "light=red", "x", charts+"/beacon"); !strings.Contains(made, `light: "red"`) {
		t.Errorf("helm template, finding the version by the tag list, made %q", made)
	}
	for file, ref := range map[string][]string{
		"beacon-1.2.3.tgz": {charts + "/beacon", "--version", "1.2.3"},
		"beacon@" + strings.Replace(digest, ":", "-", 1) + ".tgz": {charts + "/beacon@" + digest},
	} {
		c.Run(append([]string{"pull", "--plain-http", "--destination", home.Path("tmp")}, ref...)...)
		if home.Read("tmp/"+file) != home.Read("beacon-1.2.3.tgz") {
			t.Errorf("%s came back as other bytes", file)
		}
	}

	c.Run("registry", "logout", s.Host)
	c.Refused("show", "chart", "--plain-http", charts+"/beacon", "--version", "1.2.3")
}
