package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"oidc-agent/crypt"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/cli/prompt"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/secret"
)

// file is an account's file, and what is in it once it is open.
type file struct {
	dir      account.Dir
	path     string
	data     []byte        // as it was read
	text     secret.Secret // decrypted
	password secret.Secret // the one that fitted; empty for a gpg file
	key      *crypt.Key    // nil where there is no file yet, and for plain JSON
	config   *account.Account
}

// locate finds the place of the account's file in the directory that find finds, and tells whether it exists. It makes
// sure that the file can be written, before the user has typed, or logged in, for nothing.
func (r *request) locate(find func() (account.Dir, error)) (f *file, exists bool, err error) {
	f = new(file)
	if f.dir, err = find(); err == nil {
		f.path, err = f.dir.File(r.name)
	}
	if err != nil {
		return nil, false, err
	}
	if denied := unix.Access(f.dir.Path(), unix.W_OK|unix.X_OK); denied != nil && !r.noSave {
		return nil, false, cli.WithHint(fmt.Errorf("directory %q cannot be written to: %w", f.dir.Path(), denied),
			"Make it writable, or name another one in OIDC_CONFIG_DIR.")
	}
	if _, err = os.Stat(f.path); errors.Is(err, fs.ErrNotExist) {
		return f, false, nil
	}
	return f, true, err
}

// decrypt reads the file and asks for its password until it fits. Plain JSON needs none.
func (f *file) decrypt(r *request) (err error) {
	if f.data, err = account.ReadFile(f.path); err != nil {
		return err
	}
	if _, notJSON := cjson.Parse(f.data); notJSON == nil {
		f.text = secret.New(f.data)
		return nil
	}
	question := fmt.Sprintf("Enter decryption password for account config '%s': ", filepath.Base(f.path))
	f.text, f.key, err = crypt.OpenAny(context.Background(), f.data, func(try func(secret.Secret) error) error {
		return prompt.Decrypt(r.password, question, crypt.ErrWrongPassword, func(password secret.Secret) error {
			err := try(password)
			if err == nil {
				f.password = password.Clone()
			}
			return err
		})
	})
	if err != nil && !errors.Is(err, crypt.ErrWrongPassword) {
		err = fmt.Errorf("%s: %w", f.path, err)
	}
	return err
}

// open decrypts the file of an account.
func (f *file) open(r *request) error {
	err := f.decrypt(r)
	if err != nil {
		return err
	}
	if f.config, err = account.Parse(f.text.Reveal()); err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	return nil
}

// readClient reads the file of -f: a client, or an account, as plain JSON or encrypted.
func readClient(r *request) (*account.Account, error) {
	f := &file{path: r.clientFile}
	err := f.open(r)
	if errors.Is(err, crypt.ErrFormat) {
		return nil, fmt.Errorf("%q is neither JSON nor an encrypted file", r.clientFile)
	}
	if err != nil {
		return nil, err
	}
	f.config.Extra().Delete("scope") // 4.x's name of what is in AuthScope now
	return f.config, nil
}

// save encrypts the finished account of the agent's answer into its file, under the key or under one that the user
// chooses, and tells the agent that. The agent holds the account already; until it has the key it keeps a new refresh
// token in memory. After --only-at there is no account, but a token to print.
func (f *file) save(r *request, answer *cjson.Object, key *crypt.Key) error {
	if token := answer.Secret(ipc.KeyAccessToken); !token.IsEmpty() {
		_, err := fmt.Printf("%s\n", token.Reveal())
		return err
	}
	finished, err := account.FromObject(answer.Object(ipc.KeyConfig))
	if err != nil {
		return fmt.Errorf("the agent's answer: %w", err)
	}
	if r.verbose {
		fmt.Printf("%s\n", finished.Object().Layout())
	}
	if !r.noSave {
		if key == nil {
			key, err = f.newKey(r)
		}
		if err == nil {
			err = f.locked(func() error { return writeAccount(f.path, finished, key) })
		}
		if err != nil {
			return notSaved(err)
		}
		if err = r.tellSaved(finished.Name, f.path, key); err != nil {
			return fmt.Errorf("the account is saved, but the agent cannot go on with its file: %w", err)
		}
	}
	_, err = fmt.Println("Everything setup correctly!")
	return err
}

func notSaved(err error) error {
	return cli.WithHint(err,
		"The account is loaded in the agent and works, but it is not saved: it is lost when the agent ends.")
}

// newKey is what the file is to be encrypted with: as it was before, where there was a file whose password the user
// keeps and no other format is wanted, else under a new password or for the gpg key of the options.
func (f *file) newKey(r *request) (*crypt.Key, error) {
	hasPassword := f.key != nil && f.key.Format() != crypt.FormatGPG
	format := crypt.FormatScrypt
	if r.format == "c" || r.format == "" && (hasPassword && f.key.Format() == crypt.FormatC || r.writesC || r.cAgent) {
		format = crypt.FormatC // that a C agent can rewrite
	}
	switch {
	case r.gpgKey != "":
		return crypt.GPGKey(r.gpgKey), nil
	case r.format != "" && hasPassword:
		return crypt.NewKey(f.password, format)
	case r.format == "" && f.key != nil && (!hasPassword || r.password.Given()):
		return f.key, nil
	}
	password, err := r.newPassword(hasPassword)
	if err != nil || password.IsEmpty() && hasPassword {
		return f.key, err
	}
	defer password.Wipe()
	return crypt.NewKey(password, format)
}

const (
	// lockTimeout is how long oidc-gen waits for an agent that is at work on the same file.
	lockTimeout = 5 * time.Second
	// gpgTimeout limits a run of gpg while the file is locked. The user may have to type a passphrase.
	gpgTimeout = time.Minute
)

// locked runs write under the file's lock. Where the lock cannot be had it runs all the same: it is not worth the
// login that is to be written.
func (f *file) locked(write func() error) error {
	ctx, cancel := context.WithTimeout(context.Background(), lockTimeout)
	defer cancel()
	if unlock, err := account.Lock(ctx, f.path); err == nil {
		defer unlock()
	}
	return write()
}

// rewrite encrypts what the file holds now under another key, and as the file of another account where a new name is
// given: an agent may have written a new refresh token while the user was typing the password. The text stays to the
// letter, but for an account that is renamed or that C can read.
func (f *file) rewrite(path, newName string, key *crypt.Key) error {
	return f.locked(func() error {
		data, err := account.ReadFile(f.path)
		text := f.text
		switch {
		case err != nil:
		case bytes.Equal(data, f.data):
		case f.key == nil:
			err = fmt.Errorf("%s: somebody else has changed it meanwhile", f.path)
		default:
			ctx, cancel := context.WithTimeout(context.Background(), gpgTimeout)
			defer cancel()
			text, err = f.key.Decrypt(ctx, data)
		}
		if err != nil {
			return err
		}
		config, err := account.Parse(text.Reveal())
		if err == nil && (newName != "" || config.IssuerURL != "" && key.Format() != crypt.FormatScrypt) {
			config.Name = cmp.Or(newName, config.Name)
			err = writeAccount(path, config, key)
		} else {
			err = writeText(path, text, key)
		}
		if err == nil && path != f.path {
			err = f.dir.Remove(filepath.Base(f.path))
		}
		return err
	})
}

// writeAccount encrypts an account into its file. Where C can read it the scopes stand under both names, so that
// 4.x finds them as well as 5.x.
func writeAccount(path string, config *account.Account, key *crypt.Key) error {
	if key.Format() != crypt.FormatScrypt {
		config.Extra().SetText("scope", config.AuthScope)
	}
	text := secret.New(config.Object().Compact())
	defer text.Wipe()
	return writeText(path, text, key)
}

func writeText(path string, text secret.Secret, key *crypt.Key) error {
	ctx, cancel := context.WithTimeout(context.Background(), gpgTimeout)
	defer cancel()
	data, err := key.Encrypt(ctx, text.Reveal())
	if err != nil {
		return err
	}
	return account.WriteFile(path, data)
}

// tellSaved tells the agent that the account is in its file, and gives it the file's key. A C agent does not
// want to know.
func (r *request) tellSaved(name, path string, key *crypt.Key) error {
	if r.cAgent {
		return nil
	}
	_, err := ask(ipc.Request(ipc.RequestSaved).SetText(ipc.KeyAccount, name).
		SetText(ipc.KeyFile, path).SetSecret(ipc.KeyKey, key.Marshal()))
	return err
}
