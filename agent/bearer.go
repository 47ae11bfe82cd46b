package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
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

// A bearer file is where grid software looks for a token (WLCG Bearer Token Discovery, see proto/cli). The agent keeps
// the token in it fresh as long as the account is loaded and the agent neither locked nor ended, and then removes it. A
// token that has expired is not left there either.

const (
	// bearerLook is how often a file's state is looked at: timers stand still while the machine sleeps, and the wall
	// clock may be set.
	bearerLook = 30 * time.Second
	// bearerMargin is the least time that a token is replaced before its end: the wall clock counts in whole seconds.
	bearerMargin = 2 * time.Second
	// bearerTerm is for the token of a provider that does not say how long it lasts.
	bearerTerm  = 5 * time.Minute
	firstBearer = 5 * time.Second // until a renewal that failed is tried again; then twice as long
	lastBearer  = 5 * time.Minute
)

// bearer is a file with a token of an account.
type bearer struct {
	account, path string

	mu      sync.Mutex // held while the file is changed
	stopped bool       // the account is gone, or the agent locked
	written digest     // of the token in the file; zero: none of ours is there
	life    lifespan   // of the last token
	due     time.Duration
	delay   time.Duration // of the last retry; 0: the last attempt succeeded
	err     error         // of the last attempt
	timer   *time.Timer   // rests while the agent is locked
}

// keepBearer begins to keep a file. It answers when the file is there.
func (a *agent) keepBearer(ctx context.Context, r request) (*cjson.Object, error) {
	l, path := a.accounts.find(r.Text(ipc.KeyAccount)), r.Text(ipc.KeyFile)
	switch {
	case l == nil:
		return nil, ipc.ErrNotLoaded
	case l.confirm || a.settings.confirm:
		return nil, errors.New("the user is asked before each token of this account (--confirm), and a file asks nobody")
	case !filepath.IsAbs(path):
		return nil, fmt.Errorf("token file %q: an absolute path is expected", path)
	}
	b := &bearer{account: l.name(), path: filepath.Clean(path)}
	b.timer = time.AfterFunc(grantTimeout, func() { a.tendBearer(b) })
	there, isOld := a.bearers.LoadOrStore(b.path, b)
	if isOld {
		b.timer.Stop()
		b = there.(*bearer)
	}
	if b.account != l.name() {
		return nil, fmt.Errorf("token file %q: it holds the token of the account %q", b.path, b.account)
	}
	err := a.renewBearer(ctx, b, l)
	switch {
	case err == nil:
		return ipc.Success(""), nil
	case !isOld:
		b.stop()
		a.bearers.Delete(b.path)
	}
	return nil, err
}

// allBearers returns the files in the order of their paths.
func (a *agent) allBearers() (list []*bearer) {
	for _, b := range a.bearers.Range {
		list = append(list, b.(*bearer))
	}
	slices.SortFunc(list, func(a, b *bearer) int { return cmp.Compare(a.path, b.path) })
	return list
}

// dropBearers ends the care for the files of an account, and removes them.
func (a *agent) dropBearers(account string) {
	for _, b := range a.allBearers() {
		if b.account == account {
			b.stop()
			a.bearers.Delete(b.path)
		}
	}
}

// stop removes the file and rests: its account goes, or the agent is locked or ends.
func (b *bearer) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	b.timer.Stop()
	b.removeLocked()
}

// resume is for an agent that was unlocked.
func (b *bearer) resume() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped, b.due = false, 0
	b.timer.Reset(0)
}

// tendBearer is the timer's.
func (a *agent) tendBearer(b *bearer) {
	if a.lock.enter() != nil {
		return // goes on when it is unlocked
	}
	defer a.lock.leave()
	if l := a.accounts.find(b.account); l == nil {
		a.dropBearers(b.account)
	} else if b.needsToken(a) {
		_ = a.renewBearer(context.Background(), b, l) // is told by --status, and tried again
	}
}

// needsToken reports whether it is time for the next token, and sets the timer where it is not.
func (b *bearer) needsToken(a *agent) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expireLocked(a)
	_, err := os.Lstat(b.path) // somebody may have removed it
	if a.boot() >= b.due || b.delay == 0 && errors.Is(err, fs.ErrNotExist) {
		return true
	}
	b.armLocked(a)
	return false
}

// renewBearer puts a token into the file that lasts beyond the last part of its predecessor's life, and tries that no
// longer than its predecessor is good.
func (a *agent) renewBearer(ctx context.Context, b *bearer, l *loaded) error {
	b.mu.Lock()
	b.expireLocked(a)
	r, patience := tokenRequest{minValid: int64(math.Ceil((b.life.ends - b.life.renewAt).Seconds()))}, grantTimeout
	switch {
	case b.written == digest{}:
	case b.life.known:
		patience = min(b.life.ends-a.boot(), grantTimeout)
	default:
		r.force = true
	}
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	t, err := a.accessToken(ctx, l, r)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		defer t.wipe()
		err = b.writeLocked(t)
	}
	b.err = err
	now := a.boot()
	switch {
	case err == nil:
		b.delay, b.life, b.due = 0, t.lifespan, now+bearerTerm
		if t.known {
			b.due = max(min(t.renewAt, t.ends-bearerMargin), now+time.Second)
		}
	case b.delay == 0:
		a.log.warning("token file %q of account %q: %v", b.path, b.account, err)
		fallthrough
	default:
		b.delay = min(max(2*b.delay, firstBearer), lastBearer)
		b.due = now + b.delay
	}
	b.armLocked(a)
	return err
}

func (b *bearer) writeLocked(t token) error {
	if b.stopped {
		return fmt.Errorf("account %q was removed meanwhile", b.account)
	}
	answer := tokenAnswer(t)
	defer answer.Wipe()
	token := answer.Secret(ipc.KeyAccessToken)
	defer token.Wipe()
	if err := cli.WriteBearerFile(b.path, token); err != nil {
		return err
	}
	b.written = digestOf(token)
	return nil
}

// expireLocked removes a token that is of no use any more.
func (b *bearer) expireLocked(a *agent) {
	if b.written != (digest{}) && !b.life.exceeds(a.moment(), 0) {
		a.log.warning("token file %q of account %q: the token has expired, removed", b.path, b.account)
		b.removeLocked()
	}
}

// removeLocked removes the file, unless somebody else has put another token there.
func (b *bearer) removeLocked() {
	if b.written != (digest{}) {
		cli.RemoveBearerFile(b.path, func(token secret.Secret) bool { return digestOf(token) == b.written })
		b.written = digest{}
	}
}

// armLocked sets the timer for what comes next.
func (b *bearer) armLocked(a *agent) {
	b.expireLocked(a)
	wait := min(bearerLook, b.due-a.boot())
	if b.written != (digest{}) && b.life.known {
		wait = min(wait, b.life.ends-a.boot())
	}
	if !b.stopped {
		b.timer.Reset(max(wait, 100*time.Millisecond))
	}
}

// bearerStatus is what --status tells of the files, in words and as a JSON array.
func (a *agent) bearerStatus() (text string, array []byte) {
	separator := byte('[')
	for _, b := range a.allBearers() {
		b.mu.Lock()
		o := cjson.New().SetText(ipc.KeyFile, b.path).SetText(ipc.KeyAccount, b.account).SetBool("present", b.written != digest{})
		text += fmt.Sprintf("Token file of %s: %s, ", b.account, b.path)
		switch {
		case b.written == digest{}:
			text += "not there"
		case !b.life.known:
			text += "present"
		default:
			text += "valid until " + time.Unix(b.life.expiresAt, 0).Format(time.DateTime)
			o.SetInt(ipc.KeyExpiresAt, b.life.expiresAt)
		}
		if b.err != nil {
			text += "; the last renewal failed: " + b.err.Error()
			o.SetText(ipc.KeyError, b.err.Error())
		}
		b.mu.Unlock()
		text += "\n"
		array = append(append(array, separator), o.Compact()...)
		separator = ','
	}
	return text, append(array, ']')
}
