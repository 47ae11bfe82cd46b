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

// The refresh token lives in two places, the agent's memory and the account's file, and several agents may share the
// file. What keeps the two together is here: rotate takes a new token, meet compares the two places.

const (
	// saveTimeout bounds the way of a new refresh token to the disk. It has its own time: the exchange may have
	// used up that of the grant.
	saveTimeout = 10 * time.Second
	// savePause is how long after a write that failed it is tried again.
	savePause = 10 * time.Second
	// maxTokens is how many refresh tokens are remembered: who restores a file from yesterday shall not make us present
	// a spent one.
	maxTokens = 1000
)

// fileState is what the agent knows of an account's file.
type fileState struct {
	path     string       // empty: not known
	key      crypt.Sealed // opens it; the password is never kept
	entry    crypt.Sealed // pw_entry of a C client: where the password is to be had
	tokens   []digest     // the account's refresh tokens so far; the last one is in memory
	inFile   digest       // the one that the file held when it was last seen
	warning  string       // why that could not be changed, for who gets an access token; it counts while unsaved
	retrying bool         // a timer will try again to write it
}

// digest stands for a token where it is only compared.
type digest [sha256.Size]byte

// digestOf fills whole blocks: of a part of one SHA-256 leaves a copy on the stack.
func digestOf(s secret.Secret) digest {
	padded := make([]byte, (s.Len()+sha256.BlockSize-1)/sha256.BlockSize*sha256.BlockSize)
	defer clear(padded)
	copy(padded, s.Reveal())
	return sha256.Sum256(padded)
}

func (f fileState) current() digest { return f.tokens[len(f.tokens)-1] }

func (f fileState) unsaved() bool { return f.inFile != f.current() }

// fileNow is what is known of the account's file at this moment. One that nobody told is where one of the account's name
// would be.
func (l *loaded) fileNow() fileState {
	l.mu.Lock()
	file := l.file
	l.mu.Unlock()
	if file.path == "" {
		file.path, _ = accountFile(l.name())
	}
	return file
}

// renewLocked puts another refresh token into the place of that in memory. l.mu is held.
func (a *agent) renewLocked(l *loaded, next secret.Secret) {
	l.file.tokens = append(l.file.tokens, digestOf(next))
	l.file.tokens = l.file.tokens[max(0, len(l.file.tokens)-maxTokens):]
	l.refreshToken = a.sealer.Seal(next)
}

// rotate takes the refresh token that came when one was used. A new one is on disk when rotate returns, so no
// access token is handed out whose refresh token could still be lost (RFC 6749 section 6). A write that fails
// is told and tried again, and the token in memory stays good. held says that the caller has exclusive use.
func (a *agent) rotate(ctx context.Context, l *loaded, used digest, next secret.Secret, held bool) {
	defer next.Wipe()
	l.mu.Lock()
	if !next.IsEmpty() && digestOf(next) != used {
		l.rotation = rotates
		if l.file.current() == used { // else a new login may have come into the file meanwhile, and is newer
			a.renewLocked(l, next)
		}
	} else if l.rotation == unknown {
		l.rotation = stays
	}
	l.mu.Unlock()
	_ = a.save(context.WithoutCancel(ctx), l, held) // oidc-gen may still be asking for the password, and says `saved` then
}

// save writes a refresh token that is newer than the one in the account's file. What fails is told and tried again.
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
		err = a.meet(ctx, l, digest{})
		release()
	}
	if err != nil {
		a.noteUnsaved(l, err)
	}
	return err
}

// exclusive waits until nobody else uses the account's refresh token or writes its file: for the account's turn in this
// agent, and for the lock of the file against others. Where there is no file there is no lock.
func (a *agent) exclusive(ctx context.Context, l *loaded) (release func(), err error) {
	leave, err := l.turn.take(ctx)
	if err != nil {
		return nil, fmt.Errorf("waiting for another refresh of %q: %w", l.name(), err)
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
	// A folder that cannot be written takes no lock, and no new refresh token either: the token in memory counts, and
	// the failing write is reported where it happens.
	a.log.warning("account %q: no lock: %v", l.name(), err)
	return leave, nil
}

var errFileChanged = errors.New("somebody else has put another refresh token into it")

// meet compares the refresh tokens of memory and file, and has the newer one in both. One that was ours before is older:
// a copy was restored, or ours is not saved yet. One that is new to us is a sibling agent's, or that of a new login; but a
// token of memory that is not saved yet stays, unless the provider has refused it. The caller has exclusive use. Nothing
// that others wait for is held while the disk, or a file server, works.
func (a *agent) meet(ctx context.Context, l *loaded, refused digest) error {
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

var errNoKey = errors.New("the agent has no key of the account's file. Load the account with a password source, " +
	"such as --pw-store, --pw-file or --pw-cmd, or with this agent's own oidc-add")

// openFile opens the account's file with the key that the agent keeps, or finds the key anew. The caller wipes content
// and key.
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
		if content, err = cjson.Parse(text.Reveal()); err != nil { // else it shares the bytes of text
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

// openWithEntry derives the key from the password to which a C client's entry leads; a gpg file needs none. Where the
// entry leads nowhere the error is noPassword.
func (a *agent) openWithEntry(ctx context.Context, sealed crypt.Sealed, data []byte, noPassword error,
) (text secret.Secret, key *crypt.Key, err error) {
	defer debug.FreeOSMemory() // what the derivation has used
	return crypt.OpenAny(ctx, data, func(try func(secret.Secret) error) error {
		entry, err := a.openObject(sealed)
		if err != nil {
			return noPassword // there is no entry
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

// setFile takes what a client says of an account's file: where it is, and the key that opens it. A refresh token that is
// newer than the one in the file is written at once.
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

// sealEntry seals what a C client sends in the place of a key: an entry that tells where the password is to be had, or
// holds it. One that leads nowhere but to a prompt is none.
func (a *agent) sealEntry(r request) crypt.Sealed {
	entry := r.Object.Object(ipc.KeyPwEntry)
	if entry == nil || !entry.Has("password") && !entry.Has("command") && !entry.Has("pw_file") {
		return crypt.Sealed{}
	}
	return a.sealer.Seal(secret.New(entry.Compact()))
}

// noteUnsaved follows a write that failed. Who gets an access token is told why the new refresh token is in memory only,
// and the agent tries again by itself; without a key, who brings one does that.
func (a *agent) noteUnsaved(l *loaded, err error) {
	warning := fmt.Sprintf("the new refresh token of account %q is in the agent's memory only: %v%s", l.name(), err, mending(err, l.name()))
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

// saveAgain is the timer's. While the agent is locked it rests, and goes on when that is unlocked.
func (a *agent) saveAgain(l *loaded) {
	if a.lock.enter() == nil {
		defer a.lock.leave()
		_ = a.save(context.Background(), l, false)
	}
}

// saveLast is the last attempt to write a refresh token that is not saved, before the account goes.
func (a *agent) saveLast(ctx context.Context, l *loaded) {
	if err := a.save(ctx, l, false); err != nil {
		a.log.warning("account %q: its new refresh token is lost: %v", l.name(), err)
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
