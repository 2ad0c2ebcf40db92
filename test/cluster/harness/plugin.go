package harness

import (
	"errors"
	"os"
	"path/filepath"
)

// PluginHost is a registry whose credentials the node asks a plugin for. The
// plugin fails; pods that pull from there show what that looks like.
const PluginHost = "plugin.example.test"

const pluginConfig = `apiVersion: kubelet.config.k8s.io/v1
kind: CredentialProviderConfig
providers:
- name: fairlead-test-plugin
  apiVersion: credentialprovider.kubelet.k8s.io/v1
  matchImages: ["` + PluginHost + `"]
  defaultCacheDuration: 0s
`

// plugins gives the kubelet's flags for a credential plugin that fails.
func (c *Kubernetes) plugins() ([]string, error) {
	dir, config := filepath.Join(c.dir, "plugins"), filepath.Join(c.dir, "plugins.yaml")
	err := errors.Join(os.Mkdir(dir, 0o700),
		os.WriteFile(filepath.Join(dir, "fairlead-test-plugin"), []byte("#!/bin/sh\necho the plugin has no right to >&2\nexit 1\n"), 0o700),
		os.WriteFile(config, []byte(pluginConfig), 0o600))
	return []string{"--image-credential-provider-bin-dir=" + dir, "--image-credential-provider-config=" + config}, err
}

// KubeletLog is the path of the kubelet's log.
func (c *Kubernetes) KubeletLog() string { return filepath.Join(c.dir, "logs", "kubelet.log") }
