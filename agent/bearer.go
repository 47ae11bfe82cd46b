package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/secret"
)

// A bearer file, or token file, is where grid software looks for a token (WLCG Bearer Token Discovery, see proto/cli).
// The agent keeps the token in it fresh while the account is loaded, and removes the file when the account is removed,
// or when the agent is locked or ends. It does not leave an expired token there either. The token comes from the cache,
// which is renewed ahead of expiry because each look at the file asks for a token.

const (
	// bearerLook is how often a file is looked at: someone may have removed it, timers stand still while the machine
	// sleeps, and the wall clock may have been set.
	bearerLook = 30 * time.Second
	// bearerSoon is how soon it is looked at again while the next token is being fetched.
	bearerSoon = time.Second
)

// bearer is a file that the agent keeps a token of an account in.
type bearer struct {
	account, path string
	timer         *time.Timer // rests while the agent is locked

	mu      sync.Mutex // also held while the file changes
	gone    bool       // the file is not kept any more
	written digest     // of the token in the file; zero: none of ours is there
	life    lifespan   // of that token
	err     error      // of the last look
}

// keepBearer begins to keep a file. It answers when the token is in it.
func (a *agent) keepBearer(ctx context.Context, r request) (*cjson.Object, error) {
	l, path := a.accounts.find(r.Text(ipc.KeyAccount)), r.Text(ipc.KeyFile)
	switch {
	case l == nil:
		return nil, ipc.ErrNotLoaded
	case l.confirm || a.settings.Confirm:
		return nil, errors.New("the user is asked before each token of this account (--confirm), so no file can keep one")
	case !filepath.IsAbs(path):
		return nil, fmt.Errorf("token file %q: an absolute path is needed", path)
	}
	b := &bearer{account: l.name(), path: filepath.Clean(path)}
	b.timer = time.AfterFunc(bearerLook, func() { a.tendBearer(b) })
	known, isKnown := a.bearers.LoadOrStore(b.path, b)
	if isKnown {
		b.timer.Stop()
		b = known.(*bearer)
	}
	if b.account != l.name() {
		return nil, fmt.Errorf("token file %q: it already holds the token of account %q", b.path, b.account)
	}
	err := a.lookAtBearer(ctx, b, l)
	if err != nil && !isKnown {
		a.bearers.Delete(b.path)
		b.remove(true)
	}
	return nil, err
}

// allBearers returns the files that are kept, in the order of their paths.
func (a *agent) allBearers() (list []*bearer) {
	for _, b := range a.bearers.Range {
		list = append(list, b.(*bearer))
	}
	slices.SortFunc(list, func(a, b *bearer) int { return cmp.Compare(a.path, b.path) })
	return list
}

// dropBearers stops keeping the files of an account, and removes them.
func (a *agent) dropBearers(account string) {
	for _, b := range a.allBearers() {
		if b.account == account {
			a.bearers.Delete(b.path)
			b.remove(true)
		}
	}
}

// remove removes the file, for good or while the agent is locked.
func (b *bearer) remove(forGood bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if forGood {
		b.gone = true
		b.timer.Stop()
	}
	b.removeLocked()
}

// removeLocked leaves the file alone if someone else has put another token there.
func (b *bearer) removeLocked() {
	if b.written != (digest{}) {
		cli.RemoveBearerFile(b.path, func(token secret.Secret) bool { return digestOf(token) == b.written })
		b.written = digest{}
	}
}

// tendBearer is what the timer calls.
func (a *agent) tendBearer(b *bearer) {
	if a.lock.enter() != nil {
		return // unlocking resets the timer
	}
	defer a.lock.leave()
	l := a.accounts.find(b.account)
	if l == nil {
		a.dropBearers(b.account)
		return
	}
	ctx := context.Background()
	b.mu.Lock()
	switch {
	case b.written == digest{}:
	case b.life.exceeds(a.moment(), 0):
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, bearerSoon) // the token must not expire in the file while we wait
		defer cancel()
	default:
		a.log.warning("token file %q of account %q: the token has expired, removed", b.path, b.account)
		b.removeLocked()
	}
	b.mu.Unlock()
	_ = a.lookAtBearer(ctx, b, l) // --status reports it
}

// lookAtBearer puts the account's token into the file if it is not there yet, and sets the timer for the next look.
func (a *agent) lookAtBearer(ctx context.Context, b *bearer, l *loaded) error {
	t, err := a.accessToken(ctx, l, tokenRequest{})
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		err = a.writeLocked(b, t)
	}
	if b.err == nil && err != nil {
		a.log.warning("token file %q of account %q: %v", b.path, b.account, err)
	}
	b.err = err
	wait := bearerLook
	if now := a.boot(); err == nil {
		if wait = min(wait, t.renewAt-now); wait <= 0 {
			wait = bearerSoon
		}
		if t.known {
			wait = min(wait, t.ends-now)
		}
	}
	if !b.gone {
		b.timer.Reset(wait)
	}
	return err
}

func (a *agent) writeLocked(b *bearer, t token) error {
	answer, err := a.openObject(t.answer)
	if err != nil {
		return err
	}
	defer answer.Wipe()
	token := answer.Secret(ipc.KeyAccessToken)
	defer token.Wipe()
	_, missing := os.Lstat(b.path)
	switch {
	case b.gone:
		return errRemoved(b.account)
	case b.written == digestOf(token) && !errors.Is(missing, fs.ErrNotExist):
		return nil
	}
	if err := cli.WriteBearerFile(b.path, token); err != nil {
		return err
	}
	b.written, b.life = digestOf(token), t.lifespan
	return nil
}

// bearerStatus is what --status tells of the files, in words and as JSON.
func (a *agent) bearerStatus() (text string, files []*cjson.Object) {
	for _, b := range a.allBearers() {
		b.mu.Lock()
		present := b.written != digest{}
		o := cjson.New().SetText(ipc.KeyFile, b.path).SetText(ipc.KeyAccount, b.account).SetBool("present", present)
		state := "not there"
		switch {
		case present && b.life.known:
			state = "valid until " + time.Unix(b.life.expiresAt, 0).Format(time.DateTime)
			o.SetInt(ipc.KeyExpiresAt, b.life.expiresAt)
		case present:
			state = "present"
		}
		if b.err != nil {
			state += "; the last renewal failed: " + b.err.Error()
			o.SetText(ipc.KeyError, b.err.Error())
		}
		b.mu.Unlock()
		text += fmt.Sprintf("Token file of %s: %s, %s\n", b.account, b.path, state)
		files = append(files, o)
	}
	return text, files
}
