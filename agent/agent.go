package main

import (
	"sync"
	"time"

	"oidc-agent/crypt"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
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
	notes     sync.Map // crypt.Sealed by name: what oidc-gen leaves here between its steps
	lock      *lock
	windows   sync.Map    // *window by the account's name
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
	a.accounts.boot = func() time.Duration { return a.boot() }
	a.idle = time.AfterFunc(idleTimeout, a.scrub)
	return a, nil
}

// openObject opens a sealed object, which the caller wipes.
func (a *agent) openObject(sealed crypt.Sealed) (*cjson.Object, error) {
	text, err := a.sealer.Open(sealed)
	if err != nil {
		return nil, err
	}
	return cjson.Parse(text.Reveal()) // shares the bytes
}
