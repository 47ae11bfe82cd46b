package main

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"oidc-agent/proto/account"
	"oidc-agent/proto/oidc"
)

const (
	// metadataLifetime is how long a provider's metadata is believed where it does not say. An account that is made or
	// registered asks anew.
	metadataLifetime = time.Hour
	// metadataTimeout is how long who needs no new metadata waits for them, and metadataPause how long nobody tries it
	// again then.
	metadataTimeout, metadataPause = 3 * time.Second, time.Minute
	// maxBusy is how long a Retry-After keeps us from asking again: one that was set by mistake must not shut the
	// provider for a day.
	maxBusy = 10 * time.Minute
)

// providers are what the agent knows of all of them.
type providers struct {
	clients  sync.Map               // *oidc.Client by caFile
	used     atomic.Pointer[moment] // when one of them was last used
	metadata sync.Map               // until[*oidc.Metadata] by providerKey
	busy     sync.Map               // until[error] by issuer: its answer that said when it wants to be asked again
}

// caFile is a CA file, or a directory of them, as it was at some time.
type caFile struct{ path, stamp string }

type providerKey struct{ issuer, endpoint, certPath string }

// until is what counts up to a moment since boot.
type until[T any] struct {
	value T
	end   time.Duration
}

// client returns the HTTP client for a CA file: always the same, so that connections to a provider are used again, and
// another one when the file has changed.
func (a *agent) client(certPath string) (*oidc.Client, error) {
	key := caFile{certPath, stampOf(certPath)}
	known, ok := a.providers.clients.Load(key)
	if !ok {
		made, err := oidc.NewClient(oidc.Options{CAFile: certPath, UserAgent: "oidc-agent/" + version})
		if err != nil {
			return nil, err
		}
		known, _ = a.providers.clients.LoadOrStore(key, made) // somebody may have been faster
		for old, c := range a.providers.clients.Range {
			if old := old.(caFile); old.path == key.path && old.stamp != key.stamp {
				a.providers.clients.Delete(old)
				c.(*oidc.Client).CloseIdle()
			}
		}
	}
	now := a.moment()
	if last := a.providers.used.Swap(&now); last != nil && now.sleptSince(*last) {
		a.providers.closeIdle() // the other side has given up the connections long ago, or a NAT between
	}
	return known.(*oidc.Client), nil
}

// closeIdle closes connections that nobody uses, and counts those that are still in memory.
func (p *providers) closeIdle() (open int64) {
	for _, c := range p.clients.Range {
		c.(*oidc.Client).CloseIdle()
		open += c.(*oidc.Client).Open()
	}
	return open
}

// stampOf is a text that changes when the file does, or, of a directory, when entries come and go.
func stampOf(path string) string {
	var s unix.Stat_t
	err := unix.Stat(path, &s)
	// A file that was replaced has another inode; one that was written in place another time of change.
	return fmt.Sprintln(err, s.Dev, s.Ino, s.Size, s.Mtim, s.Ctim)
}

// provider is a place to send requests about one account.
type provider struct {
	oidc.Provider
	asked moment // before any request was sent: what it answers has begun to live at this time at the earliest
}

// provider finds the client and the metadata of an account's issuer, and how the account's client authenticates there.
// A device endpoint that the user set by hand beats discovery.
func (a *agent) provider(ctx context.Context, c *account.Account, fresh bool) (*provider, error) {
	certPath := cmp.Or(c.CertPath, a.settings.CertPath)
	client, err := a.client(certPath)
	if err != nil {
		return nil, err
	}
	a.idle.Reset(idleTimeout)
	metadata, err := a.metadata(ctx, client, providerKey{c.IssuerURL, c.ConfigEndpoint, certPath}, fresh)
	if err != nil {
		return nil, err
	}
	md := *metadata
	if c.DeviceAuthorizationEndpointByUser && c.DeviceAuthorizationEndpoint != "" {
		md.DeviceAuthorizationEndpoint = c.DeviceAuthorizationEndpoint
	}
	return &provider{asked: a.moment(), Provider: oidc.Provider{
		Client: client, Metadata: &md, ClientID: c.ClientID, ClientSecret: c.ClientSecret, Public: c.UsesPubClient,
		// What the registration gave (RFC 7591 section 2); oidc-gen keeps it with the account.
		AuthMethod:     c.Extra().Text("token_endpoint_auth_method"),
		LegacyAudience: a.issuerSettings(md.Issuer).LegacyAudMode,
		Extend: func(kind string, add func(name, value string)) {
			for _, p := range a.parameters.For(c, kind) {
				add(p.Name, p.Value)
			}
		},
	}}, nil
}

// metadata returns what is known of an issuer, or asks. What was known serves on while the provider is away.
func (a *agent) metadata(ctx context.Context, client *oidc.Client, key providerKey, fresh bool) (*oidc.Metadata, error) {
	value, _ := a.providers.metadata.Load(key)
	known, ok := value.(until[*oidc.Metadata])
	if ok = ok && !fresh; ok {
		if a.boot() < known.end {
			return known.value, nil
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, metadataTimeout)
		defer cancel()
	}
	md, err := client.Discover(ctx, key.issuer, key.endpoint)
	switch {
	case err == nil:
		known = until[*oidc.Metadata]{md, a.boot() + cmp.Or(md.Lifetime, metadataLifetime)}
	case ok:
		known.end = a.boot() + metadataPause
	default:
		return nil, err
	}
	a.providers.metadata.Store(key, known)
	return known.value, nil
}

// isBusy tells how long a provider does not want to be asked (RFC 9110 section 10.2.3), with the answer that said so.
func (p *providers) isBusy(issuer string, now time.Duration) (left time.Duration, err error) {
	value, _ := p.busy.Load(issuer)
	said, _ := value.(until[error])
	if now >= said.end {
		return 0, nil
	}
	left = said.end - now
	return left, fmt.Errorf("%w (it asks to try again in %v)", said.value, left.Round(time.Second))
}

// noteBusy remembers an answer that says when to ask again.
func (p *providers) noteBusy(issuer string, err error, now time.Duration) (left time.Duration, _ error) {
	after, _ := oidc.Temporary(err)
	if after <= 0 {
		return 0, err
	}
	p.busy.Store(issuer, until[error]{err, now + min(after, maxBusy)})
	return p.isBusy(issuer, now)
}

// issuerSettings are what issuer.config says about an account's issuer.
func (a *agent) issuerSettings(issuer string) account.Issuer {
	if found := a.issuers().Find(issuer); found != nil {
		return *found
	}
	return account.Issuer{Issuer: issuer}
}

// issuers are those of issuer.config. What cannot be read there is logged: the rest counts all the same.
func (a *agent) issuers() account.Issuers {
	issuers, err := account.LoadIssuers()
	if err != nil {
		a.log.warning("issuer.config: %v", err)
	}
	return issuers
}
