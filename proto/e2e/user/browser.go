package user

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// A Browser is a browser without a window. It does what the pages of a login need: it keeps cookies, follows redirects,
// fills in forms and clicks buttons.
type Browser struct {
	Username, Password string // for the login form
	client             *http.Client
}

// NewBrowser returns a browser without cookies.
func NewBrowser(username, password string) *Browser {
	jar, _ := cookiejar.New(nil) // never fails without options
	return &Browser{username, password, &http.Client{Jar: jar, Timeout: 10 * time.Second}}
}

// Trust makes the browser accept the certificates of these authorities, and no others.
func (b *Browser) Trust(roots *x509.CertPool) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	b.client.Transport = transport
}

// A button that denies access.
var refusal = regexp.MustCompile(`(?i)deny|cancel|abort|reject|refuse|decline|false|\bno\b`)

// Approve opens the verification URI of a device authorization (RFC 8628 section 3.3). It enters the code and logs in
// when a page asks for it, answers yes or no to everything else, and ends at a page without a form.
func (b *Browser) Approve(ctx context.Context, verificationURI, code string, yes bool) error {
	_, err := b.follow(ctx, verificationURI, code, yes)
	return err
}

// Visit opens the URL of an authorization request (RFC 6749 section 4.1.1), logs in and approves, and follows the
// provider's redirect.
func (b *Browser) Visit(ctx context.Context, uri string) error { return b.Approve(ctx, uri, "", true) }

// VisitNobody is like Visit when nothing listens at the redirect URI. It returns what the browser's address bar shows
// then.
func (b *Browser) VisitNobody(ctx context.Context, uri string) (address string, err error) {
	end, err := b.follow(ctx, uri, "", true)
	if err == nil {
		return "", fmt.Errorf("somebody listens at %s", end)
	}
	if nowhere, ok := errors.AsType[*url.Error](err); ok && ctx.Err() == nil {
		return nowhere.URL, nil
	}
	return "", err
}

// follow returns the URL of the last page.
func (b *Browser) follow(ctx context.Context, uri, code string, yes bool) (*url.URL, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	for range 12 {
		if err != nil {
			return nil, err
		}
		resp, err := b.client.Do(req)
		if err != nil {
			return nil, err
		}
		page, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		resp.Body.Close()
		address := resp.Request.URL
		if err == nil && resp.StatusCode >= 400 {
			err = fmt.Errorf("%s %s: %s: %.300s", req.Method, address, resp.Status, page)
		}
		f, ok := firstForm(string(page))
		if err != nil || !ok {
			return address, err
		}
		if req, err = b.submit(ctx, address, f, code, yes); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("the login never comes to an end: " + req.URL.String())
}

func (b *Browser) submit(ctx context.Context, page *url.URL, f form, code string, yes bool) (*http.Request, error) {
	target, err := page.Parse(f.attrs["action"])
	if err != nil {
		return nil, err
	}
	values := b.fill(f, code, yes).Encode()
	if !strings.EqualFold(f.attrs["method"], http.MethodPost) {
		target.RawQuery = values
		return http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), strings.NewReader(values))
	if err == nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return req, err
}

// fill fills in a form as a user does: fields, choices, one button.
func (b *Browser) fill(f form, code string, yes bool) url.Values {
	values := url.Values{}
	var click *field
	fits := false // whether a button for the answer was found
	for i, in := range f.fields {
		name := in.attrs["name"]
		means := refusal.MatchString(name+" "+in.attrs["value"]+" "+in.label) != yes
		switch kind := strings.ToLower(in.attrs["type"]); {
		case in.button || kind == "submit":
			if click == nil || means && !fits {
				click, fits = &f.fields[i], means
			}
		case kind == "radio":
			if means {
				values.Set(name, in.attrs["value"])
			}
		case kind == "checkbox":
			if _, checked := in.attrs["checked"]; checked {
				values.Set(name, in.attrs["value"])
			}
		case kind == "hidden":
			values.Set(name, in.attrs["value"]) // whatever its name is
		case strings.Contains(name, "code"):
			values.Set(name, code)
		case kind == "password":
			values.Set(name, b.Password)
		case strings.Contains(name, "user") || strings.Contains(name, "login"):
			values.Set(name, b.Username)
		default:
			values.Set(name, in.attrs["value"])
		}
	}
	if click != nil && click.attrs["name"] != "" {
		values.Set(click.attrs["name"], click.attrs["value"])
	}
	return values
}

type form struct {
	attrs  map[string]string
	fields []field
}

type field struct {
	attrs  map[string]string
	button bool
	label  string // of a button
}

var (
	formTag  = regexp.MustCompile(`(?is)<form\b([^>]*)>(.*?)</form>`)
	fieldTag = regexp.MustCompile(`(?is)<(input)\b([^>]*)>|<(button)\b([^>]*)>(.*?)</button>`)
	attrPair = regexp.MustCompile(`([\w-]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>"']+)))?`)
)

// firstForm returns a page's first form, except one that logs out. Buttons outside the form can belong to it by their
// form attribute.
func firstForm(page string) (f form, found bool) {
	for _, m := range formTag.FindAllStringSubmatch(page, -1) {
		f.attrs = attributes(m[1])
		if strings.Contains(f.attrs["action"], "logout") {
			continue
		}
		fields := fieldTag.FindAllStringSubmatch(m[2], -1)
		for _, t := range fieldTag.FindAllStringSubmatch(formTag.ReplaceAllString(page, ""), -1) {
			if id := attributes(t[4])["form"]; id != "" && id == f.attrs["id"] {
				fields = append(fields, t)
			}
		}
		for _, t := range fields {
			f.fields = append(f.fields, field{attributes(t[2] + t[4]), t[3] != "", t[5]})
		}
		return f, true
	}
	return f, false
}

func attributes(tag string) map[string]string {
	attrs := map[string]string{}
	for _, m := range attrPair.FindAllStringSubmatch(tag, -1) {
		attrs[strings.ToLower(m[1])] = html.UnescapeString(m[2] + m[3] + m[4])
	}
	return attrs
}
