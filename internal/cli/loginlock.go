package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lockTime is how long another program may hold the logins: it may wait for a
// server, or for a person whom its credential helper asks.
const lockTime = 30 * time.Second

// changeLogins lets do change the logins as they are, while no other program
// does. do writes them.
func changeLogins(ctx context.Context, e env, do func(*logins) error) error {
	unlock, err := lockLogins(ctx, e)
	if err != nil {
		return err
	}
	defer unlock()
	l, err := readLogins(e)
	if err != nil {
		return err
	}
	return do(l)
}

// lockLogins keeps other programs from changing the logins and their leases
// until unlock.
func lockLogins(ctx context.Context, e env) (unlock func(), err error) {
	path, err := loginFile(e)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the logins: %w", err)
	}
	// Not the login file itself: replacing it would leave the lock behind.
	f, err := os.OpenFile(filepath.Join(filepath.Dir(path), "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the logins: %w", err)
	}
	unlock = func() { _ = f.Close() } // which ends the lock
	for end := time.Now().Add(lockTime); ; {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return unlock, nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			unlock()
			return nil, fmt.Errorf("lock the logins with %s: %w", f.Name(), err)
		case time.Now().After(end):
			unlock()
			return nil, fmt.Errorf("another program holds the lock %s for more than %v", f.Name(), lockTime)
		}
		select {
		case <-ctx.Done():
			unlock()
			return nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
