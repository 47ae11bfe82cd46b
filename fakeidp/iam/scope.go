package iam

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// wlcgGroup matches group scopes as IAM checks them: wlcg.groups or wlcg.groups:/group/subgroup.
var wlcgGroup = regexp.MustCompile(`^wlcg\.groups(:(/[a-zA-Z0-9][a-zA-Z0-9_.-]*)+)?$`)

// scopeToken matches printable ASCII without quote and backslash (RFC 6749 section 3.3).
var scopeToken = regexp.MustCompile(`^[!#-\[\]-~]+$`)

// parseScope splits a scope parameter into its words, without duplicates. It refuses words that no grant can cover:
// with characters outside RFC 6749 section 3.3, with ".." in the path, or with a malformed group.
func parseScope(param string) ([]string, error) {
	var words []string
	for _, w := range strings.Fields(param) {
		switch {
		case !scopeToken.MatchString(w):
			return nil, badRequest("invalid_scope", "Invalid scope: %s", w)
		case climbs(w):
			return nil, badRequest("invalid_scope", "Scope contains relative path references")
		case strings.HasPrefix(w, "wlcg.groups") && !wlcgGroup.MatchString(w):
			return nil, badRequest("invalid_scope", "Invalid WLCG group scope: %s", w)
		}
		if !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	return words, nil
}

// climbs reports whether the path of a scope has a ".." segment, plain or percent-encoded: a storage server that
// decodes and resolves the path would leave the granted directory.
func climbs(word string) bool {
	_, path, ok := storagePath(word)
	if !ok {
		return false
	}
	decoded, err := url.PathUnescape(path)
	return err != nil || slices.Contains(strings.Split(decoded, "/"), "..")
}

// storagePath splits storage.read:/a/b into storage.read and /a/b. Only storage scopes have paths (WLCG,
// "capabilities").
func storagePath(word string) (prefix, path string, ok bool) {
	prefix, path, ok = strings.Cut(word, ":")
	return prefix, path, ok && strings.HasPrefix(prefix, "storage.") && strings.HasPrefix(path, "/")
}

// scopeAllows reports whether a granted word covers a requested one: it is the same, its path is below the granted
// path, or it is a group where all groups are granted.
func scopeAllows(granted, requested string) bool {
	if climbs(requested) {
		return false
	}
	if granted == requested || (granted == "wlcg.groups" && wlcgGroup.MatchString(requested)) {
		return true
	}
	gPrefix, gPath, gOK := storagePath(granted)
	rPrefix, rPath, rOK := storagePath(requested)
	if !gOK || !rOK || gPrefix != rPrefix {
		return false
	}
	// By whole segments: /a covers /a/b, but not /ab.
	return strings.HasPrefix(rPath+"/", strings.TrimRight(gPath, "/")+"/")
}

// firstOutside returns the first requested word that no granted word covers, or "".
func firstOutside(granted, requested []string) string {
	for _, r := range requested {
		if !slices.ContainsFunc(granted, func(g string) bool { return scopeAllows(g, r) }) {
			return r
		}
	}
	return ""
}
