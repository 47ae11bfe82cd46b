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

// ask sends a request to the agent, or with --remote to the one that OIDC_REMOTE_SOCK names. An answer that tells a
// failure is an error, and the answer is returned with it.
func ask(ctx context.Context, r *request, question *cjson.Object) (answer *cjson.Object, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	address := os.Getenv(box.EnvRemote)
	switch {
	case !r.remote:
		answer, err = ipc.Call(ctx, ipc.SocketPath(), question)
	case address == "":
		err = errors.New(box.EnvRemote + " is not set: it names the remote agent as HOST or HOST:PORT")
	default:
		answer, err = box.Call(ctx, address, question)
	}
	if err != nil {
		return nil, err
	}
	return answer, ipc.Check(answer)
}

// order has the agent do something and tells of its success as the C tool does: the word on stdout, what else there
// is to say on stderr.
func order(ctx context.Context, r *request, question *cjson.Object) error {
	answer, err := ask(ctx, r, question)
	if err != nil {
		return err
	}
	_, err = fmt.Println("success")
	if info := answer.Text(ipc.KeyInfo); info != "" {
		fmt.Fprintln(os.Stderr, cli.Printable(info))
	}
	return err
}

// relay carries one request from stdin to the agent and its answer to stdout. oidc-token uses it to reach a
// remote agent without having the network inside.
func relay(ctx context.Context, r *request) error {
	message, err := ipc.ReadObject(os.Stdin, nil, ipc.MaxMessage)
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
	config     *account.Account
	key        crypt.FileKey
}

// read finds and reads the account's file.
func read(name string) (*file, error) {
	dir, err := account.FindDir()
	if err != nil {
		return nil, err
	}
	f := &file{name: name}
	if f.path, err = dir.File(name); err != nil {
		return nil, err
	}
	f.data, err = account.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = ipc.ErrNoAccount
	}
	return f, err
}

// open asks for the file's password until it fits. The error names the file, unless that is the password's.
func (f *file) open(ctx context.Context, source prompt.Source) error {
	question := fmt.Sprintf("Enter decryption password for account config '%s': ", f.name)
	text, key, err := crypt.OpenAny(ctx, f.data, func(try func(secret.Secret) error) error {
		return prompt.Decrypt(ctx, source, question, crypt.ErrWrongPassword, try)
	})
	switch {
	case errors.Is(err, crypt.ErrWrongPassword):
		return err
	case err != nil:
		return fmt.Errorf("%s: %w", f.path, err)
	}
	return f.take(text, key)
}

func (f *file) take(text secret.Secret, key crypt.FileKey) (err error) {
	f.key = key
	if f.config, err = account.Parse(text.Reveal()); err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	return nil
}

// print shows the account as the C tool does, decrypted: the keys that an account has, and no others that may
// stand in the file.
func print(ctx context.Context, r *request) error {
	f, err := read(r.account)
	if err != nil {
		return err
	}
	if err := f.open(ctx, r.password); err != nil {
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
	f, err := read(r.account)
	if err != nil {
		return err
	}
	if err := f.open(ctx, r.password); err != nil {
		return err
	}
	if err := order(ctx, r, f.request(r)); err != nil {
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

// request gives the opened account and the file's key to the agent. pw_entry tells a C agent where it can get the
// password again when it has to write the file; our agent keeps the key instead and does not look there.
func (f *file) request(r *request) *cjson.Object {
	question := ipc.Request(ipc.RequestAdd).SetObject(ipc.KeyConfig, f.config.Object())
	if r.lifetime >= 0 {
		question.SetInt(ipc.KeyLifetime, r.lifetime)
	}
	entry := r.password.Entry(f.name)
	if r.storeFor > 0 {
		entry.SetInt("expires_after", r.storeFor).SetInt("expires_at", time.Now().Unix()+r.storeFor)
	}
	return question.SetObject(ipc.KeyPwEntry, entry).
		SetInt(ipc.KeyConfirm, ipc.Flag(r.confirm)).
		SetInt(ipc.KeyAlwaysAllowIDToken, ipc.Flag(r.alwaysAllowIDToken)).
		SetInt(ipc.KeyAlwaysAllowID, ipc.Flag(r.alwaysAllowIDToken)).
		SetInt(ipc.KeyPlainAdd, ipc.Flag(r.skipCheck)).
		SetObject(ipc.KeyFileKey, cjson.New().SetText(ipc.KeyFile, f.path).SetSecret(ipc.KeyKey, f.key.Marshal()))
}
