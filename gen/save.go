package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"oidc-agent/crypt"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/cli/prompt"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/secret"
)

// opened is an encrypted file that was opened.
type opened struct {
	data     []byte        // as it was read
	text     secret.Secret // decrypted
	password secret.Secret // the one that fitted; empty for a gpg file
	lock     crypt.FileKey
	config   *account.Account
}

// openFile decrypts a file and asks for its password until it fits. Plain JSON needs none.
func openFile(ctx context.Context, r *request, path string) (*opened, error) {
	data, err := account.ReadFile(path)
	if err != nil {
		return nil, err
	}
	o := &opened{data: data}
	format, err := crypt.Detect(data)
	switch {
	case errors.Is(err, crypt.ErrFormat) && isJSON(data):
		o.text = secret.New(data)
		return o, nil
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	case format == crypt.FormatGPG:
		id, err := crypt.GPGKeyID(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		o.lock = crypt.GPGKey(id)
		o.text, err = crypt.DecryptGPG(ctx, data)
		return o, err
	}
	question := fmt.Sprintf("Enter decryption password for account config '%s': ", filepath.Base(path))
	err = prompt.Decrypt(ctx, r.password, question, crypt.ErrWrongPassword, func(password secret.Secret) error {
		text, key, err := crypt.Open(data, password)
		if err == nil {
			o.text, o.lock, o.password = text, key, password.Clone()
		}
		return err
	})
	if err != nil && !errors.Is(err, crypt.ErrWrongPassword) {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return o, err
}

func isJSON(data []byte) bool {
	_, err := cjson.Parse(data)
	return err == nil
}

// open decrypts an account's file.
func open(ctx context.Context, r *request, path string) (*opened, error) {
	o, err := openFile(ctx, r, path)
	if err != nil {
		return nil, err
	}
	if o.config, err = account.Parse(o.text.Reveal()); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return o, nil
}

// readClient reads the file of -f: a client, or an account, as plain JSON or encrypted.
func readClient(ctx context.Context, r *request) (*account.Account, error) {
	path, err := filepath.Abs(r.clientFile)
	if err != nil {
		return nil, err
	}
	o, err := open(ctx, r, path)
	if errors.Is(err, crypt.ErrFormat) {
		return nil, fmt.Errorf("%q is neither JSON nor an encrypted file", r.clientFile)
	}
	if err != nil {
		return nil, err
	}
	o.config.Extra().Delete("scope") // 4.x's name of what is in AuthScope now
	return o.config, nil
}

// save encrypts the finished account into its file and tells the agent the file's key. The agent holds the
// account already; until it has the key it keeps a new refresh token in memory.
func (t *target) save(ctx context.Context, r *request, finished *account.Account) error {
	if r.verbose {
		fmt.Printf("%s\n", finished.Object().Layout())
	}
	if !r.noSave {
		if err := t.write(ctx, r, finished); err != nil {
			return cli.WithHint(err, "The account is loaded in the agent and works, but it is not saved: it is lost when the agent ends.")
		}
	}
	_, err := fmt.Println("Everything setup correctly!")
	return err
}

func (t *target) write(ctx context.Context, r *request, finished *account.Account) error {
	lock, err := newLock(ctx, r, t.old)
	if err != nil {
		return err
	}
	if err := locked(t.path, func() error { return writeAccount(t.path, finished, lock) }); err != nil {
		return err
	}
	return r.tellSaved(ctx, finished.Name, t.path, lock)
}

// newLock is what the file is encrypted with: as it was before where the account had a file whose password
// the user keeps, else a new password or the gpg key of the options.
func newLock(ctx context.Context, r *request, old *opened) (crypt.FileKey, error) {
	if r.gpgKey != "" {
		return crypt.GPGKey(r.gpgKey), nil
	}
	_, gpg := old.fileKey().(crypt.GPGKey)
	keeps := old != nil && old.lock != nil
	switch {
	case r.format != 0 && keeps && !gpg:
		return crypt.NewKey(old.password, r.format)
	case r.format != 0:
		keeps = false
	case gpg || keeps && r.password.Given():
		return old.lock, nil
	}
	password, err := askNewPassword(ctx, r, keeps)
	if err != nil {
		return nil, err
	}
	defer password.Wipe()
	if password.IsEmpty() && keeps {
		return old.lock, nil
	}
	return crypt.NewKey(password, fileFormat(r, old))
}

func (o *opened) fileKey() crypt.FileKey {
	if o == nil {
		return nil
	}
	return o.lock
}

// fileFormat is the format of a new file: the one of the options; the one that the account had; the one that
// the site's config names; C's where the agent is a C agent, which must be able to rewrite the file; else ours.
func fileFormat(r *request, old *opened) crypt.Format {
	key, _ := old.fileKey().(*crypt.Key)
	switch {
	case r.format != 0:
		return r.format
	case key != nil && key.Format() == crypt.FormatC, r.site.AccountFormat == "c", r.cAgent:
		return crypt.FormatC
	}
	return crypt.FormatScrypt
}

// lockTimeout is how long oidc-gen waits for an agent that is at work on the same file.
const lockTimeout = 5 * time.Second

// locked runs write under the file's lock. Where the lock cannot be had it runs all the same: it is not worth the
// login that is to be written.
func locked(path string, write func() error) error {
	ctx, cancel := context.WithTimeout(context.Background(), lockTimeout)
	defer cancel()
	if held, err := account.Lock(ctx, path); err == nil {
		defer held.Unlock()
	}
	return write()
}

// newest is the text of the file as it is now: an agent may have written a new refresh token while the user was
// typing the password. The caller holds the file's lock.
func (o *opened) newest(path string) (secret.Secret, error) {
	data, err := account.ReadFile(path)
	switch {
	case err != nil:
		return secret.Secret{}, err
	case bytes.Equal(data, o.data):
		return o.text, nil
	case o.lock == nil:
		return secret.Secret{}, fmt.Errorf("%s: somebody else has changed it meanwhile", path)
	}
	return o.lock.Decrypt(data)
}

// writeAccount encrypts an account into its file. Where C can read it the scopes stand under both names, so that
// 4.x finds them as well as 5.x.
func writeAccount(path string, config *account.Account, lock crypt.FileKey) error {
	if key, ok := lock.(*crypt.Key); !ok || key.Format() == crypt.FormatC {
		config.Extra().SetText("scope", config.AuthScope)
	}
	text := secret.New(config.Object().Compact())
	defer text.Wipe()
	return writeEncrypted(path, text, lock)
}

func writeEncrypted(path string, text secret.Secret, lock crypt.FileKey) error {
	data, err := lock.Encrypt(text.Reveal())
	if err != nil {
		return err
	}
	return account.WriteFile(path, data)
}

// tellSaved tells the agent that the account is in its file, and gives it the file's key. A C agent does not
// want to know.
func (r *request) tellSaved(ctx context.Context, name, path string, lock crypt.FileKey) error {
	if r.cAgent {
		return nil
	}
	_, err := ask(ctx, ipc.Request(ipc.RequestSaved).SetText(ipc.KeyAccount, name).
		SetText(ipc.KeyFile, path).SetSecret(ipc.KeyKey, lock.Marshal()))
	return err
}
