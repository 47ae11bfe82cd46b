package main

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"oidc-agent/proto/account"
	"oidc-agent/proto/oidc"
)

const (
	// metadataLifetime is how long a provider's metadata is believed where it does not say. Then it serves once more
	// while the new one comes. An account that is added, made or registered asks anew.
	metadataLifetime = time.Hour
	// metadataPause is how long after a failure nobody tries to renew it.
	metadataPause = time.Minute
)

// providers keeps one HTTP client for each CA file, so that connections to a provider are used again, the metadata
// of each provider.
type providers struct {
	mu       sync.Mutex
	clients  map[string]*knownClient // by CA file
	metadata sync.Map                // knownMetadata by providerKey
	busy     sync.Map                // busyError by issuer
}

type providerKey struct{ issuer, endpoint, certPath string }

type knownMetadata struct {
	*oidc.Metadata
	renew time.Duration // since boot: from here on new ones are fetched
}

type knownClient struct {
	*oidc.Client
	stamp string // of the CA file
	used  moment
}

// client returns the HTTP client for a CA file, which is read again when it has changed. What cannot be read then
// leaves the client as it is: a file that is being replaced must not stop everything.
func (a *agent) client(certPath string) (*oidc.Client, error) {
	stamp, p := stampOf(certPath), &a.providers
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.clients[certPath]
	if known == nil || known.stamp != stamp {
		p.mu.Unlock() // nobody else waits for the file
		made, err := oidc.NewClient(oidc.Options{CAFile: certPath, UserAgent: "oidc-agent/" + version})
		p.mu.Lock()
		switch now := p.clients[certPath]; {
		case now != known: // somebody was faster
			known = now
		case err != nil && known == nil:
			return nil, err
		case err != nil:
			a.log.warning("still with the CA file as it was: %v", err)
		default:
			if known != nil {
				known.CloseIdle()
			}
			known = &knownClient{Client: made}
		}
	}
	now := a.moment()
	if now.sleptSince(known.used) {
		known.CloseIdle() // the other side has given up the connections long ago, or a NAT between
	}
	known.stamp, known.used = stamp, now
	if p.clients == nil {
		p.clients = make(map[string]*knownClient)
	}
	p.clients[certPath] = known
	return known.Client, nil
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
	certPath := cmp.Or(c.CertPath, a.settings.certPath)
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

// metadata returns what is known of an issuer, or asks.
func (a *agent) metadata(ctx context.Context, client *oidc.Client, key providerKey, fresh bool) (*oidc.Metadata, error) {
	value, ok := a.providers.metadata.Load(key)
	if !ok || fresh {
		return a.discover(ctx, client, key)
	}
	known, now := value.(knownMetadata), a.boot()
	if now >= known.renew {
		a.providers.metadata.Store(key, knownMetadata{known.Metadata, now + metadataPause}) // one renewal is enough
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), exchangeTimeout)
			defer cancel()
			if _, err := a.discover(ctx, client, key); err != nil {
				a.log.debugf("the metadata of %s stay: %v", key.issuer, err)
			}
		}()
	}
	return known.Metadata, nil
}

func (a *agent) discover(ctx context.Context, client *oidc.Client, key providerKey) (*oidc.Metadata, error) {
	md, err := client.Discover(ctx, key.issuer, key.endpoint)
	if err == nil {
		a.providers.metadata.Store(key, knownMetadata{md, a.boot() + cmp.Or(md.Lifetime, metadataLifetime)})
	}
	return md, err
}

// closeIdle closes connections that nobody uses, and counts those that are still in memory.
func (p *providers) closeIdle() (open int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.clients {
		c.CloseIdle()
		open += c.Open()
	}
	return open
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
