package main

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/cjson"
)

// The web server answers everyone with fixed texts that are not cached and repeat nothing of the request.
func TestCallbackAnswers(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	uri := "http://localhost:" + port + "/back"
	w := codeWorld(t, uri)
	back := w.browse(w.startCode("answers", []string{uri}, nil).Text("uri"))
	here := "127.0.0.1:" + port
	good := strings.TrimPrefix(back, "http://localhost:"+port)
	for _, c := range []struct {
		name, method, host, target string
		status                     int
	}{
		{"another host's name", "GET", "rebound.example:" + port, good, http.StatusMisdirectedRequest},
		{"another host's URL", "GET", here, "http://rebound.example" + good, http.StatusMisdirectedRequest},
		{"a name that begins so", "GET", "localhost.example", good, http.StatusMisdirectedRequest},
		{"no host", "GET", "", good, http.StatusMisdirectedRequest},
		{"another path", "GET", here, strings.Replace(good, "/back", "/back/", 1), http.StatusNotFound},
		{"a form", "POST", here, good, http.StatusNotFound},
		{"a wrong state", "GET", here, "/back?code=REFLECTED&state=REFLECTED", http.StatusBadRequest},
		{"a wrong error", "GET", here, "/back?error=REFLECTED&state=x", http.StatusBadRequest},
		{"a long header", "GET", here, "/back?code=" + strings.Repeat("x", 32<<10), http.StatusRequestHeaderFieldsTooLarge},
		{"the right one", "GET", "[::1]:" + port, good, http.StatusOK},
	} {
		status, header, body := exchangeRaw(t, here, c.method+" "+c.target+" HTTP/1.1\r\nHost: "+c.host+"\r\n\r\n")
		if status != c.status || strings.Contains(body, "REFLECTED") || strings.Contains(body, "rebound") {
			t.Errorf("%s: %d %s", c.name, status, body)
		}
		if status == http.StatusRequestHeaderFieldsTooLarge {
			continue // net/http itself answers this, with an empty page
		}
		if header.Get("Cache-Control") != "no-store" || header.Get("Referrer-Policy") != "no-referrer" ||
			!strings.HasPrefix(header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %v", c.name, header)
		}
	}
	if n := w.grants(); n != 1 {
		t.Errorf("%d codes were presented", n)
	}
}

// A browser that has closed its window has still delivered the code, and one that comes later is told so.
func TestCallbackAbandoned(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	uri := "http://127.0.0.1:" + port + "/back"
	w := codeWorld(t, uri)
	started := w.startCode("abandoned", []string{uri}, nil)
	good := strings.TrimPrefix(w.browse(started.Text("uri")), "http://127.0.0.1:"+port)
	request := "GET " + good + " HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
	first, meanwhile, later := dialed(t, "127.0.0.1:"+port), dialed(t, "127.0.0.1:"+port), dialed(t, "127.0.0.1:"+port)
	w.idp.Fail(iam.Fault{Path: "token", Times: 1, Delay: 100 * time.Millisecond})
	if _, err := first.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	first.Close()
	for deadline := time.Now().Add(30 * time.Second); w.grants() == 0 && time.Now().Before(deadline); {
		runtime.Gosched()
	}
	if status, _, body := exchangeOver(t, meanwhile, request); status != http.StatusGone {
		t.Errorf("while the code is exchanged: %d %s", status, body)
	}
	reply := ask(w.agent, lookup(started))
	for deadline := time.Now().Add(30 * time.Second); reply.Text("status") == "NotFound" && time.Now().Before(deadline); {
		reply = ask(w.agent, lookup(started))
	}
	if reply.Object("config") == nil {
		t.Errorf("answered %s", reply.Compact())
	}
	if status, _, body := exchangeOver(t, later, request); status != http.StatusGone {
		t.Errorf("%d %s", status, body)
	}
}

func dialed(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// exchangeRaw sends a request as it is written here.
func exchangeRaw(t *testing.T, address, request string) (int, http.Header, string) {
	t.Helper()
	return exchangeOver(t, dialed(t, address), request)
}

func exchangeOver(t *testing.T, conn net.Conn, request string) (int, http.Header, string) {
	t.Helper()
	defer conn.Close()
	if _, err := conn.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var body strings.Builder
	_ = r.Write(&body) // the whole answer with its header
	return r.StatusCode, r.Header, body.String()
}

// Silent connections cost the agent only a few of them, and delay nobody for long.
func TestCallbackConnections(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	uri := "http://127.0.0.1:" + port
	w := codeWorld(t, uri)
	back := w.browse(w.startCode("crowded", []string{uri}, nil).Text("uri"))
	var idle []net.Conn
	defer func() {
		for _, conn := range idle {
			conn.Close()
		}
	}()
	for range maxBrowserConnections {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, conn)
	}
	if r, err := http.Get(back); err == nil {
		r.Body.Close()
		t.Errorf("one more was served: %s", r.Status)
	}
	for _, conn := range idle {
		conn.Close()
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		r, err := http.Get(back)
		if err == nil {
			if r.Body.Close(); r.StatusCode != http.StatusOK {
				t.Errorf("answered %s", r.Status)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// Another program on the port, at either address, would get the code.
func TestListenLoopback(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "[::1]:0")
	if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) { // no IPv6 here: one address is enough
		if got := listenLoopback("0"); len(got) != 1 {
			t.Errorf("%d listeners", len(got))
		} else {
			got[0].Close()
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	if got := listenLoopback(port); got != nil || listening(port) {
		t.Errorf("%d listeners", len(got))
	}
}

// A login that is not finished in time is over, even if its code is still valid.
func TestCodeTooLate(t *testing.T) {
	t.Parallel()
	uri := "http://localhost:" + freePort(t)
	w := codeWorld(t, uri)
	started := w.startCode("late", []string{uri}, nil)
	back := w.browse(started.Text("uri"))
	w.agent.login(started.Text("state"), true).expires = time.Now().Add(-time.Second)
	if status, _ := get(t, back); status != http.StatusBadRequest {
		t.Errorf("answered %d", status)
	}
	if n := w.grants(); n != 0 {
		t.Errorf("%d codes were presented", n)
	}
}

// A provider is whoever its metadata says, and its endpoints are https.
func TestForeignMetadata(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	for name, failure := range map[string]string{
		"issuer-host":               "the provider calls itself",
		"discovery-issuer-mismatch": "the provider calls itself",
		"disc-form":                 "is not an https URL",
	} {
		if err := w.idp.Switch(name); err != nil {
			t.Fatal(err)
		}
		reply := ask(w.agent, w.gen("foreign", "device", nil))
		if reply.Text("status") != "failure" || !strings.Contains(reply.Text("error"), failure) {
			t.Errorf("%s: answered %s", name, reply.Compact())
		}
		w.idp.ClearFaults()
	}
	for _, issuer := range []string{"http://op.example/", "ftp://127.0.0.1/", "https://user@op.example/"} {
		c := w.config("foreign")
		c.IssuerURL = issuer
		reply := ask(w.agent, w.gen("foreign", "device", nil).SetObject("config", c.Object()))
		if reply.Text("status") != "failure" || !strings.Contains(reply.Text("error"), "issuer URL: ") {
			t.Errorf("%s: answered %s", issuer, reply.Compact())
		}
	}
}

// Two logins at two providers run at once: neither takes the answer of the other (RFC 9700 section 4.4).
func TestMixUp(t *testing.T) {
	t.Parallel()
	uris := []string{"http://localhost:" + freePort(t)}
	honest, attacker := codeWorld(t, uris...), codeWorld(t, uris...)
	ours := honest.startCode("ours", uris, nil)
	theirs, err := url.Parse(attacker.browse(attacker.startCode("theirs", uris, func(r *cjson.Object) { r.SetBool("no_webserver", true) }).Text("uri")))
	if err != nil {
		t.Fatal(err)
	}
	query := theirs.Query()
	query.Set("state", ours.Text("state"))
	if status, page := get(t, uris[0]+"/?"+query.Encode()); status != http.StatusBadRequest || !strings.Contains(page, "still waits") {
		t.Errorf("%d %s", status, page)
	}
	if n := honest.grants() + attacker.grants(); n != 0 {
		t.Errorf("%d codes were presented", n)
	}
	if status, _ := get(t, honest.browse(ours.Text("uri"))); status != http.StatusOK {
		t.Errorf("the right one: %d", status)
	}
}
