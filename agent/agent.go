package main

import (
	"sync"
	"time"

	"oidc-agent/crypt"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
)

// agent is the daemon: how it was started, and what it holds.
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
	notes     sync.Map // crypt.Sealed by name: texts that oidc-gen leaves here between its steps
	lock      *lock
	windows   sync.Map    // *window by account name
	bearers   sync.Map    // *bearer by path
	idle      *time.Timer // calls scrub
}

func newAgent(s settings, socketPath string, log *logger) *agent {
	parameters, err := account.LoadParameters()
	if err != nil {
		log.warning("custom_parameters.config: %v", err)
	}
	a := &agent{
		settings: s, socketPath: socketPath, parameters: parameters,
		log: log, sealer: crypt.NewSealer(), clock: clock{now: time.Now, boot: sinceBoot}, lock: newLock(),
	}
	a.accounts.boot = func() time.Duration { return a.boot() } // tests replace a.boot
	a.idle = time.AfterFunc(idleTimeout, a.scrub)
	return a
}

// openObject opens a sealed object. The caller wipes it.
func (a *agent) openObject(sealed crypt.Sealed) (*cjson.Object, error) {
	text, err := a.sealer.Open(sealed)
	if err != nil {
		return nil, err
	}
	return cjson.Parse(text.Reveal()) // the object shares these bytes
}
