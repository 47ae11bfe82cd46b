package iam

import (
	"path"
	"slices"
	"strings"
	"testing"
)

var scopeCases = []struct {
	granted, requested string
	want               bool
}{
	{"openid", "openid", true},
	{"openid", "profile", false},
	{"openid", "openid:/x", false},
	{"storage.read:/", "storage.read:/", true},
	{"storage.read:/", "storage.read:/myPath", true},
	{"storage.read:/a", "storage.read:/a", true},
	{"storage.read:/a", "storage.read:/a/b", true},
	{"storage.read:/a/", "storage.read:/a/b", true},
	{"storage.read:/a/", "storage.read:/a", true},
	{"storage.read:/a", "storage.read:/a/", true},
	{"storage.read:/a", "storage.read:/ab", false},
	{"storage.read:/a", "storage.read:/A", false},
	{"storage.read:/a/b", "storage.read:/a", false},
	{"storage.read:/a", "storage.read:/", false},
	{"storage.read:/a", "storage.read", false},
	{"storage.read", "storage.read:/a", false},
	{"storage.read:/", "storage.readx:/", false},
	{"storage.read:/", "storage.modify:/", false},
	{"storage.read:/", "storage.read:a", false},
	{"storage.read:/a", "storage.read:/a/../b", false},
	{"storage.read:/a", "storage.read:/a/..", false},
	{"storage.read:/a", "storage.read:/a/%2e%2e/b", false},
	{"storage.read:/a", "storage.read:/a%2F..%2fb", false},
	{"storage.read:/a", "storage.read:/a/%zz", false},
	{"storage.read:/a", "storage.read:/a/..b", true},
	{"storage.read:/a/..", "storage.read:/a/..", false},
	{"https://x/y", "https://x/y/z", false},
	{"wlcg.groups", "wlcg.groups:/cms", true},
	{"wlcg.groups", "wlcg.groups:/cms/", false},
	{"wlcg.groups:/cms", "wlcg.groups", false},
	{"wlcg.groups:/cms", "wlcg.groups:/cms/uscms", false},
	{"compute.read", "compute.read", true},
}

func TestScopeAllows(t *testing.T) {
	t.Parallel()
	for _, c := range scopeCases {
		if got := scopeAllows(c.granted, c.requested); got != c.want {
			t.Errorf("scopeAllows(%q, %q) = %v", c.granted, c.requested, got)
		}
	}
}

func TestParseScope(t *testing.T) {
	t.Parallel()
	for param, want := range map[string]string{
		"":                          "",
		" openid  profile openid\t": "openid profile",
		"openid \"x\"":              "error Invalid scope: \"x\"",
		"a\\b":                      "error Invalid scope: a\\b",
		"é":                         "error Invalid scope: é",
		"storage.read:/a/../b":      "error Scope contains relative path references",
		"wlcg.groups:cms":           "error Invalid WLCG group scope: wlcg.groups:cms",
		"wlcg.groups:/cms/uscms":    "wlcg.groups:/cms/uscms",
	} {
		words, err := parseScope(param)
		got := strings.Join(words, " ")
		if err != nil {
			got = "error " + err.(*protocolError).Description
		}
		if got != want {
			t.Errorf("parseScope(%q): %q, want %q", param, got, want)
		}
	}
}

// FuzzScopeAllows compares the matcher with paths as a storage server resolves them.
func FuzzScopeAllows(f *testing.F) {
	for _, c := range scopeCases {
		f.Add(c.granted, c.requested)
	}
	f.Fuzz(func(t *testing.T, granted, requested string) {
		allowed := scopeAllows(granted, requested)
		if allowed != scopeAllows(granted, requested) || (allowed && firstOutside([]string{granted}, []string{requested}) != "") {
			t.Fatal("not the same twice")
		}
		if granted == requested && !climbs(granted) && !allowed {
			t.Fatalf("%q does not allow itself", granted)
		}
		gPrefix, gPath, gOK := storagePath(granted)
		rPrefix, rPath, rOK := storagePath(requested)
		if !allowed || !gOK {
			return
		}
		inside := path.Clean(gPath) == "/" || path.Clean(rPath) == path.Clean(gPath) || strings.HasPrefix(path.Clean(rPath), path.Clean(gPath)+"/")
		if !rOK || gPrefix != rPrefix || !inside || slices.Contains(strings.Split(rPath, "/"), "..") {
			t.Fatalf("%q allows %q", granted, requested)
		}
	})
}
