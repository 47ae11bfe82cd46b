package main

import (
	"errors"
	"strings"
	"testing"

	"oidc-agent/proto/cli"
)

// FuzzParse: any command line is understood, answered with a text, or refused as such.
func FuzzParse(f *testing.F) {
	for _, line := range []string{"demo", "-c -t 60 demo", "--aud x --scope=y -s z https://iam.example/", "-oX -iY --all x", "-m x", "--time x"} {
		f.Add(line)
	}
	f.Setenv("OIDC_CONFIG_DIR", f.TempDir())
	f.Fuzz(func(t *testing.T, line string) {
		r, err := parse(strings.Fields(line))
		var usage *cli.UsageError
		var output *cli.Output
		var exit *cli.ExitError
		if err != nil && !errors.As(err, &usage) && !errors.As(err, &output) && !errors.As(err, &exit) {
			t.Errorf("%q: %v", line, err)
		}
		if err == nil && (r.minValid < 0 || !strings.Contains(line, r.name)) {
			t.Errorf("%q: %+v", line, r)
		}
	})
}
