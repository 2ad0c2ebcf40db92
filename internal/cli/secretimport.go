package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/dockerconfig"
	"fairlead.dev/fairlead/internal/credhelper"
)

const (
	// usual is the value of --from-… without one: where the tools have it.
	usual = "auto"
	// helperTime is how long one question to a credential helper may take: it
	// may have to ask a person, and hangs where it cannot.
	helperTime = 30 * time.Second
	tokenHint  = "make an access token at the registry, and give it with --server, --username and --password-stdin"
	// identityUser is what helpers call an identity token.
	identityUser = "<token>"
)

// fileSource is a file that docker or podman wrote.
type fileSource struct {
	docker, containers string
	only               []string
	patience           time.Duration
}

func (s *fileSource) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.docker, "from-docker-config", "", "take what docker is signed in to, from this `file` (auto: $DOCKER_CONFIG/config.json, else ~/.docker/config.json)")
	f.StringVar(&s.containers, "from-auth-file", "", "take what podman is signed in to, from this `file` (auto: $REGISTRY_AUTH_FILE, else auth.json in $XDG_RUNTIME_DIR/containers or ~/.config/containers)")
	f.Lookup("from-docker-config").NoOptDefVal = usual
	f.Lookup("from-auth-file").NoOptDefVal = usual
	f.StringSliceVar(&s.only, "only", nil, "take the entries of this `host` alone; may be repeated")
	complete(cmd, "only")
}

func (s *fileSource) given() bool { return s.docker != "" || s.containers != "" }

// entries are those of the file, with what lies in stores and helpers.
func (s *fileSource) entries(ctx context.Context, e env) ([]dockerconfig.Entry, error) {
	path, err := s.path(e)
	if err != nil {
		return nil, err
	}
	text, err := readConfig(path)
	if err != nil {
		return nil, err
	}
	file, err := dockerconfig.Parse(text)
	if err != nil {
		return nil, saidf("fairlead secret check -f "+path, "%s cannot be read: %w", path, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 4*s.patience) // many helpers may hang
	defer cancel()
	i := importer{fileSource: s, e: e, file: file, path: path}
	return i.run(ctx)
}

// path is the file's, as docker or the containers tools look for it.
func (s *fileSource) path(e env) (string, error) {
	home := e.variable("HOME")
	var places []string
	switch {
	case s.docker != "" && s.docker != usual:
		return s.docker, nil
	case s.containers != "" && s.containers != usual:
		return s.containers, nil
	case s.docker != "":
		if dir := e.variable("DOCKER_CONFIG"); dir != "" {
			return filepath.Join(dir, "config.json"), nil
		}
		return filepath.Join(home, ".docker", "config.json"), nil
	}
	if f := e.variable("REGISTRY_AUTH_FILE"); f != "" {
		return f, nil
	}
	if dir := e.variable("XDG_RUNTIME_DIR"); dir != "" {
		places = append(places, filepath.Join(dir, "containers", "auth.json"))
	}
	config := e.variable("XDG_CONFIG_HOME")
	if config == "" {
		config = filepath.Join(home, ".config")
	}
	places = append(places, filepath.Join(config, "containers", "auth.json"))
	for _, p := range places {
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
	}
	return "", saidf("podman login HOST, or name the file with --from-auth-file=PATH", "podman is signed in nowhere: there is no %s", strings.Join(places, " and no "))
}

func readConfig(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, saidf("docker login HOST, or name the file with --from-docker-config=PATH", "there is no file %s", path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the credentials: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(f, dockerconfig.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read the credentials: %w", err)
	}
	return text, nil
}

// importer makes explicit entries of a file.
type importer struct {
	*fileSource
	e    env
	file *dockerconfig.File
	path string

	// refused are entries that no kubelet can use, with the reason.
	refused map[string]string
	// skipped are entries without a credential.
	skipped []string
}

func (i *importer) run(ctx context.Context) ([]dockerconfig.Entry, error) {
	keys, err := i.keys(ctx)
	if err != nil {
		return nil, err
	}
	i.refused = map[string]string{}
	var out []dockerconfig.Entry
	used := map[string]bool{}
	for _, key := range keys {
		if !i.picked(key, used) {
			continue
		}
		entry, ok, err := i.resolve(ctx, key)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, entry)
		}
	}
	return out, i.complain(keys, out, used)
}

// keys are what the file has something for: in its entries, in its helpers,
// and in its store.
func (i *importer) keys(ctx context.Context) ([]string, error) {
	var keys []string
	seen := map[string]bool{}
	add := func(key string) {
		if !seen[bareHost(key)] {
			keys = append(keys, key)
			seen[bareHost(key)] = true
		}
	}
	for _, e := range i.file.Entries() {
		keys = append(keys, e.Key)
		seen[bareHost(e.Key)] = true
	}
	for _, host := range slices.Sorted(maps.Keys(i.file.CredHelpers())) {
		add(host)
	}
	store := i.file.CredsStore()
	if store == "" || i.containers != "" { // the containers tools know no credsStore
		return keys, nil
	}
	h, err := credhelper.New(store)
	if err != nil {
		return nil, fmt.Errorf("credsStore in %s: %w", i.path, err)
	}
	ctx, cancel := context.WithTimeout(ctx, i.patience)
	defer cancel()
	list, err := h.List(ctx)
	if err != nil {
		if len(keys) == 0 || ctx.Err() != nil {
			return nil, helperError(err, store)
		}
		fmt.Fprintf(i.e.stderr, "warning: credsStore of %s cannot be listed, only what the file names is taken: %v\n", i.path, err)
		return keys, nil
	}
	for _, server := range slices.Sorted(maps.Keys(list)) {
		// Docker Desktop keeps the tokens of its own sign-in beside docker's.
		if !strings.HasSuffix(server, "/access-token") && !strings.HasSuffix(server, "/refresh-token") {
			add(server)
		}
	}
	return keys, nil
}

// picked says whether --only takes a key, and notes what it took.
func (i *importer) picked(key string, used map[string]bool) bool {
	if len(i.only) == 0 {
		return true
	}
	for _, o := range i.only {
		host, path, _ := strings.Cut(bareHost(key), "/")
		want := bareHost(o)
		if want == host || want == host+"/"+path || isHub(want) && isHub(host) {
			used[o] = true
			return true
		}
	}
	return false
}

// resolve makes an explicit entry, as docker or podman would find it.
func (i *importer) resolve(ctx context.Context, key string) (dockerconfig.Entry, bool, error) {
	entry, inFile := i.file.Entry(key)
	entry.Key = key
	got, helper, err := i.ask(ctx, key)
	switch {
	case err == nil:
		got.Key, got.Email = key, entry.Email
		entry = got
	case !errors.Is(err, credhelper.ErrNotFound):
		return entry, false, err
	case helper != "" && (!inFile || entry.Kind() == dockerconfig.KindEmpty):
		i.skipped = append(i.skipped, key+" (docker-credential-"+helper+" holds nothing for it)")
		return entry, false, nil
	}
	switch entry.Kind() {
	case dockerconfig.KindPassword:
		// Only what a kubelet reads goes into the secret.
		return dockerconfig.Entry{Key: key, Username: entry.Username, Password: entry.Password, Email: entry.Email}, true, nil
	case dockerconfig.KindIdentity:
		i.refused[key] = "is an identity token, which a kubelet cannot use"
	case dockerconfig.KindRegistry:
		i.refused[key] = "is a registry token, which a kubelet cannot use"
	default:
		i.skipped = append(i.skipped, key+" (it has no credential)")
	}
	return entry, false, nil
}

// ask gets what a helper holds for a key; ErrNotFound if that is nothing, or
// there is no helper. Helpers know a registry by its host, and some also by
// what stands in the file.
func (i *importer) ask(ctx context.Context, key string) (entry dockerconfig.Entry, helper string, err error) {
	var found dockerconfig.Found
	if i.containers != "" {
		found, _ = i.file.Containers(bareHost(key))
	} else {
		host, _, _ := strings.Cut(bareHost(key), "/")
		found, _ = i.file.Docker(host)
	}
	if found.Helper == "" {
		return entry, "", credhelper.ErrNotFound
	}
	h, err := credhelper.New(found.Helper)
	if err != nil {
		return entry, found.Helper, fmt.Errorf("the helper of %s in %s: %w", key, i.path, err)
	}
	for _, server := range slices.Compact([]string{found.Server, key}) {
		ctx, cancel := context.WithTimeout(ctx, i.patience)
		entry, err = fetch(ctx, h, found.Helper, server)
		cancel()
		if !errors.Is(err, credhelper.ErrNotFound) {
			break
		}
	}
	return entry, found.Helper, err
}

// complain refuses a secret that would lack what was asked for.
func (i *importer) complain(keys []string, out []dockerconfig.Entry, used map[string]bool) error {
	good := make([]string, len(out))
	for n, e := range out {
		good[n] = "--only " + bareHost(e.Key)
	}
	for _, o := range i.only {
		if !used[o] {
			return saidf("fairlead secret create --help", "%s has nothing for %s; it has %s", i.path, o, orNothing(strings.Join(keys, ", ")))
		}
	}
	if len(i.refused) > 0 {
		var texts []string
		for _, k := range sorted(i.refused) {
			texts = append(texts, k+" "+i.refused[k])
		}
		hint := tokenHint
		if len(good) > 0 {
			hint += "; for the others alone: " + strings.Join(good, " ")
		}
		return saidf(hint, "%s: %s", i.path, strings.Join(texts, "; "))
	}
	if len(out) == 0 {
		return saidf("docker login HOST, or podman login HOST", "%s has no credential: %s", i.path, orNothing(strings.Join(i.skipped, ", ")))
	}
	for _, s := range i.skipped {
		if len(i.only) > 0 {
			return saidf("sign in there, or leave it out of --only", "%s has no credential for %s", i.path, s)
		}
		fmt.Fprintln(i.e.stderr, "left out: "+shown(s))
	}
	return nil
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return shown(s)
}

// bareHost is a key without scheme and version, as people mean it.
func bareHost(key string) string {
	if _, rest, ok := strings.Cut(key, "://"); ok {
		key = rest
	}
	for _, version := range []string{"/v1", "/v2"} {
		key = strings.TrimSuffix(strings.TrimSuffix(key, "/"), version)
	}
	return strings.TrimSuffix(key, "/")
}

func isHub(host string) bool {
	return host == "docker.io" || host == "index.docker.io" || host == "registry-1.docker.io"
}

// fetch gets a credential of a server, as an entry without a key.
func fetch(ctx context.Context, h credhelper.Helper, name, server string) (dockerconfig.Entry, error) {
	if name == programFairlead { // a secret must outlive the afternoon
		return dockerconfig.Entry{}, saidf("fairlead secret create NAME --new-token --expires 90d", "%s gives out tokens that end within hours, and pods would stop pulling", programCredential)
	}
	user, secret, err := h.Get(ctx, server)
	switch {
	case errors.Is(err, credhelper.ErrNotFound):
		return dockerconfig.Entry{}, err
	case err != nil:
		return dockerconfig.Entry{}, helperError(err, name)
	case user == identityUser:
		return dockerconfig.Entry{IdentityToken: secret}, nil
	}
	return dockerconfig.Entry{Username: user, Password: secret}, nil
}

// helperError says what to do about a helper that fails or hangs.
func helperError(err error, name string) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return saidf("unlock its key ring, see what docker-credential-"+name+" list does, or give it longer with --helper-timeout", "docker-credential-%s did not answer in time", name)
	}
	return withHint(err, "see what docker-credential-"+name+" list says")
}
