package main

import (
	"crypto/rand"
	"sync"
	"time"

	"oidc-agent/crypt"
	"oidc-agent/proto/account"
	"oidc-agent/proto/secret"
)

// agent is the daemon: what it was told at the start, and what it holds.
type agent struct {
	settings settings
	// socketPath goes into the state of a code flow, so that oidc-gen --codeExchange finds this agent.
	socketPath string
	parameters account.Parameters
	log        *logger
	sealer     *crypt.Sealer
	clock
	providers providers
	accounts  accounts
	logins    sync.Map // *login by device_code or state
	notes     notes
	lock      *lock
	autoloads sync.Map    // *autoload by the account's name
	bearers   sync.Map    // *bearer by path
	idle      *time.Timer // scrubs
}

func newAgent(s settings, socketPath string, log *logger) (*agent, error) {
	parameters, err := account.LoadParameters()
	if err != nil {
		log.warning("custom_parameters.config: %v", err)
	}
	a := &agent{
		settings: s, socketPath: socketPath, parameters: parameters,
		log: log, sealer: crypt.NewSealer(), clock: systemClock(), lock: newLock(),
	}
	a.idle = time.AfterFunc(idleTimeout, a.scrub)
	return a, nil
}

// notes are the small texts that oidc-gen leaves with the agent between its steps (the requests file_write,
// file_read, file_remove): clients with their secrets, so they are sealed. They never reach the disk. A second
// write under a name does not replace the first, as in the C agent.
type notes struct {
	mu    sync.Mutex
	texts map[string]crypt.Sealed
}

func (n *notes) write(s *crypt.Sealer, name string, text secret.Secret) {
	defer text.Wipe()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.texts == nil {
		n.texts = make(map[string]crypt.Sealed)
	}
	if _, taken := n.texts[name]; !taken {
		n.texts[name] = s.Seal(text)
	}
}

func (n *notes) read(s *crypt.Sealer, name string) (secret.Secret, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	sealed, ok := n.texts[name]
	if !ok {
		return secret.Secret{}, false
	}
	text, err := s.Open(sealed)
	return text, err == nil
}

func (n *notes) remove(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.texts, name)
}

const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// randomName returns n random letters and digits, as mkdtemp puts them for XXXXXX.
func randomName(n int) string {
	name := make([]byte, 0, n)
	for len(name) < n {
		var b [1]byte
		rand.Read(b[:]) // never fails: crypto/rand ends the process instead
		if int(b[0]) < len(alphanumeric)*4 {
			name = append(name, alphanumeric[int(b[0])%len(alphanumeric)])
		}
	}
	return string(name)
}
