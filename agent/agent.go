package main

import (
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"oidc-agent/crypt"
)

// agent is the daemon: what it was told at the start, and what it holds.
type agent struct {
	settings  settings
	log       *logger
	sealer    *crypt.Sealer
	now       func() time.Time
	providers providers
	accounts  accounts
	logins    logins
	notes     notes
}

func newAgent(s settings, log *logger) (*agent, error) {
	sealer, err := crypt.NewSealer()
	if err != nil {
		return nil, fmt.Errorf("seal secrets in memory: %w", err)
	}
	return &agent{settings: s, log: log, sealer: sealer, now: time.Now}, nil
}

// notes are the small texts that oidc-gen leaves with the agent between its steps (the requests file_write,
// file_read, file_remove). They never reach the disk. A second write under a name does not replace the
// first, as in the C agent.
type notes struct {
	mu    sync.Mutex
	texts map[string]string
}

func (n *notes) write(name, text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.texts == nil {
		n.texts = make(map[string]string)
	}
	if _, taken := n.texts[name]; !taken {
		n.texts[name] = text
	}
}

func (n *notes) read(name string) (string, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	text, ok := n.texts[name]
	return text, ok
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
