package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"

	"oidc-agent/crypt"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/secret"
)

// The refresh token lives in two places, the agent's memory and the account's file, and several agents may
// share the file. All that keeps the two together is here.

// setFile tells the agent where an account's file is and gives it the file's key. A refresh token that is
// newer than the one in the file is written at once.
func (a *agent) setFile(ctx context.Context, l *loaded, path string, key secret.Secret) error {
	if _, err := crypt.ParseKey(key.Reveal()); err != nil {
		return fmt.Errorf("key of %s: %w", path, err)
	}
	l.mu.Lock()
	l.file.path = path
	l.file.key, l.file.hasKey = a.sealer.Seal(key), true
	unsaved := l.file.unsaved
	l.mu.Unlock()
	if !unsaved {
		return nil
	}
	unlock, err := a.lockFile(ctx, l)
	if err != nil {
		return err
	}
	defer unlock()
	return a.save(l)
}

// lockFile locks the account's file against other agents. An account without a file needs no lock.
func (a *agent) lockFile(ctx context.Context, l *loaded) (unlock func(), err error) {
	l.mu.Lock()
	path, hasKey := l.file.path, l.file.hasKey
	l.mu.Unlock()
	if !hasKey {
		return func() {}, nil
	}
	lock, err := account.Lock(ctx, path)
	switch {
	case err == nil:
		return lock.Unlock, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("lock %s: %w", path, err)
	default:
		// A folder that cannot be written takes no lock, and no new refresh token either: the token in
		// memory counts, and the failing write is reported where it happens.
		a.log.warning("account %q: no lock: %v", l.name(), err)
		return func() {}, nil
	}
}

// rotate takes the refresh token that came with an access token. A new one is on disk when rotate returns,
// so no access token is handed out whose refresh token could still be lost (RFC 6749 section 6). A write that
// fails is told and tried again at the next refresh, and the token in memory stays good.
func (a *agent) rotate(ctx context.Context, l *loaded, next secret.Secret, locked bool) {
	l.mu.Lock()
	have, err := a.sealer.Open(l.refreshToken)
	l.constantToken = next.IsEmpty() || (err == nil && have.Equal(next))
	if !l.constantToken {
		l.refreshToken = a.sealer.Seal(next)
		l.file.unsaved = true
	}
	have.Wipe()
	unsaved, hasKey := l.file.unsaved, l.file.hasKey
	l.mu.Unlock()
	if !unsaved {
		return
	}
	if !hasKey {
		if err := a.deriveKey(ctx, l); err != nil {
			a.log.warning("account %q: no key of its file: %v", l.name(), err)
		}
		l.mu.Lock()
		hasKey = l.file.hasKey
		l.mu.Unlock()
	}
	if !hasKey { // oidc-gen may still be asking for the password, and says `saved` then
		a.log.notice("account %q: the new refresh token is in memory only, there is no key of the account's file", l.name())
		return
	}
	if !locked {
		unlock, err := a.lockFile(ctx, l)
		if err != nil {
			a.log.warning("account %q: the new refresh token is not on disk yet: %v", l.name(), err)
			return
		}
		defer unlock()
	}
	if err := a.save(l); err != nil {
		a.log.warning("account %q: the new refresh token is not on disk yet: %v", l.name(), err)
	}
}

var errFileChanged = errors.New("somebody else changed it meanwhile")

// save puts the refresh token of memory into the account's file and leaves all else in it as it is. The
// caller holds the file's lock. A file that somebody else gave another refresh token, or removed, is not
// overwritten.
func (a *agent) save(l *loaded) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	content, key, err := a.readFileLocked(l)
	if err != nil {
		return err
	}
	defer key.Wipe()
	inFile := content.Secret("refresh_token")
	digest := sha256.Sum256(inFile.Reveal())
	inFile.Wipe()
	if digest != l.file.seen {
		return fmt.Errorf("%s: %w", l.file.path, errFileChanged)
	}
	refreshToken, err := a.sealer.Open(l.refreshToken)
	if err != nil {
		return err
	}
	defer refreshToken.Wipe()
	text := secret.New(content.SetSecret("refresh_token", refreshToken).Compact())
	defer text.Wipe()
	encrypted, err := key.Encrypt(text.Reveal())
	if err != nil {
		return fmt.Errorf("encrypt %s: %w", l.file.path, err)
	}
	if err := account.WriteFile(l.file.path, encrypted); err != nil {
		return err
	}
	l.file.seen, l.file.unsaved = sha256.Sum256(refreshToken.Reveal()), false
	return nil
}

// adopt takes over a refresh token that somebody else put into the account's file: a sibling agent, or
// oidc-gen after a new login. It reports whether there was one.
func (a *agent) adopt(l *loaded) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.file.hasKey {
		return false
	}
	content, key, err := a.readFileLocked(l)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			a.log.warning("account %q: %v", l.name(), err)
		}
		return false
	}
	key.Wipe()
	refreshToken := content.Secret("refresh_token")
	digest := sha256.Sum256(refreshToken.Reveal())
	if refreshToken.IsEmpty() || digest == l.file.seen {
		refreshToken.Wipe()
		return false
	}
	l.refreshToken = a.sealer.Seal(refreshToken)
	l.file.seen, l.file.unsaved = digest, false
	return true
}

// readFileLocked opens the account's file with the key that the agent keeps.
func (a *agent) readFileLocked(l *loaded) (*cjson.Object, *crypt.Key, error) {
	data, err := account.ReadFile(l.file.path)
	if err != nil {
		return nil, nil, err
	}
	keyText, err := a.sealer.Open(l.file.key)
	if err != nil {
		return nil, nil, err
	}
	key, err := crypt.ParseKey(keyText.Reveal())
	keyText.Wipe()
	if err != nil {
		return nil, nil, err
	}
	text, err := key.Decrypt(data)
	if err != nil {
		key.Wipe()
		return nil, nil, fmt.Errorf("%s: %w", l.file.path, err)
	}
	content, err := cjson.Parse(text.Reveal())
	if err != nil {
		key.Wipe()
		return nil, nil, fmt.Errorf("%s: %w", l.file.path, err)
	}
	return content, key, nil
}
