package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"oidc-agent/crypt"
	"oidc-agent/proto/account"
	"oidc-agent/proto/secret"
)

// The refresh token lives in two places, the agent's memory and the account's file, and several agents may
// share the file. What keeps the two together is here; the file itself is in file.go.

// saveTimeout bounds the way of a new refresh token to the disk. It has its own time: the exchange may have
// used up that of the grant.
const saveTimeout = 10 * time.Second

// rotate takes the refresh token that came when one was used. A new one is on disk when rotate returns, so no
// access token is handed out whose refresh token could still be lost (RFC 6749 section 6). A write that fails
// is told and tried again, and the token in memory stays good.
func (a *agent) rotate(ctx context.Context, l *loaded, used digest, next secret.Secret, locked bool) {
	defer next.Wipe()
	same := next.IsEmpty() || digestOf(next) == used
	l.mu.Lock()
	l.rotates = l.rotates || !same
	l.constantToken = !l.rotates
	if !same {
		l.file.spend(used)
		l.current = digestOf(next)
		l.refreshToken = a.sealer.Seal(next)
		l.file.unsaved = true
	}
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	_ = a.flush(ctx, l, locked) // told and tried again; oidc-gen may still be asking for the password, and says `saved` then
}

// hasConstantToken reports whether the provider has left the refresh token as it is.
func (l *loaded) hasConstantToken() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.constantToken
}

// adopt takes over a refresh token that somebody else put into the account's file: a sibling agent, or
// oidc-gen after a new login. It reports whether there was one. A token of memory that is not in the file yet
// stays, unless it is dead. A file that holds a token of ours that is spent was restored from an older copy: it
// gets the newer one.
func (a *agent) adopt(l *loaded, dead bool) bool {
	l.mu.Lock()
	file, current := l.file, l.current
	l.mu.Unlock()
	if file.path == "" || file.unsaved && !dead {
		return false
	}
	content, key, err := a.readFile(file)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			a.log.warning("account %q: %v", l.name(), err)
		}
		return false
	}
	key.Wipe()
	defer content.Wipe()
	found := content.Secret("refresh_token")
	defer found.Wipe()
	inFile := digestOf(found)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case found.IsEmpty() || inFile == file.seen || inFile == current || l.current != current:
		return false
	case slices.Contains(file.spent, inFile):
		l.file.seen, l.file.unsaved = inFile, true
		return false
	}
	l.file.spend(current)
	l.refreshToken, l.current = a.sealer.Seal(found), inFile
	l.file.seen, l.file.unsaved = inFile, false
	l.constantToken = false
	l.subject = "" // a new login may be another user's
	return true
}

// A refresh token that cannot be written is good as long as the agent lives. Its users are told with each token, and
// the write is tried again until it succeeds.

const (
	firstSave = time.Second
	lastSave  = time.Minute
)

// saving is what is known of a refresh token that is not in the account's file. The timer exists only while there is
// one.
type saving struct {
	warning string // for who gets a token; empty: all is well
	timer   *time.Timer
	delay   time.Duration
}

func (s *saving) stop() {
	if s.timer != nil {
		s.timer.Stop()
	}
	*s = saving{}
}

// noteSaved follows an attempt to write. Without a key of the file there is no timer: the next one that brings a key
// writes as well.
func (a *agent) noteSaved(l *loaded, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.saving
	if !l.file.unsaved {
		s.stop()
		return
	}
	if err == nil || l.gone {
		return
	}
	if s.warning == "" || !errors.Is(err, context.DeadlineExceeded) { // a lock that is held meanwhile is no reason
		warning := fmt.Sprintf("the new refresh token of account %q is in the agent's memory only: %v%s", l.name(), err, mending(err, l.name()))
		if warning != s.warning {
			a.log.warning("%s", warning)
		}
		s.warning = warning
	}
	if l.file.path == "" {
		return
	}
	if s.timer != nil {
		s.timer.Stop()
	}
	s.delay = min(max(2*s.delay, firstSave), lastSave)
	s.timer = time.AfterFunc(s.delay, func() { a.saveAgain(l) })
}

// saveAgain is the timer's. While the agent is locked it rests; resaveAll goes on with it.
func (a *agent) saveAgain(l *loaded) {
	if a.lock.enter() != nil {
		return
	}
	defer a.lock.leave()
	ctx, cancel := context.WithTimeout(context.Background(), saveTimeout)
	defer cancel()
	_ = a.flush(ctx, l, false) // noteSaved has seen the error
}

// resaveAll is for an agent that was unlocked.
func (a *agent) resaveAll() {
	for _, l := range a.accounts.all() {
		if l.fileNow().unsaved {
			go a.saveAgain(l)
		}
	}
}

// mending says what the user can do.
func mending(err error, name string) string {
	switch {
	case errors.Is(err, errNoKey):
		return "" // says it itself
	case errors.Is(err, account.ErrNotFound):
		return ". Put the file back, even an old copy, or make a new one:  oidc-gen " + name
	case errors.Is(err, errFileChanged):
		return ". To use that one:  oidc-add -r " + name + "  and then  oidc-add " + name
	case errors.Is(err, crypt.ErrOtherKey):
		return ". Its password was changed; let the agent know the new one:  oidc-add -f " + name
	}
	return ". The agent tries again by itself"
}
