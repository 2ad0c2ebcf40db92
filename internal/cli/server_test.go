package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"fairlead.dev/fairlead/internal/database/sqlite"
	"fairlead.dev/fairlead/internal/oci"
)

// TestServerScripts: the commands against a real server, and against its data
// folder when it is gone.
func TestServerScripts(t *testing.T) {
	t.Parallel()
	commands := map[string]func(*testscript.TestScript, bool, []string){
		"exit":  exitCode,
		"serve": serveInBackground,
		"end":   endServer,
		"push":  pushImage,
		"pull":  pullImage,

		"forget":   forgetTokens,
		"owntoken": ownToken,

		"tokenof": tokenOf,
		"tokenid": tokenID,
		"ids":     idsIn,
	}
	maps.Copy(commands, helperCommands)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/server",
		Setup: func(e *testscript.Env) error {
			e.Values[serversKey{}] = map[string]*exec.Cmd{}
			plainWorld(e)
			return nil
		},
		Cmds: commands,
	})
}

type serversKey struct{}

func serversOf(ts *testscript.TestScript) map[string]*exec.Cmd {
	m, _ := ts.Value(serversKey{}).(map[string]*exec.Cmd) // Setup put it there
	return m
}

var servingLine = regexp.MustCompile(`"msg":"serving","url":"http://([^"]+)"`)

// serveInBackground is "serve DATA [FLAG...]"; $REGISTRY is where it listens.
func serveInBackground(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: serve DATA [FLAG...]")
	}
	data := ts.MkAbs(args[0])
	flags := append([]string{"serve", "--data", data, "--log-format", "json"}, args[1:]...)
	if !slices.Contains(flags, "--listen") {
		flags = append(flags, "--listen", "127.0.0.1:0")
	}
	cmd := exec.Command("fairlead", flags...)
	// A campaign's own variables (FAIRLEAD_LONG, ...) are none of the program's.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "FAIRLEAD_") })
	log, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	serversOf(ts)[data] = cmd
	ts.Defer(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	up := make(chan string, 1)
	var said strings.Builder
	go func() {
		lines := bufio.NewScanner(log)
		for serving := false; lines.Scan(); {
			if !serving {
				said.WriteString(lines.Text() + "\n")
			}
			if m := servingLine.FindStringSubmatch(lines.Text()); m != nil {
				serving = true
				up <- m[1]
			}
		}
		close(up)
	}()
	host, ok := <-up
	if !ok {
		ts.Fatalf("the server does not come up:\n%s", said.String())
	}
	ts.Setenv("REGISTRY", host)
}

// endServer is "end DATA [kill]".
func endServer(ts *testscript.TestScript, _ bool, args []string) {
	cmd := serversOf(ts)[ts.MkAbs(args[0])]
	sig := syscall.SIGTERM
	if len(args) > 1 {
		sig = syscall.SIGKILL
	}
	ts.Check(cmd.Process.Signal(sig))
	if err := cmd.Wait(); err != nil && len(args) == 1 {
		ts.Fatalf("the server ended with %v", err)
	}
}

// registryClient is the least of a client: it signs in and sends requests.
type registryClient struct {
	ts          *testscript.TestScript
	host, token string
}

func (c registryClient) do(method, path, contentType, body string) (int, http.Header, string) {
	req, err := http.NewRequestWithContext(context.Background(), method, "http://"+c.host+path, strings.NewReader(body))
	c.ts.Check(err)
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Accept", oci.MediaTypeImageManifest)
	if secret, ok := strings.CutPrefix(c.token, "operator "); ok {
		req.SetBasicAuth("token", secret)
	} else {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	c.ts.Check(err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	c.ts.Check(err)
	return res.StatusCode, res.Header, string(b)
}

// signIn reads the operator's token in the data folder.
func signIn(ts *testscript.TestScript, data, repo string) registryClient {
	secret, err := os.ReadFile(filepath.Join(ts.MkAbs(data), "operator.token"))
	ts.Check(err)
	c := registryClient{ts, ts.Getenv("REGISTRY"), "operator " + strings.TrimSpace(string(secret))}
	_, _, body := c.do(http.MethodGet, "/token?scope=repository:"+repo+":pull,push,delete", "", "")
	var answer struct{ Token string }
	ts.Check(json.Unmarshal([]byte(body), &answer))
	c.token = answer.Token
	return c
}

func (c registryClient) pushBlob(repo, content string) string {
	d := string(oci.DigestOf(oci.SHA256, []byte(content)))
	if status, _, body := c.do(http.MethodPost, "/v2/"+repo+"/blobs/uploads/?digest="+d, "application/octet-stream", content); status != http.StatusCreated {
		c.ts.Fatalf("push a blob: %d %s", status, body)
	}
	return fmt.Sprintf(`"digest":%q,"size":%d}`, d, len(content))
}

// pushImage is "push DATA REPO:TAG SEED": the same seed is the same image.
// $DIGEST is its digest.
func pushImage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: push DATA REPO:TAG SEED")
	}
	t, err := parseTarget(args[1], "")
	ts.Check(err)
	repo := string(t.repo)
	c := signIn(ts, args[0], repo)
	manifest := `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeImageManifest + `","config":{"mediaType":"application/vnd.oci.image.config.v1+json",` +
		c.pushBlob(repo, `{"architecture":"amd64","os":"linux","author":"`+args[2]+`"}`) +
		`,"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar",` + c.pushBlob(repo, strings.Repeat("layer "+args[2], 1000)) + `]}`
	if status, _, body := c.do(http.MethodPut, "/v2/"+repo+"/manifests/"+t.ref.String(), oci.MediaTypeImageManifest, manifest); status != http.StatusCreated {
		ts.Fatalf("push the manifest: %d %s", status, body)
	}
	ts.Setenv("DIGEST", string(oci.DigestOf(oci.SHA256, []byte(manifest))))
}

// pullImage is "pull DATA REF": all of it, with right digests. With "!" it is
// not there.
func pullImage(ts *testscript.TestScript, neg bool, args []string) {
	t, err := parseTarget(args[1], "")
	ts.Check(err)
	repo := string(t.repo)
	c := signIn(ts, args[0], repo)
	status, header, body := c.do(http.MethodGet, "/v2/"+repo+"/manifests/"+t.ref.String(), "", "")
	if neg {
		if status != http.StatusNotFound {
			ts.Fatalf("pull %s: %d %s", args[1], status, body)
		}
		return
	}
	if status != http.StatusOK || header.Get("Docker-Content-Digest") != string(oci.DigestOf(oci.SHA256, []byte(body))) {
		ts.Fatalf("pull %s: %d %s", args[1], status, body)
	}
	for _, m := range regexp.MustCompile(`sha256:[0-9a-f]{64}`).FindAllString(body, -1) {
		status, _, content := c.do(http.MethodGet, "/v2/"+repo+"/blobs/"+m, "", "")
		if status != http.StatusOK || string(oci.DigestOf(oci.SHA256, []byte(content))) != m {
			ts.Fatalf("pull the blob %s: %d %.200s", m, status, content)
		}
	}
}

// tokenOf is "tokenof JSON FILE": what account add printed gives a file that
// only its owner reads.
func tokenOf(ts *testscript.TestScript, _ bool, args []string) {
	var made struct{ Token string }
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &made))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(made.Token+"\n"), 0o600))
}

// tokenID is "tokenid FILE": $TOKENID is the id in a value, and the file is
// its owner's alone.
func tokenID(ts *testscript.TestScript, _ bool, args []string) {
	value := strings.TrimSpace(ts.ReadFile(args[0]))
	ts.Setenv("TOKENID", strings.TrimPrefix(value, "flt_")[:12])
	ts.Check(os.Chmod(ts.MkAbs(args[0]), 0o600))
}

// idsIn is "ids FILE NAME...": what a file holds becomes a variable.
func idsIn(ts *testscript.TestScript, _ bool, args []string) {
	for pair := range slices.Chunk(args, 2) {
		ts.Setenv(pair[1], strings.TrimSpace(ts.ReadFile(pair[0])))
	}
}

// forgetTokens is "forget DATA": all tokens that ended are forgotten, as they
// are after 30 days. No server runs.
func forgetTokens(ts *testscript.TestScript, _ bool, args []string) {
	db, err := sqlite.Open(context.Background(), filepath.Join(ts.MkAbs(args[0]), "fairlead.db"), sqlite.Options{})
	ts.Check(err)
	n, err := db.Accounts.ForgetTokens(context.Background(), time.Now().Add(time.Minute), 1000)
	ts.Check(errors.Join(err, db.Close()))
	if n == 0 {
		ts.Fatalf("there is no token to forget")
	}
}

// ownToken is "owntoken UID TOKENFILE [ID]": what attach takes for the token of
// the cluster prod with this UID, whose secrets are gone; $OWN is its id. With
// "!", it takes what is there for another cluster's.
func ownToken(ts *testscript.TestScript, neg bool, args []string) {
	ctx, value := context.Background(), strings.TrimSpace(ts.ReadFile(args[1]))
	r, err := openRegistry(ctx, login{Name: "x", Server: "http://" + ts.Getenv("REGISTRY"), Token: value}, "")
	ts.Check(err)
	defer clusterRegistries{r}.close()
	v, err := r.token(ctx, clusterAccess, "prod", args[0], false)
	if neg {
		if err == nil || !strings.Contains(err.Error(), "has tokens of another cluster with the name prod") {
			ts.Fatalf("it takes %s for its own: %v", v.ID, err)
		}
		return
	}
	ts.Check(err)
	if len(args) > 2 && v.ID != args[2] {
		ts.Fatalf("it takes %s, want %s", v.ID, args[2])
	}
	ts.Setenv("OWN", v.ID)
}
