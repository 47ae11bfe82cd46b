package main

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"oidc-agent/proto/account"
	"oidc-agent/proto/oidc"
)

const (
	// metadataLifetime is how long a provider's metadata is believed where it does not say. Then it serves once more
	// while the new one comes. An account that is added, made or registered asks anew.
	metadataLifetime = time.Hour
	// metadataPause is how long after a failure nobody tries to renew it.
	metadataPause = time.Minute
	// maxBusy is how long a Retry-After keeps us from asking again: one that was set by mistake must not shut the
	// provider for a day.
	maxBusy = 10 * time.Minute
)

// providers are what the agent knows of all of them.
type providers struct {
	clients  sync.Map // *client by CA file
	metadata sync.Map // knownMetadata by providerKey
	busy     sync.Map // busy by issuer
	issuers  atomic.Pointer[knownIssuers]
}

type providerKey struct{ issuer, endpoint, certPath string }

type knownMetadata struct {
	*oidc.Metadata
	renew time.Duration // since boot: from here on new ones are fetched
}

// busy is the answer of a provider that has said when it wants to be asked again.
type busy struct {
	err   error
	until time.Duration // since boot
}

type knownIssuers struct {
	account.Issuers
	stamp string // of the files that they came from
}

// client is the one HTTP client for a CA file, so that connections to a provider are used again.
type client struct {
	mu    sync.Mutex // held while the file is read; nobody else waits for it
	http  atomic.Pointer[oidc.Client]
	stamp string // of the CA file
	used  moment
}

// client returns the HTTP client for a CA file, which is read again when it has changed. What cannot be read then
// leaves the client as it is: a file that is being replaced must not stop everything.
func (a *agent) client(certPath string) (*oidc.Client, error) {
	stamp := account.Stamp(certPath)
	value, _ := a.providers.clients.LoadOrStore(certPath, new(client))
	c := value.(*client)
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.http.Load()
	if known == nil || c.stamp != stamp {
		made, err := oidc.NewClient(oidc.Options{CAFile: certPath, UserAgent: "oidc-agent/" + version})
		switch {
		case err == nil:
			c.http.Store(made)
		case known == nil:
			return nil, err
		default:
			a.log.warning("still with the CA file as it was: %v", err)
		}
		c.stamp = stamp
	}
	now := a.moment()
	if known != nil && (known != c.http.Load() || now.sleptSince(c.used)) {
		known.CloseIdle() // after a suspend the other side has given up the connections long ago, or a NAT between
	}
	c.used = now
	return c.http.Load(), nil
}

// closeIdle closes connections that nobody uses, and counts those that are still in memory.
func (p *providers) closeIdle() (open int64) {
	for _, c := range p.clients.Range {
		if known := c.(*client).http.Load(); known != nil {
			known.CloseIdle()
			open += known.Open()
		}
	}
	return open
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
	discover := func(ctx context.Context) (*oidc.Metadata, error) {
		md, err := client.Discover(ctx, key.issuer, key.endpoint)
		if err == nil {
			a.providers.metadata.Store(key, knownMetadata{md, a.boot() + cmp.Or(md.Lifetime, metadataLifetime)})
		}
		return md, err
	}
	value, ok := a.providers.metadata.Load(key)
	if !ok || fresh {
		return discover(ctx)
	}
	known, now := value.(knownMetadata), a.boot()
	if now >= known.renew {
		a.providers.metadata.Store(key, knownMetadata{known.Metadata, now + metadataPause}) // one renewal is enough
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), exchangeTimeout)
			defer cancel()
			discover(ctx)
		}()
	}
	return known.Metadata, nil
}

// isBusy tells how long a provider does not want to be asked (RFC 9110 section 10.2.3), with the answer that said so.
func (p *providers) isBusy(issuer string, now time.Duration) (left time.Duration, err error) {
	known, _ := p.busy.Load(issuer)
	b, _ := known.(busy)
	if now >= b.until {
		return 0, nil
	}
	left = b.until - now
	return left, fmt.Errorf("%w (it asks to try again in %v)", b.err, left.Round(time.Second))
}

// noteBusy remembers an answer that says when to ask again.
func (p *providers) noteBusy(issuer string, err error, now time.Duration) (left time.Duration, _ error) {
	after, _ := oidc.Temporary(err)
	if after <= 0 {
		return 0, err
	}
	p.busy.Store(issuer, busy{err, now + min(after, maxBusy)})
	return p.isBusy(issuer, now)
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
	dir, _ := account.FindDir() // no directory, no user's file: /etc and the defaults count
	stamp := account.IssuersStamp(dir)
	if known := a.providers.issuers.Load(); known != nil && known.stamp == stamp {
		return known.Issuers
	}
	issuers, err := account.LoadIssuers(dir)
	if err != nil {
		a.log.warning("issuer.config: %v", err)
	}
	a.providers.issuers.Store(&knownIssuers{issuers, stamp})
	return issuers
}
