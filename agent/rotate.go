package main

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

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
