package main

import (
	"context"
	"sync"
	"time"

	"oidc-agent/proto/account"
	"oidc-agent/proto/oidc"
)

// metadataLifetime is how long a provider's metadata is believed. An account that is added, made or
// registered asks anew.
const metadataLifetime = time.Hour

// refreshMetadataTimeout leaves time for the exchange itself where old metadata will do.
const refreshMetadataTimeout = 4 * time.Second

// providers keeps one HTTP client for each CA file, so that connections to a provider are used again, and
// the metadata of each provider.
type providers struct {
	mu       sync.Mutex
	clients  map[string]*oidc.Client
	metadata map[providerKey]knownMetadata
}

type providerKey struct{ issuer, endpoint, certPath string }

type knownMetadata struct {
	*oidc.Metadata
	at time.Time
}

func (p *providers) client(certPath string) (*oidc.Client, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.clients[certPath]; c != nil {
		return c, nil
	}
	c, err := oidc.NewClient(oidc.Options{CAFile: certPath, UserAgent: "oidc-agent/" + version})
	if err != nil {
		return nil, err
	}
	if p.clients == nil {
		p.clients = make(map[string]*oidc.Client)
	}
	p.clients[certPath] = c
	return c, nil
}

// provider is a place to send requests about one account.
type provider struct {
	*oidc.Client
	metadata *oidc.Metadata
}

// provider finds the client and the metadata of an account's issuer. A device endpoint that the user set by
// hand beats discovery.
func (a *agent) provider(ctx context.Context, c *account.Account, fresh bool) (*provider, error) {
	certPath := firstOf(c.CertPath, a.settings.certPath)
	client, err := a.providers.client(certPath)
	if err != nil {
		return nil, err
	}
	key := providerKey{c.IssuerURL, c.ConfigEndpoint, certPath}
	a.providers.mu.Lock()
	known := a.providers.metadata[key]
	a.providers.mu.Unlock()
	if fresh || known.Metadata == nil || a.now().Sub(known.at) > metadataLifetime {
		discovery, cancel := ctx, context.CancelFunc(func() {})
		if known.Metadata != nil && !fresh {
			discovery, cancel = context.WithTimeout(ctx, refreshMetadataTimeout)
		}
		md, err := client.Discover(discovery, c.IssuerURL, c.ConfigEndpoint)
		cancel()
		switch {
		case err == nil:
			known = knownMetadata{md, a.now()}
			a.providers.remember(key, known)
		case known.Metadata == nil || fresh:
			return nil, err
		} // else: what was known is better than nothing while the provider is away
	}
	md := *known.Metadata
	if c.DeviceAuthorizationEndpointByUser && c.DeviceAuthorizationEndpoint != "" {
		md.DeviceAuthorizationEndpoint = c.DeviceAuthorizationEndpoint
	}
	return &provider{client, &md}, nil
}

func (p *providers) remember(key providerKey, known knownMetadata) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.metadata == nil {
		p.metadata = make(map[providerKey]knownMetadata)
	}
	p.metadata[key] = known
}

// closeIdle closes connections that nobody uses.
func (p *providers) closeIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.clients {
		c.CloseIdle()
	}
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

// issuerSettings are what issuer.config says about an account's issuer. What cannot be read there is logged:
// the rest counts all the same.
func (a *agent) issuerSettings(issuer string) account.Issuer {
	dir, err := account.FindDir()
	if err != nil {
		dir = account.Dir{} // no directory, no user's file: /etc and the defaults count
	}
	issuers, err := account.LoadIssuers(dir)
	if err != nil {
		a.log.warning("issuer.config: %v", err)
	}
	if found := issuers.Find(issuer); found != nil {
		return *found
	}
	return account.Issuer{Issuer: issuer}
}
