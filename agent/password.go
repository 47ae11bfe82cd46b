package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"

	"oidc-agent/crypt"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli/prompt"
	"oidc-agent/proto/secret"
)

// The C clients send no key of the account's file but an entry that tells where its password is to be had.
// The agent derives the key once, out of that entry, when a new refresh token has to be written.

// sealEntry seals such an entry: it may hold the password itself. One that leads nowhere but to a prompt is none.
func (a *agent) sealEntry(entry *cjson.Object) crypt.Sealed {
	if entry == nil || !entry.Has("password") && !entry.Has("command") && !entry.Has("pw_file") {
		return crypt.Sealed{}
	}
	return a.sealer.Seal(secret.New(entry.Compact()))
}

// password gets the password that the entry leads to; empty where it leads nowhere.
func (a *agent) password(ctx context.Context, sealed crypt.Sealed) (secret.Secret, error) {
	text, err := a.sealer.Open(sealed)
	if err != nil || text.IsEmpty() {
		return secret.Secret{}, err
	}
	defer text.Wipe()
	entry, err := cjson.Parse(text.Reveal())
	if err != nil {
		return secret.Secret{}, err
	}
	return prompt.ReadEntry(ctx, entry)
}

var errNoKey = errors.New("the agent has no key of the account's file. Load the account with a password source, such as --pw-store, --pw-file or --pw-cmd, or with this agent's own oidc-add")

// deriveKey finds the account's file by its name and derives its key; a gpg file needs no password. Where the
// entry leads to none the error is errNoKey.
func (a *agent) deriveKey(ctx context.Context, l *loaded) error {
	dir, err := account.FindDir()
	if err != nil {
		return err
	}
	path, err := dir.File(l.name())
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
	key, err := a.keyOf(ctx, l, path, data)
	if err != nil {
		return err
	}
	defer key.Wipe()
	sealed := a.sealer.Seal(key.Marshal())
	l.mu.Lock()
	defer l.mu.Unlock()
	l.file.path, l.file.key, l.file.hasKey = path, sealed, true
	return nil
}

func (a *agent) keyOf(ctx context.Context, l *loaded, path string, data []byte) (crypt.FileKey, error) {
	if id, err := crypt.GPGKeyID(data); err == nil {
		return crypt.GPGKey(id), nil
	}
	l.mu.Lock()
	entry := l.file.entry
	l.mu.Unlock()
	password, err := a.password(ctx, entry)
	if err != nil {
		return nil, err
	}
	defer password.Wipe()
	if password.IsEmpty() {
		return nil, errNoKey
	}
	key, err := crypt.DeriveKey(data, password)
	debug.FreeOSMemory() // what the derivation has used
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}
