package config

import (
	"net/netip"
	"path/filepath"
	"time"
)

// Config is what the server is told. Load gives a checked one; the zero value
// is not usable.
type Config struct {
	Data              string    `yaml:"data" default:"fairlead-data" usage:"folder of the database, the blobs and the operator's token"`
	Keys              string    `yaml:"keys" usage:"folder of the secret keys (default: keys in the data folder)"`
	Listen            string    `yaml:"listen" default:"127.0.0.1:5000" usage:"address and port to serve on"`
	TLSCert           string    `yaml:"tls-cert" usage:"file with the TLS certificate chain (PEM); needs tls-key, reloaded when it changes"`
	TLSKey            string    `yaml:"tls-key" usage:"file with the TLS private key (PEM); needs tls-cert"`
	PublicURL         []Origin  `yaml:"public-url" usage:"URLs that clients reach this registry by, scheme://host[:port]; the first is the default"`
	TrustedProxies    []Network `yaml:"trusted-proxies" usage:"addresses or CIDR ranges of the proxies whose X-Forwarded-For is believed"`
	LogLevel          LogLevel  `yaml:"log-level" default:"info" usage:"least level that is logged: debug, info, warn or error"`
	LogFormat         LogFormat `yaml:"log-format" default:"auto" usage:"text, json, or auto: text on a terminal, JSON otherwise"`
	OperatorTokenFile string    `yaml:"operator-token-file" usage:"file that holds the operator's token, instead of the one in the data folder"`
	PprofListen       string    `yaml:"pprof-listen" usage:"loopback address and port to serve Go's profiles on; empty is off"`

	AnonymousPublic bool `yaml:"anonymous-public" default:"false" usage:"let everybody pull from public namespaces, without signing in"`

	AuditRetention  time.Duration `yaml:"audit-retention" default:"9600h" min:"0s" max:"87600h" usage:"how long lines of the audit trail are kept; 0 is for ever"`
	TokenLifetime   time.Duration `yaml:"token-lifetime" default:"5m" min:"1m" max:"1h" usage:"life of a registry token; clients ask for new ones by themselves"`
	ShutdownTimeout time.Duration `yaml:"shutdown-timeout" default:"30s" min:"0s" max:"1h" usage:"how long running pushes and pulls may go on after a stop was asked for"`

	MaxManifestSize      Size      `yaml:"max-manifest-size" default:"4MiB" min:"4MiB" max:"64MiB" usage:"largest manifest that is accepted"`
	MaxBlobSize          Size      `yaml:"max-blob-size" default:"0" usage:"largest blob that is accepted; 0 is no limit"`
	MinFreeDisk          FreeSpace `yaml:"min-free-disk" default:"5%" usage:"pushes are refused while less than this share (5%) or amount (20GiB) of the disk is free; 0 is off"`
	MaxConcurrentUploads int       `yaml:"max-concurrent-uploads" default:"64" min:"1" max:"100000" usage:"requests that may send upload bytes at the same time, per principal"`
	MaxOpenUploads       int       `yaml:"max-open-uploads" default:"1000" min:"1" max:"1000000" usage:"uploads that may be begun and not finished, per principal"`
	MaxUnfinishedBytes   Size      `yaml:"max-unfinished-bytes" default:"100GiB" min:"1MiB" usage:"bytes that unfinished uploads may hold, per principal"`

	UploadExpiry     time.Duration `yaml:"upload-expiry" default:"24h" min:"1m" max:"720h" usage:"an upload that is untouched for this long is abandoned and removed"`
	TrashRetention   time.Duration `yaml:"trash-retention" default:"720h" min:"0s" max:"87600h" usage:"how long the trash holds what was deleted; until then it can be restored"`
	HistoryRetention time.Duration `yaml:"history-retention" default:"9600h" min:"0s" max:"876000h" usage:"how long it is known what tags named and who moved them; the last move of each tag stays; 0 is for ever"`
	SweepInterval    time.Duration `yaml:"sweep-interval" default:"10m" min:"1s" max:"24h" usage:"pause between two sweeps for unreferenced blobs"`
	SweepGrace       time.Duration `yaml:"sweep-grace" default:"1h" min:"1s" max:"720h" usage:"how long a blob that nothing refers to is kept"`
}

// TLS says whether the server ends TLS itself.
func (c Config) TLS() bool { return c.TLSCert != "" }

// Proxies gives the trusted proxies as prefixes.
func (c Config) Proxies() []netip.Prefix {
	out := make([]netip.Prefix, len(c.TrustedProxies))
	for i, n := range c.TrustedProxies {
		out[i] = n.Prefix
	}
	return out
}

// derive fills what defaults to something that depends on another setting.
func (c *Config) derive() {
	if c.Keys == "" {
		c.Keys = filepath.Join(c.Data, "keys")
	}
}
