package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"syscall"
	"time"

	"oidc-agent/proto/ipc"
)

// maxBrowserConnections is more than a browser opens. Further ones, which other users of the machine may open, are
// closed.
const maxBrowserConnections = 32

// openCallback chooses the redirect URI of a flow: the first on the loopback whose port is free, where it then listens.
// If there is to be no web server, it is the first on the loopback, without a listener. Failing that, it is the first
// with a custom scheme.
func (a *agent) openCallback(uris []string, l *login) (string, []net.Listener, error) {
	var unserved, custom string
	for _, uri := range uris {
		switch u, err := url.Parse(uri); {
		case err != nil:
		case u.Scheme == "http" && isLoopbackName(u.Hostname()):
			if l.noWebserver || !a.settings.Webserver {
				unserved = cmp.Or(unserved, uri)
			} else if listeners := listenLoopback(cmp.Or(u.Port(), "80")); len(listeners) > 0 {
				return uri, listeners, nil
			}
		case u.Scheme != "http" && u.Scheme != "https" && !l.noScheme && a.settings.CustomURIScheme:
			custom = cmp.Or(custom, uri)
		}
	}
	if uri := cmp.Or(unserved, custom); uri != "" {
		return uri, nil, nil
	}
	return "", nil, errors.New("no redirect URI is usable for the code flow: " +
		"free a port of http://localhost:PORT, or allow a redirect URI with a custom scheme")
}

// isLoopbackName reports whether a host name stands for an address that listenLoopback listens on.
func isLoopbackName(host string) bool {
	return host == "localhost" || host == "127.0.0.1" || host == "::1"
}

// listenLoopback listens on both loopback addresses, because a browser may take localhost for either. A machine without
// IPv6 is fine, but nobody else may listen on one of them: they would get the code.
func listenLoopback(port string) []net.Listener {
	v4, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		return nil
	}
	v6, err := net.Listen("tcp", "[::1]:"+port)
	switch {
	case err == nil:
		return []net.Listener{v4, v6}
	case errors.Is(err, syscall.EADDRINUSE):
		v4.Close()
		return nil
	}
	return []net.Listener{v4}
}

// serveCallback runs the web server that the browser is sent to at the end of a code flow. It listens on the loopback
// addresses only, and no longer than the flow lasts. An answer in progress at that time is still written.
func (a *agent) serveCallback(l *login) {
	var open atomic.Int32
	server := http.Server{
		ReadTimeout:    5 * time.Second,
		WriteTimeout:   answerTimeout,
		MaxHeaderBytes: 16 << 10,
		ConnState: func(conn net.Conn, state http.ConnState) {
			switch {
			case state == http.StateNew && open.Add(1) > maxBrowserConnections:
				conn.Close()
			case state == http.StateClosed:
				open.Add(-1)
			}
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			status, title, text := a.callback(l, r)
			page(w, status, title, text)
		}),
	}
	server.SetKeepAlivesEnabled(false)
	for _, listener := range l.listeners {
		go server.Serve(listener)
	}
	time.AfterFunc(codeLifetime, func() { closeAll(l.listeners) })
}

func closeAll(listeners []net.Listener) {
	for _, listener := range listeners {
		listener.Close()
	}
}

// callback takes the code from the browser and returns what the browser shows. After a request that is not the answer
// to this flow the agent goes on waiting for the right one.
func (a *agent) callback(l *login, r *http.Request) (status int, title, text string) {
	expected, _ := url.Parse(l.redirectURI) // openCallback has parsed it before
	switch host := (&url.URL{Host: r.Host}).Hostname(); {
	case !isLoopbackName(host): // a page of another site whose name leads here (DNS rebinding)
		return http.StatusMisdirectedRequest, "Wrong host", "There is nothing here."
	case cmp.Or(r.URL.Path, "/") != cmp.Or(expected.Path, "/") || r.Method != http.MethodGet:
		return http.StatusNotFound, "Not found", "There is nothing here."
	}
	err := a.lock.enter()
	if err == nil {
		defer a.lock.leave()
		// Closing the browser now must not break off the exchange: the code can be used only once.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), answerTimeout)
		defer cancel()
		err = a.redeem(ctx, l, r.URL.RawQuery)
	}
	if err == nil {
		return http.StatusOK, "Success", "You are logged in. Close this window and go back to the terminal."
	}
	a.log.notice("code flow: %v", err)
	switch {
	case errors.Is(err, ipc.ErrLocked):
		return http.StatusServiceUnavailable, "The agent is locked", "Unlock it (oidc-add -X) and load this page again."
	case err == errWrongState: // another window was faster
		return http.StatusGone, "This login has ended", "Close this window and go back to the terminal."
	case l.ended.Load():
		return http.StatusBadRequest, "The login has failed", "The terminal shows the reason. You can close this window."
	}
	return http.StatusBadRequest, "This is not the answer to the login that was started",
		"The agent still waits for the right one."
}

// page writes a page. All that the browser ever sees of the agent are fixed texts, so nothing needs escaping.
func page(w http.ResponseWriter, status int, title, text string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	io.WriteString(w, `<!DOCTYPE html><html lang="en"><meta name="viewport" content="width=device-width">
<title>`+title+`</title>
<body style="font:1.2em/1.5 sans-serif;max-width:34em;margin:15vh auto;padding:0 1em">
<h1>`+title+`</h1><p>`+text+`</p></body></html>
`)
}
