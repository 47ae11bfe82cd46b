package user

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A provider's pages in the order in which a user sees them, with everything that
// makes forms difficult: a logout form, buttons outside, entities, no quotes.
var pages = map[string]string{
	"/device": `<form action="/logout" method=post><button>Sign out</button></form>
		<form id='f' method="POST" action="verify?a=1&amp;b=2"><input type=hidden name=csrf value="x&quot;y">
		<input name="user_code" value=""></form> <button form=f>Continue</button>`,
	"/login": `<form method="post" action="/login"><input name=username><INPUT TYPE="password" NAME="password">
		<button type="submit" name="cancel" value="1">Cancel</button><button type=submit>Sign in</button></form>`,
	"/approve": `<form method="post" action="/done"><input type="checkbox" name="remember" value="on">
		<input type="checkbox" name="terms" value="read" checked>
		<button name="approval" value="true">Approve</button><button name="approval" value="false">Deny</button></form>`,
	"/done": `<h1>Done</h1><form action="/logout" method="post"><button>Sign out</button></form>`,
}

func TestApprove(t *testing.T) {
	for _, yes := range []bool{true, false} {
		var trace strings.Builder
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.ParseForm()
			fmt.Fprintf(&trace, "%s %s %s\n", r.Method, r.URL, r.PostForm.Encode())
			_, err := r.Cookie("session")
			switch {
			case r.URL.Path == "/verify":
				http.Redirect(w, r, "/login", http.StatusSeeOther)
			case r.URL.Path == "/login" && r.Method == "POST":
				http.SetCookie(w, &http.Cookie{Name: "session", Value: "1"})
				http.Redirect(w, r, "/approve", http.StatusSeeOther)
			case r.URL.Path == "/approve" && err != nil:
				http.Error(w, "who are you?", http.StatusForbidden)
			default:
				io.WriteString(w, pages[r.URL.Path])
			}
		}))
		defer server.Close()
		err := NewBrowser("alice", "pass word").Approve(t.Context(), server.URL+"/device", "AB-12", yes)
		if err != nil {
			t.Errorf("yes=%t: %v", yes, err)
		}
		login := "POST /login password=pass+word&username=alice\n"
		if !yes {
			login = "POST /login cancel=1&password=pass+word&username=alice\n"
		}
		want := "GET /device \nPOST /verify?a=1&b=2 csrf=x%22y&user_code=AB-12\nGET /login \n" + login +
			fmt.Sprintf("GET /approve \nPOST /done approval=%t&terms=read\n", yes)
		if trace.String() != want {
			t.Errorf("yes=%t: the server saw\n%swant\n%s", yes, trace.String(), want)
		}
	}
}

func TestApproveErrors(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/circle" {
			io.WriteString(w, `<form method="post" action="/circle"><button>Go on</button></form>`)
			return
		}
		http.Error(w, "no such code", http.StatusBadRequest)
	}))
	defer server.Close()
	for path, want := range map[string]string{"/circle": "never comes to an end", "/other": "no such code"} {
		err := NewBrowser("", "").Approve(t.Context(), server.URL+path, "X", true)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

// Redirect URIs where a server listens, where none does, and with a custom scheme.
func TestVisit(t *testing.T) {
	arrived := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/there" {
			arrived++
			return
		}
		http.Redirect(w, r, r.FormValue("to"), http.StatusSeeOther)
	}))
	defer server.Close()
	b := NewBrowser("alice", "alice")
	there := server.URL + "/there"
	if err := b.Visit(t.Context(), server.URL+"?to="+there); err != nil || arrived != 1 {
		t.Errorf("%v, arrived %d times", err, arrived)
	}
	if address, err := b.VisitNobody(t.Context(), server.URL+"?to="+there); err == nil {
		t.Errorf("somebody is there, but: %q", address)
	}
	for _, to := range []string{"http://localhost:1/?code=a:b", "own.scheme:/path?code=a"} {
		if err := b.Visit(t.Context(), server.URL+"?to="+to); err == nil {
			t.Errorf("%s: arrived", to)
		}
		if address, err := b.VisitNobody(t.Context(), server.URL+"?to="+to); err != nil || address != to {
			t.Errorf("%q, %v, want %s", address, err, to)
		}
	}
}
