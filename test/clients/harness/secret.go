package harness

import (
	"strings"
	"sync"
)

// secrets are what no argument, variable or log line may hold.
type secrets struct {
	mu   sync.Mutex
	list []string
}

func (s *secrets) add(secret string) {
	if secret == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, secret)
}

// in tells whether any of them is in the text.
func (s *secrets) in(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range s.list {
		if strings.Contains(text, secret) {
			return true
		}
	}
	return false
}
