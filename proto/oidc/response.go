package oidc

import (
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"oidc-agent/proto/secret"
)

// response is an answer that was read whole.
type response struct {
	status   int
	header   http.Header
	body     []byte
	received time.Time       // when its header was here
	secrets  []secret.Secret // what the request held
}

func (r *response) wipe() { clear(r.body) }

func (r *response) ok() bool { return r.status >= 200 && r.status < 300 }

// object returns the body where it is the JSON object of a success. An error member counts with any
// status: device grants are refused with 400, 401, 428 and 200 in the field.
func (r *response) object() (*object, error) {
	o, err := parseObject(r.body)
	switch {
	case err != nil && r.ok():
		return nil, r.unexpected("JSON expected")
	case err != nil:
		return nil, r.withoutJSON()
	}
	code := o.text("error")
	switch {
	case code != "":
		return nil, r.oauthError(o, code)
	case o.err != nil:
		return nil, r.unexpected(o.err.Error())
	case !r.ok():
		return nil, r.unexpected("without an error code")
	}
	return o, nil
}

// check returns the error of an answer whose body does not matter when it is a success.
func (r *response) check() error {
	if r.ok() {
		return nil
	}
	_, err := r.object()
	return err
}

func (r *response) oauthError(o *object, code string) *Error {
	description := o.raw("error_description")
	text := string(description)
	if description != nil && description[0] == '"' {
		text = o.text("error_description")
	}
	return r.newError(code, text, o.text("error_uri"))
}

func (r *response) newError(code, description, uri string) *Error {
	return &Error{
		Code:        cleanText(code, longSecrets(r.secrets)),
		Description: cleanText(description, r.secrets),
		URI:         cleanText(uri, r.secrets),
		Status:      r.status,
		RetryAfter:  retryAfter(r.header, r.received),
	}
}

// longSecrets leaves out what could be part of an error code, as a user's password: "grant".
func longSecrets(secrets []secret.Secret) (long []secret.Secret) {
	for _, s := range secrets {
		if s.Len() >= 16 {
			long = append(long, s)
		}
	}
	return long
}

// withoutJSON is for a failure without a JSON body. RFC 6750 section 3: the error may stand in the header.
func (r *response) withoutJSON() error {
	for _, header := range r.header.Values("WWW-Authenticate") {
		if p := challengeParameters(header); p["error"] != "" {
			return r.newError(p["error"], p["error_description"], p["error_uri"])
		}
	}
	return r.unexpected("JSON expected")
}

// unexpected returns an error that shows the body as well if that is a failure's and made for people.
func (r *response) unexpected(problem string) *HTTPError {
	e := &HTTPError{
		Status:      r.status,
		ContentType: r.contentType(),
		Problem:     problem,
		RetryAfter:  retryAfter(r.header, r.received),
	}
	if !r.ok() && (e.ContentType == "text/plain" || strings.HasSuffix(e.ContentType, "json")) {
		e.Detail = cleanText(string(r.body), r.secrets)
	}
	return e
}

func (r *response) contentType() string {
	header := r.header.Get("Content-Type")
	if media, _, err := mime.ParseMediaType(header); err == nil {
		return cleanText(media, r.secrets)
	}
	return cleanText(header, r.secrets)
}

// redirectError names the target without its query, where a provider may repeat what it was sent.
func (r *response) redirectError(why string) *HTTPError {
	target := r.header.Get("Location")
	if u, err := url.Parse(target); err == nil {
		u.RawQuery, u.Fragment, u.User = "", "", nil
		target = u.String()
	}
	e := r.unexpected(fmt.Sprintf("a redirect to %q, %s", cleanText(target, r.secrets), why))
	e.Detail = ""
	return e
}

// retryAfter reads a Retry-After header: seconds, or a date (RFC 9110 section 10.2.3).
func retryAfter(header http.Header, now time.Time) time.Duration {
	value := header.Get("Retry-After")
	if n, err := strconv.ParseInt(value, 10, 64); err == nil {
		return time.Duration(max(0, min(n, maxSeconds))) * time.Second
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return max(0, date.Sub(now))
}

// challengeParameters returns the parameters of all challenges in one WWW-Authenticate header, by their
// names in lower case (RFC 9110 section 11.6.1); of equal ones the first.
func challengeParameters(header string) map[string]string {
	found := map[string]string{}
	for header != "" {
		header = strings.TrimLeft(header, " \t,")
		name := header[:tokenLength(header)]
		header = header[len(name):]
		rest := strings.TrimLeft(header, " \t")
		if name == "" || rest == "" || rest[0] != '=' {
			// A scheme's name stands alone; anything else is skipped, as is the padding of a token68.
			header = strings.TrimLeft(header, `=/+~"`)
			if name == "" && header != "" {
				header = header[1:]
			}
			continue
		}
		var value string
		value, header = challengeValue(strings.TrimLeft(rest[1:], " \t"))
		name = strings.ToLower(name)
		if _, ok := found[name]; !ok {
			found[name] = value
		}
	}
	return found
}

// challengeValue reads a token or a quoted string (RFC 9110 section 5.6.4).
func challengeValue(s string) (value, rest string) {
	if s == "" || s[0] != '"' {
		n := tokenLength(s)
		return s[:n], s[n:]
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:]
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), ""
}

// tokenLength counts the leading characters of a token (RFC 9110 section 5.6.2).
func tokenLength(s string) int {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return i
		}
	}
	return len(s)
}
