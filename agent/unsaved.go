package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"oidc-agent/crypt"
	"oidc-agent/proto/account"
)

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
		if l.hasUnsaved() {
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
