package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime/debug"
	"slices"

	"oidc-agent/crypt"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli/prompt"
	"oidc-agent/proto/secret"
)

// setFile tells the agent where an account's file is and gives it the file's key. A refresh token that is
// newer than the one in the file is written at once.
func (a *agent) setFile(ctx context.Context, l *loaded, path string, key secret.Secret) error {
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
	return a.flush(ctx, l, false)
}

func (l *loaded) setKey(path string, key crypt.Sealed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.file.path, l.file.key = path, key
}

// fileNow is what is known of the account's file at this moment.
func (l *loaded) fileNow() fileState {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file
}

// sealEntry seals what a C client sends in the place of a key: an entry that tells where the password is to be had, or
// holds it. One that leads nowhere but to a prompt is none.
func (a *agent) sealEntry(entry *cjson.Object) crypt.Sealed {
	if entry == nil || !entry.Has("password") && !entry.Has("command") && !entry.Has("pw_file") {
		return crypt.Sealed{}
	}
	return a.sealer.Seal(secret.New(entry.Compact()))
}

var errNoKey = errors.New("the agent has no key of the account's file. Load the account with a password source, " +
	"such as --pw-store, --pw-file or --pw-cmd, or with this agent's own oidc-add")

// deriveKey finds the account's file by its name and derives its key, once, when a new refresh token has to be written;
// a gpg file needs no password. Where the entry leads to none the error is errNoKey.
func (a *agent) deriveKey(ctx context.Context, l *loaded) error {
	path, err := accountFile(l.name())
	if err != nil {
		return err
	}
	data, err := account.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return errNoKey // oidc-gen has not written it yet
	}
	if err != nil {
		return err
	}
	if id, err := crypt.GPGKeyID(data); err == nil {
		l.setKey(path, a.sealer.Seal(crypt.GPGKey(id).Marshal()))
		return nil
	}
	text, err := a.sealer.Open(l.fileNow().entry)
	if err != nil {
		return err
	}
	if text.IsEmpty() {
		return errNoKey
	}
	defer text.Wipe()
	entry, err := cjson.Parse(text.Reveal())
	if err != nil {
		return err
	}
	password, err := prompt.ReadEntry(ctx, entry)
	if err != nil {
		return err
	}
	defer password.Wipe()
	if password.IsEmpty() {
		return errNoKey // its type tells of none
	}
	content, key, err := crypt.Open(data, password)
	content.Wipe()
	debug.FreeOSMemory() // what the derivation has used
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer key.Wipe()
	l.setKey(path, a.sealer.Seal(key.Marshal()))
	return nil
}

// flush writes a refresh token that is newer than the one in the account's file. locked says that the caller
// holds the file's lock. What fails is tried again later.
func (a *agent) flush(ctx context.Context, l *loaded, locked bool) (err error) {
	defer func() { a.noteSaved(l, err) }()
	file := l.fileNow()
	if !file.unsaved {
		return nil
	}
	if file.path == "" {
		if err := a.deriveKey(ctx, l); err != nil {
			return err
		}
	}
	if !locked {
		unlock, err := a.lockFile(ctx, l)
		if err != nil {
			return err
		}
		defer unlock()
	}
	err = a.save(l)
	if errors.Is(err, crypt.ErrOtherKey) && a.deriveKey(ctx, l) == nil { // a C oidc-gen has written it anew
		return a.save(l)
	}
	return err
}

// lockFile locks the account's file against other agents. An account without a known file has no lock: unlock
// is nil then.
func (a *agent) lockFile(ctx context.Context, l *loaded) (unlock func(), err error) {
	path := l.fileNow().path
	if path == "" {
		return nil, nil
	}
	unlock, err = account.Lock(ctx, path)
	switch {
	case err == nil:
		return unlock, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	// A folder that cannot be written takes no lock, and no new refresh token either: the token in memory counts, and
	// the failing write is reported where it happens.
	a.log.warning("account %q: no lock: %v", l.name(), err)
	return func() {}, nil
}

var errFileChanged = errors.New("somebody else has put another refresh token into it")

// save puts the refresh token of memory into the account's file and leaves all else in it as it is. The
// caller holds the file's lock. A file that somebody else gave another refresh token, or removed, is not
// overwritten. Nothing that others wait for is held while the disk, or a file server, works.
func (a *agent) save(l *loaded) error {
	l.mu.Lock()
	file, sealed, current := l.file, l.refreshToken, l.current
	l.mu.Unlock()
	content, key, err := a.readFile(file)
	if err != nil {
		return err
	}
	defer key.Wipe()
	defer content.Wipe()
	found := content.Secret("refresh_token")
	inFile := digestOf(found)
	found.Wipe()
	switch {
	case inFile == current:
	case inFile == file.seen || slices.Contains(file.spent, inFile):
		if err := a.writeToken(file.path, key, content, sealed); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%s: %w", file.path, errFileChanged)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.file.seen = current
	l.file.unsaved = l.current != current
	return nil
}

func (a *agent) writeToken(path string, key *crypt.Key, content *cjson.Object, sealed crypt.Sealed) error {
	refreshToken, err := a.sealer.Open(sealed)
	if err != nil {
		return err
	}
	defer refreshToken.Wipe()
	clear(content.Raw("refresh_token"))
	text := secret.New(content.SetSecret("refresh_token", refreshToken).Compact())
	defer text.Wipe()
	encrypted, err := key.Encrypt(text.Reveal())
	if err != nil {
		return fmt.Errorf("encrypt %s: %w", path, err)
	}
	return account.WriteFile(path, encrypted)
}

// readFile opens an account's file with the key that the agent keeps. The caller wipes content and key.
func (a *agent) readFile(file fileState) (content *cjson.Object, key *crypt.Key, err error) {
	data, err := account.ReadFile(file.path)
	if err != nil {
		return nil, nil, err
	}
	keyText, err := a.sealer.Open(file.key)
	if err != nil {
		return nil, nil, err
	}
	defer keyText.Wipe()
	key, err = crypt.ParseKey(keyText.Reveal())
	if err != nil {
		return nil, nil, err
	}
	text, err := key.Decrypt(data)
	if err == nil {
		content, err = cjson.Parse(text.Reveal()) // shares the bytes of text
	}
	if err != nil {
		key.Wipe()
		return nil, nil, fmt.Errorf("%s: %w", file.path, err)
	}
	return content, key, nil
}
