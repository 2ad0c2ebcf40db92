package harness

import (
	"testing"
)

// RestartAPIServer ends the API server, and starts it again once meanwhile is
// done. Whoever talks to it at that time fails: no test beside may run.
func (c *Kubernetes) RestartAPIServer(t testing.TB, meanwhile func()) {
	t.Helper()
	for i, p := range c.parts {
		if p.name != "kube-apiserver" {
			continue
		}
		p.stop(stopLimit)
		meanwhile()
		again, err := launch(c.dir, p.name, "", 0, p.cmd.Args...)
		if err != nil {
			t.Fatal(err)
		}
		c.parts[i] = again
		if err := await("the API server is ready again", startLimit, c.ready, again); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatal("there is no API server")
}
