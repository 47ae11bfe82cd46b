package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"oidc-agent/crypt"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli"
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

// file is an account's encrypted file, and what is in it once it is open.
type file struct {
	name, path string
	data       []byte
	format     crypt.Format

	config *account.Account
	key    crypt.FileKey
}

// read finds and reads the account's file.
func read(dir account.Dir, name string) (*file, error) {
	f := &file{name: name}
	var err error
	if f.path, err = dir.File(name); err != nil {
		return nil, err
	}
	f.data, err = account.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ipc.ErrNoAccount
	}
	if err != nil {
		return nil, err
	}
	if f.format, err = crypt.Detect(f.data); err != nil {
		return nil, f.wrap(err)
	}
	return f, nil
}

func (f *file) wrap(err error) error { return fmt.Errorf("%s: %w", f.path, err) }

// open reads the account's file and asks for its password until it fits.
func open(ctx context.Context, r *request) (*file, error) {
	dir, err := account.FindDir()
	if err != nil {
		return nil, err
	}
	f, err := read(dir, r.account)
	if err != nil {
		return nil, err
	}
	if f.format == crypt.FormatGPG {
		return f, f.openGPG(ctx)
	}
	question := fmt.Sprintf("Enter decryption password for account config '%s': ", r.account)
	err = prompt.Decrypt(ctx, r.password, question, crypt.ErrWrongPassword, f.decrypt)
	if err != nil && !errors.Is(err, crypt.ErrWrongPassword) {
		err = f.wrap(err)
	}
	return f, err
}

// decrypt opens the file with its password. The error is crypt.ErrWrongPassword if that is another one.
func (f *file) decrypt(password secret.Secret) error {
	text, key, err := crypt.Open(f.data, password)
	if err != nil {
		return err
	}
	f.key = key
	f.config, err = account.Parse(text.Reveal())
	return err
}

func (f *file) openGPG(ctx context.Context) error {
	id, err := crypt.GPGKeyID(f.data)
	if err != nil {
		return f.wrap(err)
	}
	text, err := crypt.DecryptGPG(ctx, f.data)
	if err != nil {
		return f.wrap(err)
	}
	f.key = crypt.GPGKey(id)
	if f.config, err = account.Parse(text.Reveal()); err != nil {
		return f.wrap(err)
	}
	return nil
}

// print shows the account as the C tool does, decrypted: the keys that an account has, and no others that may
// stand in the file.
func print(ctx context.Context, r *request) error {
	f, err := open(ctx, r)
	if err != nil {
		return err
	}
	for _, key := range f.config.Extra().Keys() {
		f.config.Extra().Delete(key)
	}
	_, err = fmt.Printf("%s\n", f.config.Object().Layout())
	return err
}

// load opens the account's file and gives the account and the file's key to the agent.
func load(ctx context.Context, r *request) error {
	answer, err := ask(ctx, r, ipc.Request(ipc.RequestLoadedAccounts))
	if err != nil {
		return err
	}
	if !r.force && slices.Contains(answer.Texts(ipc.KeyInfo), r.account) {
		if _, err := fmt.Printf("Account '%s' already loaded\n", r.account); err != nil {
			return err
		}
		return keepBearer(ctx, r)
	}
	f, err := open(ctx, r)
	if err != nil {
		return err
	}
	info, err := f.send(ctx, r)
	if err != nil {
		return err
	}
	if err := done(info); err != nil {
		return err
	}
	return keepBearer(ctx, r)
}

// keepBearer has the agent keep a token of the account, which is loaded, in a file.
func keepBearer(ctx context.Context, r *request) error {
	if r.bearerFile == "" {
		return nil
	}
	_, err := ask(ctx, r, ipc.Request(ipc.RequestBearer).SetText(ipc.KeyAccount, r.account).SetText(ipc.KeyFile, r.bearerFile))
	if failed := new(ipc.Failure); errors.As(err, &failed) && strings.Contains(failed.Text, "nknown request type") {
		err = cli.WithHint(errors.New("the account is loaded, but this agent keeps no token files: it is not the one that belongs to this program"),
			"See which one it is:  oidc-agent --status  or without it:  oidc-tokensh "+r.account+" -- COMMAND")
	}
	return err
}

// send gives the opened account and the file's key to the agent.
func (f *file) send(ctx context.Context, r *request) (info string, err error) {
	question := ipc.Request(ipc.RequestAdd).SetObject(ipc.KeyConfig, f.config.Object())
	if r.lifetimeGiven {
		question.SetInt(ipc.KeyLifetime, r.lifetime)
	}
	question.SetObject(ipc.KeyPwEntry, f.passwordEntry(r)).
		SetInt(ipc.KeyConfirm, ipc.Flag(r.confirm)).
		SetInt(ipc.KeyAlwaysAllowIDToken, ipc.Flag(r.alwaysAllowIDToken)).
		SetInt(ipc.KeyAlwaysAllowID, ipc.Flag(r.alwaysAllowIDToken)).
		SetInt(ipc.KeyPlainAdd, ipc.Flag(r.skipCheck)).
		SetObject(ipc.KeyFileKey, cjson.New().SetText(ipc.KeyFile, f.path).SetSecret(ipc.KeyKey, f.key.Marshal()))
	answer, err := ask(ctx, r, question)
	if err != nil {
		return "", err
	}
	return answer.Text(ipc.KeyInfo), nil
}

// passwordEntry tells a C agent where it can get the password again when it has to write the file. Our agent
// keeps the key instead and does not look here.
func (f *file) passwordEntry(r *request) *cjson.Object {
	entry := r.password.Entry(f.name)
	if r.store && r.storeFor > 0 {
		entry.SetInt("expires_after", r.storeFor).SetInt("expires_at", time.Now().Unix()+r.storeFor)
	}
	return entry
}
