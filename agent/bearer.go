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

// bearers are the files that the agent keeps, by path.
type bearers struct {
	mu     sync.Mutex
	byPath map[string]*bearer
}

// bearer is a file with a token of an account. It has a timer unless the agent is locked.
type bearer struct {
	account, path string

	mu      sync.Mutex // held while the file is changed
	stopped bool       // the account is gone, or the agent locked
	written digest     // of the token in the file; zero: none of ours is there
	life    lifespan   // of the last token
	due     time.Duration
	delay   time.Duration // of the last retry; 0: the last attempt succeeded
	err     error         // of the last attempt
	timer   *time.Timer
}

var errBearerConsent = errors.New("the user is asked before each token of this account (--confirm), and a file asks nobody")

// keepBearer begins to keep a file. It answers when the file is there.
func (a *agent) keepBearer(ctx context.Context, r request) (*cjson.Object, error) {
	l, path := a.accounts.find(r.Text(ipc.KeyAccount)), r.Text(ipc.KeyFile)
	switch {
	case l == nil:
		return nil, ipc.ErrNotLoaded
	case l.confirm || a.settings.confirm:
		return nil, errBearerConsent
	case !filepath.IsAbs(path):
		return nil, fmt.Errorf("token file %q: an absolute path is expected", path)
	}
	b, isNew, err := a.bearers.claim(l.name(), filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	err = a.renewBearer(ctx, b, l)
	if err != nil && isNew {
		a.bearers.drop(func(other *bearer) bool { return other == b })
		return nil, err
	}
	b.arm(a)
	if err != nil {
		return nil, err
	}
	return ipc.Success(""), nil
}

// claim returns the file of an account at a path.
func (s *bearers) claim(account, path string) (b *bearer, isNew bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b = s.byPath[path]; b == nil {
		if s.byPath == nil {
			s.byPath = make(map[string]*bearer)
		}
		b = &bearer{account: account, path: path}
		s.byPath[path] = b
		return b, true, nil
	}
	if b.account != account {
		return nil, false, fmt.Errorf("token file %q: it holds the token of the account %q", path, b.account)
	}
	return b, false, nil
}

// all returns the files in the order of their paths.
func (s *bearers) all() []*bearer {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*bearer, 0, len(s.byPath))
	for _, b := range s.byPath {
		list = append(list, b)
	}
	slices.SortFunc(list, func(a, b *bearer) int { return cmp.Compare(a.path, b.path) })
	return list
}

// drop ends the care for files, and removes them.
func (s *bearers) drop(which func(*bearer) bool) {
	for _, b := range s.all() {
		if which(b) {
			b.stop()
			s.mu.Lock()
			delete(s.byPath, b.path)
			s.mu.Unlock()
		}
	}
}

// dropBearers is for an account that goes.
func (a *agent) dropBearers(account string) {
	a.bearers.drop(func(b *bearer) bool { return b.account == account })
}

// stop removes the file and rests.
func (b *bearer) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	if b.timer != nil {
		b.timer.Stop()
	}
	b.removeLocked()
}

// stopBearers is for an agent that is locked or ends.
func (a *agent) stopBearers() {
	for _, b := range a.bearers.all() {
		b.stop()
	}
}

// resumeBearers is for one that was unlocked.
func (a *agent) resumeBearers() {
	for _, b := range a.bearers.all() {
		b.mu.Lock()
		b.stopped, b.due = false, 0
		b.mu.Unlock()
		go a.tendBearer(b)
	}
}

// tendBearer is the timer's.
func (a *agent) tendBearer(b *bearer) {
	if a.lock.enter() != nil {
		return // goes on when it is unlocked
	}
	defer a.lock.leave()
	l := a.accounts.find(b.account)
	if l == nil {
		a.dropBearers(b.account)
		return
	}
	if b.needsToken(a) {
		ctx, cancel := context.WithTimeout(context.Background(), b.patience(a))
		defer cancel()
		_ = a.renewBearer(ctx, b, l) // is told by --status, and tried again
	}
	b.arm(a)
}

// needsToken removes a token that has expired, and reports whether it is time for the next one.
func (b *bearer) needsToken(a *agent) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := a.moment()
	b.expireLocked(a, now)
	if now.boot >= b.due {
		return true
	}
	_, err := os.Lstat(b.path) // somebody may have removed it
	return b.delay == 0 && errors.Is(err, fs.ErrNotExist)
}

// patience is how long an attempt may take: not beyond the end of the token that is to be replaced.
func (b *bearer) patience(a *agent) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.written == (digest{}) || !b.life.known {
		return grantTimeout
	}
	return min(b.life.ends-a.boot(), grantTimeout)
}

// renewBearer puts a token into the file that lasts beyond the last part of its predecessor's life.
func (a *agent) renewBearer(ctx context.Context, b *bearer, l *loaded) error {
	b.mu.Lock()
	r := tokenRequest{minValid: b.life.reserve(), force: b.written != digest{} && !b.life.known}
	b.mu.Unlock()
	t, err := a.accessToken(ctx, l, r)
	b.mu.Lock()
	defer b.mu.Unlock()
	now := a.moment()
	if err == nil {
		defer t.wipe()
		err = b.writeLocked(t)
	}
	if b.err = err; err != nil {
		if b.delay == 0 {
			a.log.warning("token file %q of account %q: %v", b.path, b.account, err)
		}
		b.delay = min(max(2*b.delay, firstBearer), lastBearer)
		b.due = now.boot + b.delay
		return err
	}
	b.delay, b.life, b.due = 0, t.lifespan, now.boot+bearerTerm
	if t.known {
		b.due = max(min(t.renewAt, t.ends-bearerMargin), now.boot+time.Second)
	}
	return nil
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
func (b *bearer) expireLocked(a *agent, now moment) {
	if b.written != (digest{}) && !b.life.exceeds(now, 0) {
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

// arm sets the timer for what comes next.
func (b *bearer) arm(a *agent) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := a.moment()
	b.expireLocked(a, now)
	if b.timer != nil {
		b.timer.Stop()
	}
	if b.stopped {
		return
	}
	wait := min(bearerLook, b.due-now.boot)
	if b.written != (digest{}) && b.life.known {
		wait = min(wait, b.life.ends-now.boot)
	}
	b.timer = time.AfterFunc(max(wait, 100*time.Millisecond), func() { a.tendBearer(b) })
}

// reserve is the last part of a life, in seconds, in which its successor is wanted.
func (s lifespan) reserve() int64 {
	return int64((s.ends - s.renewAt + time.Second - 1) / time.Second)
}

// bearerStatus is what --status tells of the files.
func (a *agent) bearerStatus() (text string, array []byte) {
	array = append(array, '[')
	for i, b := range a.bearers.all() {
		line, o := b.status()
		text += line + "\n"
		if i > 0 {
			array = append(array, ',')
		}
		array = append(array, o.Compact()...)
	}
	return text, append(array, ']')
}

func (b *bearer) status() (line string, o *cjson.Object) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o = cjson.New().SetText(ipc.KeyFile, b.path).SetText(ipc.KeyAccount, b.account).SetBool("present", b.written != digest{})
	line = fmt.Sprintf("Token file of %s: %s, ", b.account, b.path)
	switch {
	case b.written == (digest{}):
		line += "not there"
	case !b.life.known:
		line += "present"
	default:
		line += "valid until " + time.Unix(b.life.expiresAt, 0).Format(time.DateTime)
		o.SetInt(ipc.KeyExpiresAt, b.life.expiresAt)
	}
	if b.err != nil {
		line += "; the last renewal failed: " + b.err.Error()
		o.SetText(ipc.KeyError, b.err.Error())
	}
	return line, o
}
