package iam

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// testKey is generated once, because RSA keys take time.
var testKey = sync.OnceValue(func() crypto.Signer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// direct is a RoundTripper without a socket.
type direct struct{ h http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	if r.Body == nil {
		r.Body = http.NoBody
	}
	d.h.ServeHTTP(w, r)
	return w.Result(), nil
}

const testIssuer = "https://iam.example/"

// idp is a server with an HTTP client for it.
type idp struct {
	*Server
	t    *testing.T
	http *http.Client
}

func newIDP(t *testing.T, cfg Config) *idp {
	t.Helper()
	cfg.Issuer = cmp.Or(cfg.Issuer, testIssuer)
	if cfg.Alg != ES256 && cfg.Key == nil {
		cfg.Key = testKey()
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &idp{s, t, &http.Client{Transport: direct{s}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// reply is a response with its body.
type reply struct {
	t      *testing.T
	Status int
	Header http.Header
	Body   string
}

// text returns a member of a JSON response; numbers and nested values are returned as JSON.
func (r reply) text(name string) string {
	r.t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(r.Body), &m); err != nil {
		r.t.Fatalf("status %d, no JSON: %q", r.Status, r.Body)
	}
	return asText(m[name])
}

func asText(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	if v == nil {
		return ""
	}
	b, _ := json.Marshal(v)
	return string(b)
}

// want checks the status and, if set, the OAuth error.
func (r reply) want(status int, errorCode, description string) reply {
	r.t.Helper()
	if r.Status != status {
		r.t.Fatalf("status %d, want %d; body %s", r.Status, status, r.Body)
	}
	if errorCode != "" {
		if got := r.text("error"); got != errorCode {
			r.t.Fatalf("error %q, want %q", got, errorCode)
		}
		if got := r.text("error_description"); !strings.Contains(got, description) {
			r.t.Fatalf("error_description %q, want %q in it", got, description)
		}
	}
	return r
}

func (p *idp) do(r *http.Request) reply {
	p.t.Helper()
	resp, err := p.http.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return reply{p.t, resp.StatusCode, resp.Header, string(b)}
}

// request sends a request; header has pairs of name and value.
func (p *idp) request(method, path, body string, header ...string) reply {
	p.t.Helper()
	if !strings.Contains(path, "://") {
		path = p.Issuer() + path
	}
	r, err := http.NewRequest(method, path, bytes.NewReader([]byte(body)))
	if err != nil {
		p.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return p.do(r)
}

const (
	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json"
)

// rp is a registered client.
type rp struct {
	*idp
	id, secret string
}

// addClient adds a client as an administrator would.
func (p *idp) addClient(c Client) *rp {
	p.t.Helper()
	c.ClientID = cmp.Or(c.ClientID, "client-"+newUUID()[:8])
	if c.TokenEndpointAuthMethod != authNone {
		c.ClientSecret = cmp.Or(c.ClientSecret, "a secret: with + and %")
	}
	if err := p.AddClient(c); err != nil {
		p.t.Fatal(err)
	}
	return &rp{p, c.ClientID, c.ClientSecret}
}

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}

// values makes a form from pairs of name and value.
func values(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v
}

// post sends a form as this client.
func (c *rp) post(path string, pairs ...string) reply {
	c.t.Helper()
	v := values(pairs...)
	if path == "devicecode" || c.secret == "" {
		v.Set("client_id", c.id)
	}
	if c.secret == "" {
		return c.request("POST", path, v.Encode(), "Content-Type", formType)
	}
	return c.request("POST", path, v.Encode(), "Content-Type", formType, "Authorization", basic(c.id, c.secret))
}

// login uses the device grant and returns the token response.
func (c *rp) login(scope string, extra ...string) reply {
	c.t.Helper()
	d := c.post("devicecode", "scope", scope).want(200, "", "")
	if err := c.Approve(d.text("user_code")); err != nil {
		c.t.Fatal(err)
	}
	return c.post("token", append([]string{"grant_type", grantDeviceCode, "device_code", d.text("device_code")}, extra...)...).want(200, "", "")
}

func (c *rp) refresh(token string, extra ...string) reply {
	c.t.Helper()
	return c.post("token", append([]string{"grant_type", "refresh_token", "refresh_token", token}, extra...)...)
}

// claims verifies a token with the keys of /jwk, using only the standard library, and returns header and claims.
func (p *idp) claims(token string) (header, claims map[string]any) {
	p.t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		p.t.Fatalf("not a JWS: %q", token)
	}
	decode := func(part string, to any) {
		b, err := base64.RawURLEncoding.DecodeString(part)
		if err == nil {
			err = json.Unmarshal(b, to)
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
	decode(parts[0], &header)
	decode(parts[1], &claims)
	if header["alg"] == "none" {
		return header, claims
	}
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal([]byte(p.request("GET", "jwk", "").Body), &set); err != nil {
		p.t.Fatal(err)
	}
	for _, k := range set.Keys {
		if k["kid"] == header["kid"] {
			verify(p.t, k, parts[0]+"."+parts[1], parts[2])
			return header, claims
		}
	}
	p.t.Fatalf("no key %v", header["kid"])
	return nil, nil
}

func verify(t *testing.T, key map[string]string, input, signature string) {
	t.Helper()
	number := func(s string) *big.Int {
		b, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return new(big.Int).SetBytes(b)
	}
	digest := sha256.Sum256([]byte(input))
	sig, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil {
		t.Fatal(err)
	}
	if key["kty"] == "RSA" {
		public := &rsa.PublicKey{N: number(key["n"]), E: int(number(key["e"]).Int64())}
		if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], sig); err != nil {
			t.Fatal(err)
		}
		return
	}
	point := append([]byte{4}, append(number(key["x"]).FillBytes(make([]byte, 32)), number(key["y"]).FillBytes(make([]byte, 32))...)...)
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	if len(sig) != 64 || !ecdsa.Verify(public, digest[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
		t.Fatal("the signature is wrong")
	}
}

const fullScope = "openid profile offline_access storage.read:/ storage.modify:/data wlcg.groups"

var at = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func fixedClock() time.Time { return at }
