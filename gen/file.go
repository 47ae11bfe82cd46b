package main

import (
	"bytes"
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

// file is an account file, and what is in it once it is open.
type file struct {
	dir      account.Dir
	path     string
	exists   bool
	data     []byte        // as it was read
	text     secret.Secret // decrypted
	password secret.Secret // the one that opened it; empty for a gpg file
	key      *crypt.Key    // nil if the file does not exist yet or is plain JSON
	config   *account.Account
}

// locate finds the file of the account with this name in the directory that find returns. It makes sure that
// the file can be written before the user types a password, or logs in, for nothing.
func (r *request) locate(name string, find func() (account.Dir, error)) (*file, error) {
	dir, err := find()
	if err != nil {
		return nil, err
	}
	path, err := dir.File(name)
	if err != nil {
		return nil, err
	}
	if err := unix.Access(dir.Path(), unix.W_OK|unix.X_OK); err != nil && !r.noSave {
		return nil, cli.WithHint(fmt.Errorf("cannot write to directory %q: %w", dir.Path(), err),
			"Make it writable, or set OIDC_CONFIG_DIR to another directory.")
	}
	_, err = os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &file{dir: dir, path: path}, nil
	}
	return &file{dir: dir, path: path, exists: true}, err
}

// decrypt reads the file and, unless it is plain JSON, asks for its password until one fits.
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
			f.password = password.Clone() // the last one is right
			return try(password)
		})
	})
	if err != nil && !errors.Is(err, crypt.ErrWrongPassword) {
		err = fmt.Errorf("%s: %w", f.path, err)
	}
	return err
}

// open decrypts the file and reads the account in it.
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

// save encrypts the account in the agent's answer into its file and tells the agent so. If key is nil, the user
// chooses one. The agent has loaded the account already; until it knows the key, it keeps a new refresh token
// in memory only. After --only-at the answer holds no account but a token, which save prints.
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
			return fmt.Errorf("the account is saved, but the agent cannot update its file: %w", err)
		}
	}
	_, err = fmt.Println("Everything setup correctly!")
	return err
}

func notSaved(err error) error {
	return cli.WithHint(err,
		"The account is loaded in the agent and works, but it is not saved: it is lost when the agent ends.")
}

// newKey returns the key to encrypt the file with. An option decides; otherwise a file keeps its key unless the
// user types a new password, and a new file follows the settings.
func (f *file) newKey(r *request) (*crypt.Key, error) {
	hasPassword := f.key != nil && f.key.Format() != crypt.FormatGPG
	switch {
	case r.gpgKey != "":
		return crypt.GPGKey(r.gpgKey), nil
	case r.format != "" && hasPassword:
		return crypt.NewKey(f.password, f.format(r))
	case r.format == "" && f.key != nil && (!hasPassword || r.password.Given()):
		return f.key, nil
	case r.format == "" && f.key == nil && r.defaultGPGKey != "":
		return crypt.GPGKey(r.defaultGPGKey), nil
	}
	password, err := r.newPassword(hasPassword)
	if err != nil || password.IsEmpty() && hasPassword {
		return f.key, err
	}
	defer password.Wipe()
	return crypt.NewKey(password, f.format(r))
}

// gpgTimeout limits a run of gpg while the file is locked. The user may have to type a passphrase.
const gpgTimeout = time.Minute

// format returns the format for a file with a password. A C agent can rewrite its own format only.
func (f *file) format(r *request) crypt.Format {
	switch {
	case r.format == "scrypt":
		return crypt.FormatScrypt
	case r.format == "c", r.cAgent, f.key != nil && f.key.Format() == crypt.FormatC, f.key == nil && r.writesC:
		return crypt.FormatC
	}
	return crypt.FormatScrypt
}

// locked calls write while holding the file's lock. If it cannot get the lock, it calls write all the same: to lose
// a login would be worse.
func (f *file) locked(write func() error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second) // for an agent that is writing the file
	defer cancel()
	if unlock, err := account.Lock(ctx, f.path); err == nil {
		defer unlock()
	}
	return write()
}

// rewrite encrypts what the file now holds under another key: while the user was typing the password, an agent
// may have written a new refresh token. If path is another file, the account moves there and gets its name.
// Otherwise the text stays exactly as it is, except that the C tools must be able to read it.
func (f *file) rewrite(path string, key *crypt.Key) error {
	return f.locked(func() error {
		text, err := f.current()
		if err != nil {
			return err
		}
		moves := path != f.path
		config, err := account.Parse(text.Reveal())
		if err == nil && (moves || config.IssuerURL != "" && key.Format() != crypt.FormatScrypt) {
			if moves {
				config.Name = filepath.Base(path)
			}
			err = writeAccount(path, config, key)
		} else {
			err = writeText(path, text, key)
		}
		if err == nil && moves {
			err = f.dir.Remove(filepath.Base(f.path))
		}
		return err
	})
}

// current reads an open file again and returns its decrypted text.
func (f *file) current() (secret.Secret, error) {
	data, err := account.ReadFile(f.path)
	switch {
	case err != nil || bytes.Equal(data, f.data):
		return f.text, err
	case f.key == nil:
		return f.text, fmt.Errorf("%s: someone else changed it in the meantime", f.path)
	}
	ctx, cancel := context.WithTimeout(context.Background(), gpgTimeout)
	defer cancel()
	return f.key.Decrypt(ctx, data)
}

// writeAccount encrypts an account into a file. Files that the C tools can read name the scopes twice: 4.x
// knows one name and 5.x the other.
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

// tellSaved tells the agent which file the account is in, and the file's key. A C agent does not know the request.
func (r *request) tellSaved(name, path string, key *crypt.Key) error {
	if r.cAgent {
		return nil
	}
	_, err := ask(ipc.Request(ipc.RequestSaved).SetText(ipc.KeyAccount, name).
		SetText(ipc.KeyFile, path).SetSecret(ipc.KeyKey, key.Marshal()))
	return err
}
