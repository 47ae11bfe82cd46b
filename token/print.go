package main

import (
	"strconv"

	"oidc-agent/proto/ipc"
)

// render is what goes to standard output, for one of the forms that the user can choose.
func render(r *request, t ipc.AccessToken) []byte {
	token := string(t.Token.Reveal())
	expiry := strconv.FormatInt(t.ExpiresAt, 10)
	if r.all {
		return []byte(token + "\n" + t.Issuer + "\n" + expiry + "\n")
	}
	parts := [...]struct {
		output
		name, value string
	}{
		{r.token, "OIDC_AT", token},
		{r.issuer, "OIDC_ISS", t.Issuer},
		{r.expiry, "OIDC_EXP", expiry},
	}
	shell, wanted := r.env, 0
	for _, p := range parts {
		if p.wanted {
			wanted++
		}
		shell = shell || p.variable != "" || wanted > 1
	}
	var out []byte
	for _, p := range parts {
		switch {
		case shell && (p.wanted || r.env):
			out = append(out, export(p.variable, p.name, p.value)...)
		case !shell && p.wanted && !r.token.wanted:
			return []byte(p.value + "\n")
		}
	}
	switch {
	case shell:
		return out
	case r.header:
		// Without a newline, as the C tool prints it: it is put into another program's argument.
		return []byte("Authorization: Bearer " + token)
	case r.bearer:
		token = "Bearer " + token
	}
	return []byte(token + "\n")
}

// export is a shell command that sets and exports a variable.
func export(name, byDefault, value string) string {
	if name == "" {
		name = byDefault
	}
	return name + "=" + shellWord(value) + "; export " + name + ";\n"
}

// shellWord leaves a value as it is unless the shell would take it apart: the output is meant for eval, and
// the values come from a provider.
func shellWord(value string) string {
	for i := range len(value) {
		c := value[i]
		switch {
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z':
		case c == '-', c == '_', c == '.', c == '/', c == ':', c == '=', c == '+', c == ',', c == '%', c == '@':
		default:
			return quote(value)
		}
	}
	return value
}

func quote(value string) string {
	out := []byte{'\''}
	for i := range len(value) {
		if value[i] == '\'' {
			out = append(out, `'\''`...)
		} else {
			out = append(out, value[i])
		}
	}
	return string(append(out, '\''))
}
