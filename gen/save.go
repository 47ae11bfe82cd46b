package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"oidc-agent/crypt"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/cli/prompt"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/secret"
)

// opened is an encrypted file that was opened with its password.
type opened struct {
	path     string
	text     secret.Secret // decrypted
	password secret.Secret // the one that fitted
	key      *crypt.Key    // nil for a gpg file
	config   *account.Account
}

// openFile decrypts a file and asks for its password until it fits.
func openFile(ctx context.Context, r *request, path string) (*opened, error) {
	data, err := account.ReadFile(path)
	if err != nil {
		return nil, err
	}
	format, err := crypt.Detect(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	o := &opened{path: path}
	if format == crypt.FormatGPG {
		o.text, err = crypt.DecryptGPG(ctx, data)
		return o, err
	}
	question := fmt.Sprintf("Enter decryption password for account config '%s': ", filepath.Base(path))
	err = prompt.Decrypt(ctx, r.password, question, crypt.ErrWrongPassword, func(password secret.Secret) error {
		var err error
		if o.text, o.key, err = crypt.Open(data, password); err == nil {
			o.password = password.Clone()
		}
		return err
	})
	if err != nil && !errors.Is(err, crypt.ErrWrongPassword) {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return o, err
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
	data, err := os.ReadFile(r.clientFile)
	if err != nil {
		return nil, err
	}
	if config, err := account.Parse(data); err == nil {
		return config, nil
	}
	path, err := filepath.Abs(r.clientFile)
	if err != nil {
		return nil, err
	}
	o, err := open(ctx, r, path)
	if errors.Is(err, crypt.ErrFormat) {
		return nil, fmt.Errorf("%s is neither JSON nor an encrypted file", r.clientFile)
	}
	if err != nil {
		return nil, err
	}
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
		if err := account.AddAccount(t.dir, finished.IssuerURL, finished.Name); err != nil {
			fmt.Fprintln(os.Stderr, "Warning: issuer.config was not updated:", err)
		}
	}
	_, err := fmt.Println("Everything setup correctly!")
	return err
}

func (t *target) write(ctx context.Context, r *request, finished *account.Account) error {
	key, err := t.key(ctx, r)
	if err != nil {
		return err
	}
	defer key.Wipe()
	if err := writeAccount(t.path, finished, key); err != nil {
		return err
	}
	return tellSaved(ctx, finished.Name, t.path, key)
}

// key is what the file is encrypted with: the old one when the account had a file whose password the user
// keeps, else one of a new password.
func (t *target) key(ctx context.Context, r *request) (*crypt.Key, error) {
	keeps := t.old != nil && t.old.key != nil
	if keeps && r.password.Given() {
		return t.old.key, nil
	}
	password, err := askNewPassword(ctx, r, keeps)
	if err != nil {
		return nil, err
	}
	defer password.Wipe()
	if password.IsEmpty() && keeps {
		return t.old.key, nil
	}
	format := crypt.FormatScrypt
	if keeps {
		format = t.old.key.Format()
	}
	return crypt.NewKey(password, format)
}

func writeAccount(path string, config *account.Account, key *crypt.Key) error {
	text := secret.New(config.Object().Compact())
	defer text.Wipe()
	return writeEncrypted(path, text, key)
}

func writeEncrypted(path string, text secret.Secret, key *crypt.Key) error {
	data, err := key.Encrypt(text.Reveal())
	if err != nil {
		return err
	}
	return account.WriteFile(path, data)
}

// tellSaved gives the file's key to the agent. A C agent does not know this request, and does without.
func tellSaved(ctx context.Context, name, path string, key *crypt.Key) error {
	_, err := ask(ctx, ipc.Request(ipc.RequestSaved).SetText(ipc.KeyAccount, name).
		SetText(ipc.KeyFile, path).SetSecret(ipc.KeyKey, key.Marshal()))
	if refused := new(ipc.Failure); errors.As(err, &refused) && refused.Text == "Bad Request: Unknown request type." {
		return nil
	}
	return err
}
