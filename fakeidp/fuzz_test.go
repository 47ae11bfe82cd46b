package main

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// FuzzParseOptions: every command line gives options, prints a text, or is a usage error.
func FuzzParseOptions(f *testing.F) {
	for _, line := range []string{"", "--auto-approve", "--rotate --alg=ES256 --refresh-token-lifetime=-1s", "--ca-out=x", "--version", "-help", "x"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.Contains(line, "config") {
			return // would read any file
		}
		o, err := parseOptions(strings.Fields(line), io.Discard)
		var usage *usageError
		if err != nil && !errors.As(err, &usage) {
			t.Errorf("%q: %v", line, err)
		}
		if err == nil && o != nil && min(o.config.AccessTokenLifetime, o.config.RefreshTokenLifetime, o.config.DeviceInterval) < 0 {
			t.Errorf("%q: %+v", line, o.config)
		}
	})
}
