package oidc

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"oidc-agent/proto/secret"
)

func TestParseURL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ url, want string }{
		{"https://op.example/token", ""},
		{"https://op.example:8443/token?tenant=1", ""},
		{"http://127.0.0.1:8080/token", ""},
		{"http://127.3.2.1/token", ""},
		{"http://[::1]:8080/token", ""},
		{"http://localhost/token", ""},
		{"http://op.example/token", "not an https URL"},
		{"http://localhost.evil.example/", "not an https URL"},
		{"http://127.0.0.1.evil.example/", "not an https URL"},
		{"http://128.0.0.1/", "not an https URL"},
		{"http://0.0.0.0/", "not an https URL"},
		{"ftp://localhost/", "not an https URL"},
		{"javascript:alert(1)", "not an https URL"},
		{"file:///etc/passwd", "not an https URL"},
		{"https:///token", "not an https URL"},
		{"https://:443/token", "not an https URL"},
		{"op.example/token", "not an https URL"},
		{"", "not an https URL"},
		{"https://op.example/#", "fragment"},
		{"https://op.example/#a", "fragment"},
		{"https://user:hunter2@op.example/", "user name"},
		{"https://op.example/a b", "character"},
		{"https://op.example/\u202etxt", "character"},
		{"https://op.example/\x1b[2J", "character"},
		{"https://op.example/%zz", "not a URL"},
	} {
		_, err := parseURL(c.url)
		wantText(t, err, c.want)
		if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.ContainsAny(err.Error(), "\x1b\u202e")) {
			t.Errorf("%q: unfit to be shown: %q", c.url, err)
		}
	}
}

// A POST is never repeated at the target of a redirect, whatever the status.
func TestNoRedirectOfPosts(t *testing.T) {
	t.Parallel()
	md := testMetadata()
	token := secret.FromString("refresh-token-value")
	calls := map[string]func(c *Client) error{
		"refresh": func(c *Client) error {
			_, err := at(c, md).Refresh(t.Context(), token, TokenRequest{})
			return err
		},
		"device": func(c *Client) error {
			_, err := at(c, md).AuthorizeDevice(t.Context(), "openid")
			return err
		},
		"register": func(c *Client) error {
			_, err := at(c, md).Register(t.Context(), Registration{}, token)
			return err
		},
		"delete": func(c *Client) error {
			return c.DeleteRegistration(t.Context(), "https://op.example/register/1", token)
		},
		"revoke": func(c *Client) error { return at(c, md).Revoke(t.Context(), token) },
	}
	for name, call := range calls {
		for _, status := range []int{301, 302, 303, 307, 308} {
			requests := 0
			err := call(handled(t, func(w http.ResponseWriter, req *http.Request) {
				requests++
				w.Header().Set("Location", "https://evil.example/collect?token=refresh-token-value#x")
				w.WriteHeader(status)
			}))
			if requests != 1 {
				t.Errorf("%s, %d: %d requests, want 1", name, status, requests)
			}
			wantText(t, err, fmt.Sprintf("HTTP status %d, a redirect to \"https://evil.example/collect\", which is not followed", status))
		}
	}
}

func TestRedirectsOfGets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, from, to, want string
	}{
		{"https to https", "https://op.example", "https://other.example/doc", ""},
		{"https to http", "https://op.example", "http://other.example/doc", `a redirect to "http://other.example/doc", which is not https`},
		{"https to loopback", "https://op.example", "http://127.0.0.1/doc", "which is not https"},
		{"loopback to loopback", "http://127.0.0.1:1", "http://127.0.0.1:2/doc", ""},
		{"loopback to https", "http://127.0.0.1:1", "https://other.example/doc", ""},
		{"to a file", "https://op.example", "file:///etc/passwd", "which is not https"},
		{"in a loop", "https://op.example", "https://op.example/.well-known/openid-configuration", "after 5 others"},
	} {
		t.Run(c.name, func(t *testing.T) {
			requests := 0
			client := handled(t, func(w http.ResponseWriter, req *http.Request) {
				if requests++; strings.HasSuffix(req.URL.Path, "/doc") {
					fmt.Fprintf(w, `{"issuer":%q,"token_endpoint":"https://op.example/token"}`, c.from)
					return
				}
				http.Redirect(w, req, c.to, http.StatusFound)
			})
			_, err := client.Discover(t.Context(), c.from, "")
			wantText(t, err, c.want)
			if requests > 1+maxRedirects {
				t.Errorf("%d requests", requests)
			}
		})
	}
}

// At most 1 MiB of a response is read, after decompression.
func TestBodyLimit(t *testing.T) {
	t.Parallel()
	document := `{"issuer":"ISSUER","token_endpoint":"ISSUER/token","x":"`
	for _, c := range []struct {
		name string
		size int
		zip  bool
		want string
	}{
		{"just within", maxBody - 200, false, ""},
		{"too long, announced", maxBody + 1, false, "longer than 1 MiB"},
		{"too long, chunked", 3 * maxBody, false, "longer than 1 MiB"},
		{"zipped", maxBody - 200, true, ""},
		{"bomb", 200 * maxBody, true, "longer than 1 MiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var issuer string
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				out := io.Writer(w)
				if c.zip {
					if req.Header.Get("Accept-Encoding") != "gzip" {
						t.Error("the client does not ask for gzip")
					}
					w.Header().Set("Content-Encoding", "gzip")
					z := gzip.NewWriter(w)
					defer z.Close()
					out = z
				}
				io.WriteString(out, strings.ReplaceAll(document, "ISSUER", issuer))
				for chunk := bytes.Repeat([]byte("a"), 64<<10); c.size > 0; c.size -= len(chunk) {
					if _, err := out.Write(chunk[:min(len(chunk), c.size)]); err != nil {
						return // the client has seen enough
					}
				}
				io.WriteString(out, `"}`)
			}))
			defer srv.Close()
			issuer = srv.URL
			_, err := mustClient(t, Options{}).Discover(t.Context(), srv.URL, "")
			wantText(t, err, c.want)
		})
	}
}

func TestBodyLimitByHeader(t *testing.T) {
	t.Parallel()
	body := &countingReader{}
	if _, err := readBody(body, maxBody+1); err != errTooLong || body.read != 0 {
		t.Errorf("error %v after %d bytes, want errTooLong at once", err, body.read)
	}
	if _, err := readBody(body, -1); err != errTooLong || body.read > 4*maxBody {
		t.Errorf("error %v after %d bytes, want errTooLong soon", err, body.read)
	}
}

type countingReader struct{ read int }

func (r *countingReader) Read(p []byte) (int, error) {
	r.read += len(p)
	return len(p), nil
}

// A provider that does not answer blocks a request until its deadline, or for 15 seconds if it has none.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		deadline, want time.Duration
	}{{0, 15 * time.Second}, {2 * time.Second, 2 * time.Second}, {time.Minute, time.Minute}} {
		synctest.Test(t, func(t *testing.T) {
			client := mustClient(t, Options{Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
				<-req.Context().Done()
				return nil, req.Context().Err()
			})})
			ctx := t.Context()
			if c.deadline > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, c.deadline)
				defer cancel()
			}
			started := time.Now()
			_, err := client.Discover(ctx, "https://op.example", "")
			if took := time.Since(started); took != c.want {
				t.Errorf("ended after %s, want %s", took, c.want)
			}
			wantText(t, err, fmt.Sprintf("op.example did not answer within %s", c.want))
			if _, ok := Temporary(err); !ok || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%#v is no temporary timeout", err)
			}
		})
	}
}

// A response that comes at a byte a minute also ends at the deadline.
func TestDeadlineOfBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := mustClient(t, Options{Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: io.NopCloser(trickle{req.Context()}), ContentLength: -1, Request: req}, nil
		})})
		_, err := client.Discover(t.Context(), "https://op.example", "")
		wantText(t, err, "op.example did not answer within 15s")
	})
}

type trickle struct{ ctx context.Context }

func (r trickle) Read(p []byte) (int, error) {
	select {
	case <-r.ctx.Done():
		return 0, r.ctx.Err()
	case <-time.After(time.Minute):
		p[0] = ' '
		return 1, nil
	}
}

// All copies of a request's body are wiped after the exchange.
func TestRequestBodyIsWiped(t *testing.T) {
	t.Parallel()
	var sent *wipedBody
	var inner []byte
	client := mustClient(t, Options{Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
		sent = req.Body.(*wipedBody)
		inner = sent.bytes
		if body, _ := io.ReadAll(req.Body); !bytes.Contains(body, []byte("hunter2")) {
			t.Errorf("sent %q", body)
		}
		again, _ := req.GetBody()
		if body, _ := io.ReadAll(again); !bytes.Contains(body, []byte("hunter2")) {
			t.Errorf("sent again %q", body)
		}
		req.Body.Close()
		return nil, io.EOF
	})})
	f := &form{}
	f.addSecret("password", secret.FromString("hunter2"))
	err := at(client, testMetadata()).post(t.Context(), "refresh", "token_endpoint", "https://op.example/token", f, nil)
	wantText(t, err, "op.example closed the connection before its answer was complete")
	for name, b := range map[string][]byte{"form": f.body, "copy": inner} {
		if len(b) == 0 || bytes.ContainsFunc(b, func(r rune) bool { return r != 0 }) {
			t.Errorf("%s is %q after the exchange", name, b)
		}
	}
	if n, err := sent.Read(make([]byte, 9)); n != 0 || err != io.EOF {
		t.Errorf("read after close: %d, %v", n, err)
	}
}

// Requests to one provider share a connection.
func TestConnectionIsKept(t *testing.T) {
	t.Parallel()
	var connections atomic.Int32
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.ProtoMajor != 2 {
			t.Errorf("protocol %s, want HTTP/2 where it is offered", req.Proto)
		}
		io.WriteString(w, `{"access_token":"a","token_type":"bearer"}`)
	}))
	srv.EnableHTTP2 = true
	srv.Config.ConnState = countNew(&connections)
	srv.StartTLS()
	defer srv.Close()
	client := mustClient(t, Options{CAFile: caFile(t, srv)})
	md := &Metadata{TokenEndpoint: srv.URL}
	for range 5 {
		if _, err := at(client, md).Refresh(t.Context(), secret.FromString("r"), TokenRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	client.CloseIdle()
}

func TestUserAgentAndAccept(t *testing.T) {
	t.Parallel()
	client, rec := recording(t, 200, `{"access_token":"a","token_type":"Bearer"}`)
	if _, err := at(client, testMetadata()).Refresh(t.Context(), secret.FromString("r"), TokenRequest{}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"User-Agent": "oidc-agent/test", "Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded",
	} {
		if got := rec.header.Get(name); got != want {
			t.Errorf("%s %q, want %q", name, got, want)
		}
	}
}
