# Completion for bash: source this file, or install it under each program's name into
# share/bash-completion/completions. The options are read from --help, once in each shell.

# _oidc_table prints a line for each option of a program: names, argument, text, separated by tabs.
_oidc_table() {
	"$1" --help </dev/null 2>/dev/null | awk '
		function flush() { if (names != "") print names "\t" arg "\t" text; names = text = ""; arg = "-" }
		{ i = 1 }
		/^  (    )?-/ {
			if (!more) flush()
			for (more = 1; more && i <= NF; i++) {
				name = $i
				more = sub(/,$/, "", name)
				if (match(name, /[[=]/)) { arg = substr(name, RSTART); name = substr(name, 1, RSTART - 1) }
				names = names name " "
			}
		}
		!/^  (    )?-|^       / { flush() }
		names != "" { for (; i <= NF; i++) text = text $i " " }
		END { flush() }'
}

# _oidc_accounts prints the loaded accounts for oidc-add -r, the loaded and configured ones for oidc-token, and the
# configured ones for the other programs.
_oidc_accounts() {
	case "$program ${COMP_WORDS[*]} " in
	'oidc-add '*' -r '* | 'oidc-add '*' --remove '*) oidc-add -a ;;
	oidc-token*) { oidc-add -a; oidc-add -l; } ;;
	*) oidc-add -l ;;
	esac </dev/null 2>/dev/null
}

# _oidc_offer offers the lines of standard input that begin with the current word, quoted for the shell.
_oidc_offer() {
	local line
	while IFS= read -r line; do
		[[ $line != "$cur"* ]] || COMPREPLY+=("$(printf %q "$line")")
	done
}

_oidc_files() {
	compopt -o filenames 2>/dev/null # it quotes them; bash 3 does not have it
	local line
	while IFS= read -r line; do
		COMPREPLY+=("$line")
	done < <(compgen -f -- "$cur")
}

# _oidc_command completes a command and its arguments.
_oidc_command() {
	compopt -o default 2>/dev/null
	[[ $prev != -* && $COMP_CWORD -gt 1 ]] || _oidc_offer < <(compgen -c -- "$cur")
}

_oidc() {
	local program=${1##*/} cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} attached=''
	local names arg text all='' value='' says='' table=_oidc_table_${1//[!a-zA-Z0-9]/_}
	[[ -n ${!table-} ]] || printf -v "$table" %s "$(_oidc_table "$1")"
	COMPREPLY=()
	case " ${COMP_WORDS[*]:0:COMP_CWORD} " in *' -- '*) _oidc_command; return ;; esac
	# --name=value is three words, because = is in COMP_WORDBREAKS.
	[[ $cur != = ]] || { attached=1 cur=''; }
	[[ $prev != = ]] || { attached=1 && prev=${COMP_WORDS[COMP_CWORD - 2]}; }
	while IFS=$'\t' read -r names arg text; do
		all+=$names
		[[ " $names" != *" $prev "* || $arg == - || $arg == '['* && -z $attached ]] || value=${arg//[]=[]/} says=$text
	done <<<"${!table}"
	case $value in
	FILE | PATH)
		[[ $says != *"account's name"* ]] || _oidc_offer < <(_oidc_accounts)
		_oidc_files
		;;
	*NAME\|*) _oidc_offer < <(_oidc_accounts) ;;
	*\|*) _oidc_offer <<<"${value//|/$'\n'}" ;;
	?*) ;; # any text
	*)
		if [[ $cur == -* ]]; then
			_oidc_offer <<<"${all// /$'\n'}"
		elif [[ $program == oidc-agent ]]; then
			_oidc_command
		elif [[ $program == oidc-agent-service ]]; then
			_oidc_offer < <(printf '%s\n' use start restart restart-s stop kill status)
		elif [[ $program != fakeidp ]]; then
			_oidc_offer < <(_oidc_accounts)
		fi
		;;
	esac
}

complete -F _oidc oidc-agent oidc-agent-service oidc-keychain oidc-gen oidc-add oidc-token oidc-tokensh fakeidp
