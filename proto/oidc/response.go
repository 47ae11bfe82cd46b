package oidc

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"oidc-agent/proto/secret"
)

type response struct {
	status  int
	header  http.Header
	body    []byte
	secrets []secret.Secret // what the request contained
}

func (r *response) ok() bool { return r.status >= 200 && r.status < 300 }

// A reader takes what it needs from a response. If it finds a fault it sets the object's err.
type reader func(*object, *response)

// take passes the JSON object of a success to read and wipes it. If read is nil the body does not matter. A member
// "error" is a refusal with any status: in practice device grants are refused with 400, 401, 428 and 200.
func (r *response) take(read reader) error {
	defer clear(r.body)
	if read == nil && r.ok() {
		return nil
	}
	o, err := parseObject(r.body)
	if err != nil {
		// RFC 6750 section 3: the error may be in the header.
		if code := challengeParameter(r.header, "error"); code != "" && !r.ok() {
			return r.refusal(code, challengeParameter(r.header, "error_description"))
		}
		return r.unexpected("JSON expected")
	}
	defer o.wipe()
	switch code := o.text("error"); {
	case code != "":
		return r.refusal(code, o.text("error_description"))
	case !r.ok():
		o.fail("without an error code")
	case o.err == nil:
		read(o, r)
	}
	if o.err != nil {
		return r.unexpected(o.err.Error())
	}
	return nil
}

// refusal returns an error that OAuth defines.
func (r *response) refusal(code, description string) *Error {
	// Do not redact the RFCs' codes: the user's password may be part of one, such as "grant".
	if strings.Trim(code, "abcdefghijklmnopqrstuvwxyz_") != "" {
		code = cleanText(code, r.secrets)
	}
	return &Error{shortened(code), cleanText(description, r.secrets), r.status, retryAfter(r.header, time.Now())}
}

// unexpected returns an error for a response that OAuth does not define. It shows a failure's body if that is text.
func (r *response) unexpected(problem string) *Error {
	text := "provider answered with HTTP status " + strconv.Itoa(r.status)
	kind, _, _ := strings.Cut(r.header.Get("Content-Type"), ";")
	if kind = cleanText(kind, r.secrets); kind != "" {
		text += " (" + kind + ")"
	}
	text += ", " + problem
	if len(r.body) > 0 && !r.ok() && (kind == "text/plain" || strings.HasSuffix(kind, "json")) {
		text += ": " + cleanText(string(r.body), r.secrets)
	}
	return &Error{"", text, r.status, retryAfter(r.header, time.Now())}
}

// redirectError names the target without its query, in which a provider may repeat what it was sent.
func (r *response) redirectError(why string) *Error {
	target := r.header.Get("Location")
	if u, err := url.Parse(target); err == nil {
		u.RawQuery, u.Fragment, u.User = "", "", nil
		target = u.String()
	}
	return r.unexpected(fmt.Sprintf("a redirect to %q, %s", cleanText(target, r.secrets), why))
}

// maxSeconds limits the times in responses to ten years, which a time.Duration can represent.
const maxSeconds = 10 * 365 * 24 * 3600

// retryAfter reads a Retry-After header: seconds, or a date (RFC 9110 section 10.2.3).
func retryAfter(header http.Header, now time.Time) time.Duration {
	value := header.Get("Retry-After")
	seconds, _ := strconv.ParseInt(value, 10, 64) // the largest int64 if out of range
	if date, err := http.ParseTime(value); err == nil {
		seconds = int64(date.Sub(now) / time.Second)
	}
	return time.Duration(max(0, min(seconds, maxSeconds))) * time.Second
}

// challengeParameter returns a parameter of the WWW-Authenticate headers, a quoted string or a token (RFC 9110
// section 11.6.1). It does not parse strictly: a match inside another parameter's text counts, too.
func challengeParameter(header http.Header, name string) string {
	all := strings.ReplaceAll(strings.Join(header.Values("WWW-Authenticate"), ","), ",", ", ")
	_, value, _ := strings.Cut(all, " "+name+"=")
	if quoted, err := strconv.QuotedPrefix(value); err == nil {
		value, _ = strconv.Unquote(quoted)
		return value
	}
	value, _, _ = strings.Cut(value, ",")
	return strings.Trim(value, `" `)
}
