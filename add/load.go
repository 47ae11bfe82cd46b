package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"oidc-agent/crypt"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli/prompt"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/ipc/box"
	"oidc-agent/proto/secret"
)

// askTimeout is a little longer than the agent itself waits for a provider.
const askTimeout = 45 * time.Second

var errNoRemote = errors.New(box.EnvRemote + " is not set: it names the remote agent as HOST or HOST:PORT")

// ask sends a request to the agent, or with --remote to the one that OIDC_REMOTE_SOCK names.
func ask(ctx context.Context, r *request, question *cjson.Object) (*cjson.Object, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var answer *cjson.Object
	var err error
	if r.remote {
		address := os.Getenv(box.EnvRemote)
		if address == "" {
			return nil, errNoRemote
		}
		answer, err = box.Call(ctx, address, question)
	} else {
		answer, err = ipc.Call(ctx, ipc.SocketPath(), question)
	}
	if err != nil {
		return nil, err
	}
	return answer, ipc.Check(answer)
}

// relay carries one request from stdin to the agent and its answer to stdout. oidc-token uses it to reach a
// remote agent without having the network inside.
func relay(ctx context.Context, r *request) error {
	message, err := ipc.ReadMessage(os.Stdin)
	if err != nil {
		return err
	}
	question, err := cjson.Parse(message)
	if err != nil {
		return err
	}
	answer, err := ask(ctx, r, question)
	if answer == nil {
		return err
	}
	_, err = os.Stdout.Write(answer.Compact())
	return err
}

// opened is an account file that was opened with its password.
type opened struct {
	path   string
	config *account.Account
	key    crypt.FileKey
}

// open reads the account's file and asks for its password until it fits.
func open(ctx context.Context, r *request) (*opened, error) {
	dir, err := account.FindDir()
	if err != nil {
		return nil, err
	}
	path, err := dir.File(r.account)
	if err != nil {
		return nil, err
	}
	data, err := account.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ipc.ErrNoAccount
	}
	if err != nil {
		return nil, err
	}
	o := &opened{path: path}
	text, err := o.decrypt(ctx, r, data)
	if err != nil {
		return nil, err
	}
	if o.config, err = account.Parse(text.Reveal()); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return o, nil
}

func (o *opened) decrypt(ctx context.Context, r *request, data []byte) (text secret.Secret, err error) {
	format, err := crypt.Detect(data)
	if err != nil {
		return secret.Secret{}, fmt.Errorf("%s: %w", o.path, err)
	}
	if format == crypt.FormatGPG {
		id, err := crypt.GPGKeyID(data)
		if err != nil {
			return secret.Secret{}, fmt.Errorf("%s: %w", o.path, err)
		}
		o.key = crypt.GPGKey(id)
		return crypt.DecryptGPG(ctx, data)
	}
	question := fmt.Sprintf("Enter decryption password for account config '%s': ", r.account)
	err = prompt.Decrypt(ctx, r.password, question, crypt.ErrWrongPassword, func(password secret.Secret) error {
		opened, key, err := crypt.Open(data, password)
		text, o.key = opened, key
		return err
	})
	if err != nil && !errors.Is(err, crypt.ErrWrongPassword) {
		err = fmt.Errorf("%s: %w", o.path, err)
	}
	return text, err
}

// print shows the account as the C tool does, decrypted: the keys that an account has, and no others that may
// stand in the file.
func print(ctx context.Context, r *request) error {
	o, err := open(ctx, r)
	if err != nil {
		return err
	}
	for _, key := range o.config.Extra().Keys() {
		o.config.Extra().Delete(key)
	}
	_, err = fmt.Printf("%s\n", o.config.Object().Layout())
	return err
}

// load opens the account's file and gives the account and the file's key to the agent.
func load(ctx context.Context, r *request) error {
	answer, err := ask(ctx, r, ipc.Request(ipc.RequestLoadedAccounts))
	if err != nil {
		return err
	}
	if !r.force && slices.Contains(answer.Texts(ipc.KeyInfo), r.account) {
		_, err := fmt.Printf("Account '%s' already loaded\n", r.account)
		return err
	}
	o, err := open(ctx, r)
	if err != nil {
		return err
	}
	question := ipc.Request(ipc.RequestAdd).SetObject(ipc.KeyConfig, o.config.Object())
	if r.lifetimeGiven {
		question.SetInt(ipc.KeyLifetime, r.lifetime)
	}
	question.SetObject(ipc.KeyPwEntry, passwordEntry(r)).
		SetInt(ipc.KeyConfirm, ipc.Flag(r.confirm)).
		SetInt(ipc.KeyAlwaysAllowIDToken, ipc.Flag(r.alwaysAllowIDToken)).
		SetInt(ipc.KeyAlwaysAllowID, ipc.Flag(r.alwaysAllowIDToken)).
		SetInt(ipc.KeyPlainAdd, ipc.Flag(r.skipCheck))
	question.SetObject(ipc.KeyFileKey, cjson.New().SetText(ipc.KeyFile, o.path).SetSecret(ipc.KeyKey, o.key.Marshal()))
	if answer, err = ask(ctx, r, question); err != nil {
		return err
	}
	return done(answer.Text(ipc.KeyInfo))
}

// passwordEntry tells a C agent where it can get the password again when it has to write the file. Our agent
// keeps the key instead and does not look here.
func passwordEntry(r *request) *cjson.Object {
	entry := r.password.Entry(r.account)
	if r.store && r.storeFor > 0 {
		entry.SetInt("expires_after", r.storeFor).SetInt("expires_at", time.Now().Unix()+r.storeFor)
	}
	return entry
}
