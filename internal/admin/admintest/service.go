package admintest

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	v1 "fairlead.dev/fairlead/api/v1"
	"fairlead.dev/fairlead/internal/access"
)

// Asked is one call of a Service.
type Asked struct {
	Method string
	Who    access.Principal
	Args   []any
}

// Service is an admin.Service. The zero value answers zero values.
type Service struct {
	// Answers by method, as JSON: the answer, or a list of pages of which each
	// follows the one whose next is asked for.
	Answers map[string]json.RawMessage
	// Errors by method.
	Errors map[string]Failure

	mu    sync.Mutex
	asked []Asked
}

// Asked gives what was asked so far.
func (s *Service) Asked() []Asked {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Asked(nil), s.asked...)
}

// Say sets the answer of a method.
func (s *Service) Say(method string, answer any) error {
	raw, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("the answer of %s: %w", method, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Answers == nil {
		s.Answers = map[string]json.RawMessage{}
	}
	s.Answers[method] = raw
	return nil
}

// answer notes a call and gives what it is to say.
func answer[A any](s *Service, p access.Principal, next, method string, args ...any) (A, error) {
	var a A
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, Asked{method, p, args})
	if f, ok := s.Errors[method]; ok {
		return a, f.err()
	}
	raw, err := page(s.Answers[method], next)
	if err != nil || len(raw) == 0 {
		return a, err
	}
	return a, json.Unmarshal(raw, &a)
}

// page finds the page that begins at next, when raw is a list of pages.
func page(raw json.RawMessage, next string) (json.RawMessage, error) {
	if len(raw) == 0 || raw[0] != '[' {
		return raw, nil
	}
	var pages []json.RawMessage
	if err := json.Unmarshal(raw, &pages); err != nil {
		return nil, err
	}
	at := ""
	for _, p := range pages {
		if at == next {
			return p, nil
		}
		var follows struct{ Next string }
		if err := json.Unmarshal(p, &follows); err != nil {
			return nil, err
		}
		at = follows.Next
	}
	return nil, nil
}

// AddAccount is admin.Service's.
func (s *Service) AddAccount(_ context.Context, p access.Principal, spec v1.AccountSpec) (v1.AccountMade, error) {
	return answer[v1.AccountMade](s, p, "", "AddAccount", spec)
}

// Account is admin.Service's.
func (s *Service) Account(_ context.Context, p access.Principal, name string) (v1.Account, error) {
	return answer[v1.Account](s, p, "", "Account", name)
}

// Accounts is admin.Service's.
func (s *Service) Accounts(_ context.Context, p access.Principal, next string, limit int) (v1.AccountPage, error) {
	return answer[v1.AccountPage](s, p, next, "Accounts", next, limit)
}

// Whoami is admin.Service's.
func (s *Service) Whoami(_ context.Context, p access.Principal) (v1.Whoami, error) {
	return answer[v1.Whoami](s, p, "", "Whoami")
}

// AddNamespace is admin.Service's.
func (s *Service) AddNamespace(_ context.Context, p access.Principal, spec v1.NamespaceSpec) (v1.NamespaceMade, error) {
	return answer[v1.NamespaceMade](s, p, "", "AddNamespace", spec)
}

// Namespace is admin.Service's.
func (s *Service) Namespace(_ context.Context, p access.Principal, name string) (v1.Namespace, error) {
	return answer[v1.Namespace](s, p, "", "Namespace", name)
}

// Namespaces is admin.Service's.
func (s *Service) Namespaces(_ context.Context, p access.Principal, account, next string, limit int) (v1.NamespacePage, error) {
	return answer[v1.NamespacePage](s, p, next, "Namespaces", account, next, limit)
}

// SetNamespace is admin.Service's.
func (s *Service) SetNamespace(_ context.Context, p access.Principal, name string, c v1.NamespaceChange, version int64) (v1.Namespace, error) {
	return answer[v1.Namespace](s, p, "", "SetNamespace", name, c, version)
}

// RemoveNamespace is admin.Service's.
func (s *Service) RemoveNamespace(_ context.Context, p access.Principal, name string, dryRun bool) (v1.Removed, error) {
	return answer[v1.Removed](s, p, "", "RemoveNamespace", name, dryRun)
}

// AddToken is admin.Service's.
func (s *Service) AddToken(_ context.Context, p access.Principal, spec v1.TokenSpec, requestKey string) (v1.TokenValue, error) {
	return answer[v1.TokenValue](s, p, "", "AddToken", spec, requestKey)
}

// Token is admin.Service's.
func (s *Service) Token(_ context.Context, p access.Principal, id string) (v1.Token, error) {
	return answer[v1.Token](s, p, "", "Token", id)
}

// TokenValue is admin.Service's.
func (s *Service) TokenValue(_ context.Context, p access.Principal, id string) (v1.TokenValue, error) {
	return answer[v1.TokenValue](s, p, "", "TokenValue", id)
}

// Tokens is admin.Service's.
func (s *Service) Tokens(_ context.Context, p access.Principal, q v1.TokenQuery) (v1.TokenPage, error) {
	return answer[v1.TokenPage](s, p, q.Next, "Tokens", q)
}

// RotateToken is admin.Service's.
func (s *Service) RotateToken(_ context.Context, p access.Principal, id string, o v1.RotateOptions) (v1.TokenValue, error) {
	return answer[v1.TokenValue](s, p, "", "RotateToken", id, o)
}

// RevokeToken is admin.Service's.
func (s *Service) RevokeToken(_ context.Context, p access.Principal, id string) (v1.Token, error) {
	return answer[v1.Token](s, p, "", "RevokeToken", id)
}

// Repositories is admin.Service's.
func (s *Service) Repositories(_ context.Context, p access.Principal, q v1.PlaceQuery) (v1.RepositoryPage, error) {
	return answer[v1.RepositoryPage](s, p, q.Next, "Repositories", q)
}

// Images is admin.Service's.
func (s *Service) Images(_ context.Context, p access.Principal, q v1.PlaceQuery) (v1.ImagePage, error) {
	return answer[v1.ImagePage](s, p, q.Next, "Images", q)
}

// Digests is admin.Service's.
func (s *Service) Digests(_ context.Context, p access.Principal, q v1.DigestQuery) (v1.DigestPage, error) {
	return answer[v1.DigestPage](s, p, q.Next, "Digests", q)
}

// Inspect is admin.Service's.
func (s *Service) Inspect(_ context.Context, p access.Principal, r v1.ImageRef) (v1.ImageDetail, error) {
	return answer[v1.ImageDetail](s, p, "", "Inspect", r)
}

// Tag is admin.Service's.
func (s *Service) Tag(_ context.Context, p access.Principal, o v1.TagOptions) (v1.Copied, error) {
	return answer[v1.Copied](s, p, "", "Tag", o)
}

// Copy is admin.Service's.
func (s *Service) Copy(_ context.Context, p access.Principal, o v1.CopyOptions) (v1.Copied, error) {
	return answer[v1.Copied](s, p, "", "Copy", o)
}

// RemoveImage is admin.Service's.
func (s *Service) RemoveImage(_ context.Context, p access.Principal, r v1.ImageRef, dryRun bool) (v1.Removed, error) {
	return answer[v1.Removed](s, p, "", "RemoveImage", r, dryRun)
}

// RemoveRepository is admin.Service's.
func (s *Service) RemoveRepository(_ context.Context, p access.Principal, repository string, dryRun bool) (v1.Removed, error) {
	return answer[v1.Removed](s, p, "", "RemoveRepository", repository, dryRun)
}

// TrashOf is admin.Service's.
func (s *Service) TrashOf(_ context.Context, p access.Principal, q v1.TrashQuery) (v1.TrashPage, error) {
	return answer[v1.TrashPage](s, p, q.Next, "TrashOf", q)
}

// RestoreFor is admin.Service's.
func (s *Service) RestoreFor(_ context.Context, p access.Principal, o v1.RestoreOptions) (v1.RestoreReport, error) {
	return answer[v1.RestoreReport](s, p, "", "RestoreFor", o)
}

// PurgeFor is admin.Service's.
func (s *Service) PurgeFor(_ context.Context, p access.Principal, o v1.PurgeOptions) (v1.PurgeReport, error) {
	return answer[v1.PurgeReport](s, p, "", "PurgeFor", o)
}

// HistoryOf is admin.Service's.
func (s *Service) HistoryOf(_ context.Context, p access.Principal, q v1.HistoryQuery) (v1.HistoryPage, error) {
	return answer[v1.HistoryPage](s, p, q.Next, "HistoryOf", q)
}

// Audit is admin.Service's.
func (s *Service) Audit(_ context.Context, p access.Principal, q v1.AuditQuery) (v1.AuditPage, error) {
	return answer[v1.AuditPage](s, p, q.Next, "Audit", q)
}

// Usage is admin.Service's.
func (s *Service) Usage(_ context.Context, p access.Principal, q v1.UsageQuery) (v1.UsagePage, error) {
	return answer[v1.UsagePage](s, p, q.Next, "Usage", q)
}

// RemoveAccount is admin.Service's.
func (s *Service) RemoveAccount(_ context.Context, p access.Principal, name string) error {
	_, err := answer[struct{}](s, p, "", "RemoveAccount", name)
	return err
}
