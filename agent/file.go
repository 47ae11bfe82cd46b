package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"oidc-agent/crypt"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli/prompt"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/secret"
)

// The refresh token is in two places, the agent's memory and the account file, and several agents may share the file.
// This file keeps the two in step: rotate takes a new token from the provider, reconcile compares the two places.

const (
	// saveTimeout bounds the writing of a new refresh token. It has a time of its own, because the exchange may have
	// used up that of the grant.
	saveTimeout = 10 * time.Second
	// savePause is the pause before a failed write is tried again.
	savePause = 10 * time.Second
	// maxTokens is how many refresh tokens are remembered: if the user restores a file from yesterday, the agent must
	// not present a spent token.
	maxTokens = 1000
)

// fileState is what the agent knows about an account file.
type fileState struct {
	path     string       // empty: not known
	key      crypt.Sealed // that opens it; the password is never kept
	entry    crypt.Sealed // pw_entry of a C client: where to get the password
	tokens   []digest     // the account's refresh tokens so far; the last one is in memory
	inFile   digest       // of the token in the file when it was last read or written
	warning  string       // why the new token could not be written, for clients; valid while unsaved
	retrying bool         // a timer will try to write it again
}

// digest represents a token where it is only compared.
type digest [sha256.Size]byte

// digestOf pads the token to whole blocks: SHA-256 would leave a copy of a partial block on the stack.
func digestOf(s secret.Secret) digest {
	padded := make([]byte, (s.Len()+sha256.BlockSize-1)/sha256.BlockSize*sha256.BlockSize)
	defer clear(padded)
	copy(padded, s.Reveal())
	return sha256.Sum256(padded)
}

func (f fileState) current() digest { return f.tokens[len(f.tokens)-1] }

func (f fileState) unsaved() bool { return f.inFile != f.current() }

// fileNow returns what is known about the account file now. If no client has said where it is, that is the place for
// an account of this name.
func (l *loaded) fileNow() fileState {
	l.mu.Lock()
	file := l.file
	l.mu.Unlock()
	if file.path == "" {
		file.path, _ = accountFile(l.name())
	}
	return file
}

// renewLocked replaces the refresh token in memory.
func (a *agent) renewLocked(l *loaded, next secret.Secret) {
	l.file.tokens = append(l.file.tokens, digestOf(next))
	l.file.tokens = l.file.tokens[max(0, len(l.file.tokens)-maxTokens):]
	l.refreshToken = a.sealer.Seal(next)
}

// rotate takes the refresh token that the provider sent in return for the used one. A new one is on disk when rotate
// returns, so that no access token is handed out whose refresh token could still be lost (RFC 6749 section 6). If the
// write fails, the user is told, the write is tried again, and the token in memory remains in use. held says that the
// caller has exclusive use.
func (a *agent) rotate(ctx context.Context, l *loaded, used digest, next secret.Secret, held bool) {
	defer next.Wipe()
	l.mu.Lock()
	if !next.IsEmpty() && digestOf(next) != used {
		l.rotation = rotates
		if l.file.current() == used { // otherwise a newer login has come in through the file in the meantime
			a.renewLocked(l, next)
		}
	} else if l.rotation == unknown {
		l.rotation = stays
	}
	l.mu.Unlock()
	_ = a.save(context.WithoutCancel(ctx), l, held) // oidc-gen may still be asking for the password; it sends `saved` then
}

// save writes the refresh token if it is newer than the one in the account file. It reports a failure to the clients,
// and the write is tried again.
func (a *agent) save(ctx context.Context, l *loaded, held bool) (err error) {
	if !l.fileNow().unsaved() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	release := func() {}
	if !held {
		release, err = a.exclusive(ctx, l)
	}
	if err == nil {
		err = a.reconcile(ctx, l, digest{})
		release()
	}
	if err != nil {
		a.noteUnsaved(l, err)
	}
	return err
}

// exclusive waits until nobody else uses the account's refresh token or writes its file. It takes the account's turn,
// against others in this agent, and the lock of the file, against other agents. Without a file there is no lock.
func (a *agent) exclusive(ctx context.Context, l *loaded) (release func(), err error) {
	leave, err := l.turn.take(ctx, fmt.Sprintf("waiting for another refresh of account %q", l.name()))
	if err != nil {
		return nil, err
	}
	path := l.fileNow().path
	if _, err := os.Stat(path); err != nil {
		return leave, nil
	}
	l.atLock.Store(&path)
	unlock, err := account.Lock(ctx, path)
	l.atLock.Store(nil)
	switch {
	case err == nil:
		return func() { unlock(); leave() }, nil
	case ctx.Err() != nil:
		leave()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	// A directory that is not writable takes no lock, but no new refresh token either. The token in memory counts then,
	// and the write reports its own failure.
	a.log.warning("account %q: its file is used without a lock: %v", l.name(), err)
	return leave, nil
}

var errFileChanged = errors.New("someone else has put another refresh token into it")

// reconcile compares the refresh tokens in memory and in the file, and leaves the newer one in both places. A token in
// the file that was ours before is older: the file is a restored copy, or ours is not saved yet. A token that we have
// not seen comes from another agent or from a new login, and is newer. But an unsaved token in memory is not given up
// for it unless the provider has refused that one.
//
// The caller has exclusive use. Nothing that others wait for is held while the disk, or a file server, works.
func (a *agent) reconcile(ctx context.Context, l *loaded, refused digest) error {
	content, key, err := a.openFile(ctx, l)
	if err != nil {
		return err
	}
	defer key.Wipe()
	defer content.Wipe()
	found := content.Secret("refresh_token")
	defer found.Wipe()
	inFile := digestOf(found)
	l.mu.Lock()
	file, sealed := l.file, l.refreshToken
	l.mu.Unlock()
	current := file.current()
	known := slices.Contains(file.tokens, inFile)
	switch {
	case known && inFile != current:
		if err := a.writeToken(ctx, file.path, key, content, sealed); err != nil {
			return err
		}
	case !known && (found.IsEmpty() || file.unsaved() && current != refused):
		return fmt.Errorf("%s: %w", file.path, errFileChanged)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case known:
		l.file.inFile = current
	case l.file.current() == current:
		a.renewLocked(l, found)
		l.file.inFile = inFile
		l.subject = "" // a new login may be another user's
		if l.rotation == stays {
			l.rotation = unknown
		}
	}
	return nil
}

var errNoKey = errors.New("the agent has no key for the account file: load the account with a password source, " +
	"such as --pw-store, --pw-file or --pw-cmd, or with this agent's own oidc-add")

// openFile opens the account file with the key that the agent keeps, or else derives the key again. The caller wipes
// content and key.
func (a *agent) openFile(ctx context.Context, l *loaded) (content *cjson.Object, key *crypt.Key, err error) {
	file := l.fileNow()
	data, err := account.ReadFile(file.path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && file.key.IsEmpty():
		return nil, nil, errNoKey // oidc-gen has not written it yet
	case err != nil:
		return nil, nil, err
	}
	text, key, err := a.openWithKey(ctx, file.key, data)
	if errors.Is(err, errNoKey) || errors.Is(err, crypt.ErrOtherKey) {
		if text, key, err = a.openWithEntry(ctx, file.entry, data, err); err == nil {
			l.setKey(file.path, a.sealer.Seal(key.Marshal()))
		}
	}
	if err == nil {
		if content, err = cjson.Parse(text.Reveal()); err != nil { // otherwise it shares the bytes of text
			text.Wipe()
			key.Wipe()
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file.path, err)
	}
	return content, key, nil
}

func (a *agent) openWithKey(ctx context.Context, sealed crypt.Sealed, data []byte,
) (text secret.Secret, key *crypt.Key, err error) {
	keyText, err := a.sealer.Open(sealed)
	if err != nil {
		return text, nil, err
	}
	defer keyText.Wipe()
	if key, err = crypt.ParseKey(keyText.Reveal()); err != nil {
		return text, nil, errNoKey
	}
	if text, err = key.Decrypt(ctx, data); err != nil {
		key.Wipe()
	}
	return text, key, err
}

// openWithEntry derives the key from the password that a C client's entry leads to. A gpg file needs no password. If
// there is no entry, or no password at its place, the error is noPassword.
func (a *agent) openWithEntry(ctx context.Context, sealed crypt.Sealed, data []byte, noPassword error,
) (text secret.Secret, key *crypt.Key, err error) {
	defer debug.FreeOSMemory() // of the key derivation
	return crypt.OpenAny(ctx, data, func(try func(secret.Secret) error) error {
		entry, err := a.openObject(sealed)
		if err != nil {
			return noPassword
		}
		defer entry.Wipe()
		password, err := prompt.ReadEntry(ctx, entry)
		defer password.Wipe()
		if err != nil || password.IsEmpty() {
			return cmp.Or(err, noPassword)
		}
		return try(password)
	})
}

func (a *agent) writeToken(ctx context.Context, path string, key *crypt.Key, content *cjson.Object, sealed crypt.Sealed,
) error {
	refreshToken, err := a.sealer.Open(sealed)
	if err != nil {
		return err
	}
	defer refreshToken.Wipe()
	clear(content.Raw("refresh_token"))
	text := secret.New(content.SetSecret("refresh_token", refreshToken).Compact())
	defer text.Wipe()
	encrypted, err := key.Encrypt(ctx, text.Reveal())
	if err != nil {
		return fmt.Errorf("encrypt %s: %w", path, err)
	}
	return account.WriteFile(path, encrypted)
}

// setFile takes from a client where the account file is, and the key that opens it. A refresh token that is newer than
// the one in the file is written at once.
func (a *agent) setFile(ctx context.Context, l *loaded, told *cjson.Object) error {
	path, key := told.Text(ipc.KeyFile), told.Secret(ipc.KeyKey)
	defer key.Wipe()
	parsed, err := crypt.ParseKey(key.Reveal())
	if err != nil {
		return fmt.Errorf("key of %q: %w", path, err)
	}
	parsed.Wipe()
	if !filepath.IsAbs(path) {
		return fmt.Errorf("file %q of account %q: an absolute path is needed", path, l.name())
	}
	l.setKey(path, a.sealer.Seal(key))
	return a.save(ctx, l, false)
}

func (l *loaded) setKey(path string, key crypt.Sealed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.file.path, l.file.key = path, key
}

// sealEntry seals the entry that a C client sends instead of a key: it holds the password or says where to get it. An
// entry that only leads to a prompt is of no use here.
func (a *agent) sealEntry(r request) crypt.Sealed {
	entry := r.Object.Object(ipc.KeyPwEntry)
	if entry == nil || !entry.Has("password") && !entry.Has("command") && !entry.Has("pw_file") {
		return crypt.Sealed{}
	}
	return a.sealer.Seal(secret.New(entry.Compact()))
}

// noteUnsaved records a failed write. Clients that get an access token are told why the new refresh token is in memory
// only, and a timer tries again. Without a key it need not: the client that brings one makes the agent write.
func (a *agent) noteUnsaved(l *loaded, err error) {
	warning := fmt.Sprintf("the new refresh token of account %q is in the agent's memory only: %v%s",
		l.name(), err, remedy(err, l.name()))
	l.mu.Lock()
	defer l.mu.Unlock()
	if warning != l.file.warning {
		a.log.warning("%s", warning)
	}
	l.file.warning = warning
	if l.gone || l.file.retrying || l.file.key.IsEmpty() {
		return
	}
	l.file.retrying = true
	time.AfterFunc(savePause, func() {
		l.mu.Lock()
		l.file.retrying = false
		l.mu.Unlock()
		a.saveAgain(l)
	})
}

// saveAgain is called by the timer, and when the agent is unlocked: it does nothing while the agent is locked.
func (a *agent) saveAgain(l *loaded) {
	if a.lock.enter() == nil {
		defer a.lock.leave()
		_ = a.save(context.Background(), l, false)
	}
}

// saveLast is the last attempt to write an unsaved refresh token before its account is dropped.
func (a *agent) saveLast(ctx context.Context, l *loaded) {
	if err := a.save(ctx, l, false); err != nil {
		a.log.warning("account %q: its new refresh token is lost: %v", l.name(), err)
	}
}

// remedy says what the user can do about a failed write.
func remedy(err error, name string) string {
	switch {
	case errors.Is(err, errNoKey):
		return "" // errNoKey says it
	case errors.Is(err, account.ErrNotFound):
		return ". Put the file back, even an old copy, or make a new one:  oidc-gen " + name
	case errors.Is(err, errFileChanged):
		return ". To use that one:  oidc-add -r " + name + "  and then  oidc-add " + name
	case errors.Is(err, crypt.ErrOtherKey):
		return ". Its password has changed. Tell the agent the new one:  oidc-add -f " + name
	}
	return ". The agent tries again by itself"
}
