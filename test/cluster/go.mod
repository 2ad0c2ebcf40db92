module fairlead.dev/fairlead/test/cluster

go 1.26.0

require (
	fairlead.dev/fairlead/test/clients v0.0.0
	github.com/google/go-containerregistry v0.22.1
	golang.org/x/crypto v0.53.0
)

require (
	fairlead.dev/fairlead v0.0.0
	github.com/docker/cli v29.7.2+incompatible // indirect
	github.com/docker/docker-credential-helpers v0.9.3 // indirect
	github.com/klauspost/compress v1.19.2 // indirect
	github.com/opencontainers/go-digest v1.0.0 // indirect
	github.com/opencontainers/image-spec v1.1.1 // indirect
	github.com/sirupsen/logrus v1.9.4 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	gotest.tools/v3 v3.5.2 // indirect
	oras.land/oras-go/v2 v2.6.4 // indirect
)

replace fairlead.dev/fairlead/test/clients => ../clients

replace fairlead.dev/fairlead => ../..
