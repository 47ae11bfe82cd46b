package main

import (
	"cmp"
	"context"
	"sync"
	"time"

	"oidc-agent/proto/account"
	"oidc-agent/proto/oidc"
)

const (
	// metadataLifetime is how long a provider's metadata is believed where it does not say.
	metadataLifetime = time.Hour
	// oldMetadata is the age from which on a request waits for new metadata; younger ones serve once more while
	// the new ones come. An account that is added, made or registered asks anew.
	oldMetadata = 24 * time.Hour
	// refreshMetadataTimeout leaves time for the exchange itself where old metadata will do.
	refreshMetadataTimeout = 4 * time.Second
	// metadataPause is how long after a failure nobody tries to renew them.
	metadataPause = time.Minute
)

// providers keeps one HTTP client for each CA file, so that connections to a provider are used again, the metadata
// of each provider, and what issuer.config says.
type providers struct {
	mu       sync.Mutex
	clients  map[string]*knownClient
	metadata map[providerKey]knownMetadata
	busy     map[string]busy // by issuer
	issuers  account.Issuers
	stamp    string // of the files that issuers came from
}

type providerKey struct{ issuer, endpoint, certPath string }

type knownMetadata struct {
	*oidc.Metadata
	at    time.Duration // since boot
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
	stamp, p := account.Stamp(certPath), &a.providers
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.clients[certPath]
	if known == nil || known.stamp != stamp {
		p.mu.Unlock() // nobody else waits for the file
		made, err := oidc.NewClient(oidc.Options{CAFile: certPath, UserAgent: "oidc-agent/" + version})
		p.mu.Lock()
		switch before := known; {
		case p.clients[certPath] != before: // somebody was faster
			known = p.clients[certPath]
		case err != nil && before == nil:
			return nil, err
		case err != nil:
			a.log.warning("still with the CA file as it was: %v", err)
		default:
			if before != nil {
				before.CloseIdle()
			}
			known = &knownClient{Client: made, used: a.moment()}
		}
	}
	now := a.moment()
	known.stamp = stamp
	if now.sleptSince(known.used) {
		known.CloseIdle() // the other side has given up the connections long ago, or a NAT between
	}
	known.used = now
	if p.clients == nil {
		p.clients = make(map[string]*knownClient)
	}
	p.clients[certPath] = known
	return known.Client, nil
}

// provider is a place to send requests about one account.
type provider struct {
	*oidc.Client
	metadata *oidc.Metadata
	asked    moment // before any request was sent: what it answers has begun to live at this time at the earliest
}

// provider finds the client and the metadata of an account's issuer. A device endpoint that the user set by
// hand beats discovery.
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
	return &provider{client, &md, a.moment()}, nil
}

// metadata returns what is known of an issuer, or asks.
func (a *agent) metadata(ctx context.Context, client *oidc.Client, key providerKey, fresh bool) (*oidc.Metadata, error) {
	p, now := &a.providers, a.boot()
	p.mu.Lock()
	known := p.metadata[key]
	due := known.Metadata != nil && now >= known.renew
	if due && !fresh { // one renewal is enough
		p.metadata[key] = knownMetadata{known.Metadata, known.at, now + metadataPause}
	}
	p.mu.Unlock()
	switch {
	case known.Metadata == nil || fresh:
		return a.discover(ctx, client, key)
	case due && now-known.at > oldMetadata:
		ctx, cancel := context.WithTimeout(ctx, refreshMetadataTimeout)
		defer cancel()
		if md, err := a.discover(ctx, client, key); err == nil {
			return md, nil
		} // what was known is better than nothing while the provider is away
	case due:
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
	if err != nil {
		return nil, err
	}
	lifetime := md.Lifetime
	if lifetime == 0 {
		lifetime = metadataLifetime
	}
	p, now := &a.providers, a.boot()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.metadata == nil {
		p.metadata = make(map[providerKey]knownMetadata)
	}
	p.metadata[key] = knownMetadata{md, now, now + lifetime}
	return md, nil
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

// credentials are how an account's client authenticates, and the extra parameters that the user or his site
// wants in its requests.
func (a *agent) credentials(c *account.Account) oidc.ClientCredentials {
	return oidc.ClientCredentials{
		ID: c.ClientID, Secret: c.ClientSecret, Public: c.UsesPubClient,
		// What the registration gave (RFC 7591 section 2); oidc-gen keeps it with the account.
		AuthMethod: c.Extra().Text("token_endpoint_auth_method"),
		Parameters: func(kind string) []oidc.Parameter {
			var all []oidc.Parameter
			for _, p := range a.parameters.For(c, kind) {
				all = append(all, oidc.Parameter{Name: p.Name, Value: p.Value})
			}
			return all
		},
	}
}

// issuerSettings are what issuer.config says about an account's issuer.
func (a *agent) issuerSettings(issuer string) account.Issuer {
	if found := a.issuers().Find(issuer); found != nil {
		return *found
	}
	return account.Issuer{Issuer: issuer}
}

// issuers are those of issuer.config, which is read again when it has changed. What cannot be read there is logged:
// the rest counts all the same.
func (a *agent) issuers() account.Issuers {
	dir, err := account.FindDir()
	if err != nil {
		dir = account.Dir{} // no directory, no user's file: /etc and the defaults count
	}
	stamp, p := account.IssuersStamp(dir), &a.providers
	p.mu.Lock()
	known, current := p.issuers, p.stamp == stamp
	p.mu.Unlock()
	if current {
		return known
	}
	issuers, err := account.LoadIssuers(dir)
	if err != nil {
		a.log.warning("issuer.config: %v", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.issuers, p.stamp = issuers, stamp
	return issuers
}
