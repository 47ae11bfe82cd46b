# Completion for fish: install this file under each program's name into share/fish/vendor_completions.d. The options
# are read from --help.

set -q __oidc_completed; and exit
set -g __oidc_completed

# __oidc_table prints a line for each option of a program: names, argument, text, separated by tabs.
function __oidc_table
    $argv[1] --help </dev/null 2>/dev/null | awk '
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
end

# __oidc_accounts prints the loaded accounts for oidc-add -r, the loaded and configured ones for oidc-token, and the
# configured ones for the other programs.
function __oidc_accounts
    set -l words (commandline -opc)
    if string match -q 'oidc-add' (path basename $words[1]); and contains -- $words[2..] -r --remove
        oidc-add -a
    else
        oidc-add -l
        string match -q '*oidc-token*' $words[1]; and oidc-add -a
    end </dev/null 2>/dev/null
end

for program in oidc-agent oidc-agent-service oidc-keychain oidc-gen oidc-add oidc-token oidc-tokensh fakeidp
    command -q $program; or continue
    __oidc_table $program | while read -d \t -l names arg text
        set -l option -d (string trim -- $text)
        for name in (string split -n ' ' -- $names)
            if string match -q -- '--*' $name
                set -a option -l (string sub -s 3 -- $name)
            else
                set -a option -s (string sub -s 2 -- $name)
            end
        end
        switch $arg
            case -
            case '=FILE' '=PATH'
                set -a option -r -F
                string match -q "*account's name*" -- $text; and set -a option -a '(__oidc_accounts)'
            case '*NAME|*'
                set -a option -x -a '(__oidc_accounts)'
            case '*|*'
                set -a option -x -a (string replace -a '|' ' ' -- (string trim -c '[]=' -- $arg))
            case '[=FILE]'
                set -a option -F
            case '=*'
                set -a option -x
        end
        complete -c $program $option
    end
    switch $program
        case oidc-agent
            complete -c $program -f -a '(__fish_complete_subcommand)'
        case oidc-agent-service
            complete -c $program -f -a 'use start restart restart-s stop kill status'
        case fakeidp
            complete -c $program -f
        case '*'
            complete -c $program -f -n 'not contains -- -- (commandline -opc)' -a '(__oidc_accounts)'
            complete -c $program -n 'contains -- -- (commandline -opc)' -F -a '(__fish_complete_command)'
    end
end
