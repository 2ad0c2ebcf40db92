package serve

import (
	"context"
	"net/http"
	"time"

	"fairlead.dev/fairlead/internal/access"
	"fairlead.dev/fairlead/internal/account"
	"fairlead.dev/fairlead/internal/admin"
	"fairlead.dev/fairlead/internal/audit"
	"fairlead.dev/fairlead/internal/management"
	"fairlead.dev/fairlead/internal/oci"
	"fairlead.dev/fairlead/internal/registry"
	"fairlead.dev/fairlead/internal/registry/guard"
	"fairlead.dev/fairlead/internal/tally"
	"fairlead.dev/fairlead/internal/token"
)

// house is who is who: accounts with their namespaces and tokens, and what
// follows from them.
type house struct {
	directory *account.Directory
	signIn    *account.SignIn
	registrar *account.Registrar
	gate      *gate
	policy    access.Policy
	audit     *audit.Recorder
	tally     *tally.Recorder
	desk      *management.Desk
	api       http.Handler
}

var _ admin.Service = (*management.Desk)(nil)

const (
	// endedFor is how long tokens that ended stay in lists that ask for them.
	endedFor    = 30 * 24 * time.Hour
	forgetEvery = 10 * time.Minute
	forgetBatch = 1000
)

// buildHouse reads who is who, and makes what depends on it.
func (s *server) buildHouse() error {
	h := &house{
		directory: account.NewDirectory(account.DirectoryOptions{Store: s.database.Accounts, Horizon: token.Horizon + token.MaxLifetime, Log: s.log}),
		audit:     audit.NewRecorder(audit.Options{Store: s.database.Audit, Keep: s.c.AuditRetention, Log: s.log}),
		tally:     tally.NewRecorder(s.database.Tally, s.log),
	}
	s.house = h
	if err := h.directory.Refresh(context.Background()); err != nil {
		return err
	}
	h.policy = access.NewPolicy(access.Options{Namespaces: h.directory, AnonymousPublic: s.c.AnonymousPublic})
	h.registrar = account.NewRegistrar(account.RegistrarOptions{
		Store: s.database.Accounts, Directory: h.directory, Keys: s.values, Reserved: s.c.TrashRetention, Record: s.recorded,
	})
	h.desk = management.New(management.Options{
		Registrar: h.registrar, Directory: h.directory, Registry: s.registry, Overview: s.database.Overview,
		Lines: s.database.Audit, Policy: h.policy, Audited: s.audit, Record: s.recorded, Version: s.o.Version,
		View: func(v guard.Viewer) registry.Registry { return guard.New(s.registry, v) },
	})
	return nil
}

// openDoors lets accounts in, over the network.
func (s *server) openDoors() {
	h := s.house
	h.signIn = account.NewSignIn(s.operator, h.directory, s.values, s.database.Accounts)
	h.gate = newGate(h.signIn, s.recorded, h.tally.Used)
	h.api = admin.New(admin.Options{Service: h.desk, Authenticate: h.gate.Request, Version: s.o.Version})
}

// theOperator is who acts on the data folder itself: by the control socket, or
// without a server. The folder's permissions are the credential.
var theOperator = access.Principal{Kind: access.Operator, TokenID: "control-socket", Name: admin.Actor}

// operatorAsks is who asks on the control socket.
func operatorAsks(*http.Request) (access.Principal, error) { return theOperator, nil }

// pulled counts a pull, or notes that a tag was looked up.
func (s *server) pulled(p access.Principal, repo oci.Repo, ref oci.Ref, digest oci.Digest, head bool) {
	pull := tally.Pull{Repo: repo, Tag: ref.Tag, Digest: digest, Token: p.TokenID, At: time.Now()}
	if head {
		s.house.tally.Looked(pull)
		return
	}
	s.house.tally.Pulled(pull)
}

// forgetTokens removes tokens that ended long ago, until ctx ends.
func (s *server) forgetTokens(ctx context.Context) error {
	tick := time.NewTicker(forgetEvery)
	defer tick.Stop()
	for {
		for {
			n, err := s.database.Accounts.ForgetTokens(ctx, time.Now().Add(-endedFor), forgetBatch)
			if err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "tokens that ended could not be forgotten", "error", err)
			}
			if err != nil || n < forgetBatch {
				break
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
