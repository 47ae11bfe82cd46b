package main

import (
	"cmp"
	"strconv"
	"strings"
)

// render returns what is printed, in the form that the user has chosen.
func render(r *request, t token) string {
	token, expiry := string(t.value.Reveal()), strconv.FormatInt(t.expires, 10)
	if r.all {
		return token + "\n" + t.issuer + "\n" + expiry + "\n"
	}
	exports, wanted, shell := "", 0, r.env
	for _, part := range [...]struct {
		output
		name, value string
	}{
		{r.token, "OIDC_AT", token},
		{r.issuer, "OIDC_ISS", t.issuer},
		{r.expiry, "OIDC_EXP", expiry},
	} {
		if part.wanted || r.env {
			wanted++
			shell = shell || part.variable != "" || wanted > 1
			name := cmp.Or(part.variable, part.name)
			exports += name + "=" + shellWord(part.value) + "; export " + name + ";\n"
		}
	}
	switch {
	case shell:
		return exports
	case r.issuer.wanted:
		return t.issuer + "\n"
	case r.expiry.wanted:
		return expiry + "\n"
	case r.header:
		// Without a newline, like the C tool: it becomes another program's argument.
		return "Authorization: Bearer " + token
	case r.bearer:
		return "Bearer " + token + "\n"
	}
	return token + "\n"
}

// shellWord quotes a value if the shell would not take it as one literal word: the output is meant for eval, and
// the values come from a provider.
func shellWord(value string) string {
	if strings.Trim(value, base64URL+"./:=+,%@") == "" {
		return value
	}
	return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
}
