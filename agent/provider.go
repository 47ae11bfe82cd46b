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
	// metadataLifetime is how long a provider's metadata is used if the provider does not say. A login and a
	// registration always fetch it.
	metadataLifetime = time.Hour
	// When known metadata has expired, a request waits metadataTimeout for new metadata. If none arrives, the old
	// one is used for another metadataPause.
	metadataTimeout, metadataPause = 3 * time.Second, time.Minute
	// maxBusy limits how long a Retry-After is obeyed, so that a mistaken one does not make the provider unusable
	// for a day.
	maxBusy = 10 * time.Minute
)

// providers is what the agent knows about all providers.
type providers struct {
	clients  sync.Map               // *oidc.Client by caFile
	used     atomic.Pointer[moment] // when a client was last used
	metadata sync.Map               // until[*oidc.Metadata] by providerKey
	busy     sync.Map               // until[error] by issuer: the answer with a Retry-After
}

// caFile is one version of a CA file, or of a directory of them.
type caFile struct{ path, stamp string }

type providerKey struct{ issuer, endpoint, certPath string }

// until is a value that is valid until end, counted from the machine's boot.
type until[T any] struct {
	value T
	end   time.Duration
}

// client returns the HTTP client for a CA file. It is always the same one, so that connections to a provider are
// reused, until the file changes.
func (a *agent) client(certPath string) (*oidc.Client, error) {
	key := caFile{certPath, stampOf(certPath)}
	known, ok := a.providers.clients.Load(key)
	if !ok {
		made, err := oidc.NewClient(oidc.Options{CAFile: certPath, UserAgent: "oidc-agent/" + version})
		if err != nil {
			return nil, err
		}
		known, _ = a.providers.clients.LoadOrStore(key, made) // another request may have been faster
		for old, c := range a.providers.clients.Range {
			if old := old.(caFile); old.path == key.path && old.stamp != key.stamp {
				a.providers.clients.Delete(old)
				c.(*oidc.Client).CloseIdle()
			}
		}
	}
	now := a.moment()
	if last := a.providers.used.Swap(&now); last != nil && now.sleptSince(*last) {
		a.providers.closeIdle() // the provider, or a NAT in between, has most likely dropped the connections
	}
	return known.(*oidc.Client), nil
}

// closeIdle closes idle connections and returns the number of those that are still in memory.
func (p *providers) closeIdle() (open int64) {
	for _, c := range p.clients.Range {
		c.(*oidc.Client).CloseIdle()
		open += c.(*oidc.Client).Open()
	}
	return open
}

// stampOf returns a text that changes when a file changes or, for a directory, when entries are added or removed.
func stampOf(path string) string {
	var s unix.Stat_t
	err := unix.Stat(path, &s)
	// A file that was replaced has another inode, and one that was written in place has another change time.
	return fmt.Sprintln(err, s.Dev, s.Ino, s.Size, s.Mtim, s.Ctim)
}

// provider is a provider as one account uses it.
type provider struct {
	oidc.Provider
	asked moment // before the request was sent: the lifetime of a token in the answer begins no earlier
}

// provider returns the provider of an account. A device endpoint that the user has set takes precedence over
// discovery.
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
		// From the registration (RFC 7591 section 2). oidc-gen keeps it in the account file.
		AuthMethod:     c.Extra().Text("token_endpoint_auth_method"),
		LegacyAudience: a.issuerSettings(md.Issuer).LegacyAudMode,
		Extend: func(kind string, add func(name, value string)) {
			for _, p := range a.parameters.For(c, kind) {
				add(p.Name, p.Value)
			}
		},
	}}, nil
}

// metadata returns the metadata of an issuer, fetched if it is not known or fresh is set. Expired metadata is
// still used while the provider is unavailable.
func (a *agent) metadata(ctx context.Context, c *oidc.Client, key providerKey, fresh bool) (*oidc.Metadata, error) {
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
	md, err := c.Discover(ctx, key.issuer, key.endpoint)
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

// isBusy returns how long a provider must not be asked (RFC 9110 section 10.2.3), and the answer that said so.
func (p *providers) isBusy(issuer string, now time.Duration) (left time.Duration, err error) {
	value, _ := p.busy.Load(issuer)
	said, _ := value.(until[error])
	if now >= said.end {
		return 0, nil
	}
	left = said.end - now
	return left, fmt.Errorf("%w (it asks to try again in %v)", said.value, left.Round(time.Second))
}

// noteBusy remembers an error that says when to ask again, and returns it like isBusy. It returns others as they are.
func (p *providers) noteBusy(issuer string, err error, now time.Duration) (left time.Duration, _ error) {
	after, _ := oidc.Temporary(err)
	if after <= 0 {
		return 0, err
	}
	p.busy.Store(issuer, until[error]{err, now + min(after, maxBusy)})
	return p.isBusy(issuer, now)
}

// issuerSettings returns what issuer.config says about an issuer.
func (a *agent) issuerSettings(issuer string) account.Issuer {
	if found := a.issuers().Find(issuer); found != nil {
		return *found
	}
	return account.Issuer{Issuer: issuer}
}

// issuers returns the issuers in issuer.config. Entries that cannot be read are logged and skipped.
func (a *agent) issuers() account.Issuers {
	issuers, err := account.LoadIssuers()
	if err != nil {
		a.log.warning("issuer.config: %v", err)
	}
	return issuers
}
