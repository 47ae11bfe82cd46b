package main

import (
	"errors"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"oidc-agent/crypt"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/secret"
)

// TestLoadLocked: accounts are reported in their order even if the provider of one is slow, and those with another
// password last. Not parallel: the agent is found through the environment.
func TestLoadLocked(t *testing.T) {
	right, other := secret.FromString("right"), secret.FromString("other")
	encrypted := func(password secret.Secret, name string) *file {
		key, err := crypt.NewKey(password, crypt.FormatScrypt)
		if err != nil {
			t.Fatal(err)
		}
		data, err := key.Encrypt(t.Context(), []byte(`{"name":"`+name+`","issuer_url":"https://op.example/"}`))
		if err != nil {
			t.Fatal(err)
		}
		return &file{name: name, data: data}
	}
	path := filepath.Join(t.TempDir(), "agent")
	t.Setenv(ipc.EnvSocket, path)
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	first := make(chan struct{}) // closed when it is reported
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				request, err := ipc.ReadObject(conn, nil, ipc.MaxMessage)
				if err == nil && strings.Contains(string(request), "slow") {
					<-first
				}
				conn.Write(ipc.Success("").Compact())
			}()
		}
	}()
	var reported []string
	report := func(name string, err error) {
		if name == "first" {
			close(first)
		}
		if err != nil {
			name += ": " + err.Error()
		}
		reported = append(reported, name)
	}
	files := []*file{encrypted(other, "another"), encrypted(right, "first"), encrypted(right, "slow")}
	if err := loadLocked(&request{}, files[:1], right, report); !errors.Is(err, crypt.ErrWrongPassword) || reported != nil {
		t.Errorf("a password that opens nothing: %v, reported %q", err, reported)
	}
	err = loadLocked(&request{}, files, right, report)
	if want := []string{"first", "slow", "another: wrong password"}; err != nil || !slices.Equal(reported, want) {
		t.Errorf("%v, reported %q, want %q", err, reported, want)
	}
}
