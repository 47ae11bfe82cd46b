#!/bin/sh
# Builds and tests oidc-agent. `./build.sh help` lists the commands.
set -eu
cd "$(dirname "$0")"
root=$PWD
programs='oidc-agent:agent oidc-gen:gen oidc-add:add oidc-token:token fakeidp:fakeidp'

usage() {
	cat <<'EOF'
usage: ./build.sh [COMMAND]
  (none)    build the five programs into bin/
  demo      build, then create an account and print tokens with the fake IAM, in a temporary home
  test      run the tests that need only Go: gofmt, vet, go test ./...
  fuzz [S]  run each fuzz target for S seconds (10), two at a time; stop at the first failure
  crash     kill the agent in the middle of 1,000 refreshes (or KILLS), to see that no refresh token is lost
  interop   run the tests against real peers; installs them by name (Debian, npm)
  release   build archives, .deb, .rpm, checksums and SBOM in dist/, reproducibly
            (TARGETS='linux/amd64 ...': only for these)
  bench [NAME...] [--quick|--plot]
            measure our programs, Debian's C programs and floors, in one table; --quick: compare
            counts with their budgets; --plot: draw token/latency.svg
EOF
}

die() {
	echo "build.sh: $*" >&2
	exit 1
}

# need_go exits if Go is missing or too old.
need_go() {
	want=$(sed -n 's/^go \([0-9.]*\)$/\1/p' go.mod)
	command -v go >/dev/null 2>&1 ||
		die "Go $want or newer is needed and there is no 'go' in PATH: install it from https://go.dev/dl/ or with your package manager"
	have=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null | sed 's/^go//; s/[^0-9.].*//')
	oldest=$(printf '%s\n%s\n' "$want" "${have:-0}" | sort -t. -k1,1n -k2,2n -k3,3n | head -n 1)
	[ "$oldest" = "$want" ] ||
		die "Go $want or newer is needed, this is Go ${have:-unknown}: install a newer one from https://go.dev/dl/"
}

version() {
	if [ -f .version ]; then
		cat .version
	else
		v=$(git describe --tags --always --dirty 2>/dev/null) || v=unknown
		echo "${v#v}"
	fi
}

build() {
	need_go
	mkdir -p bin
	v=$(version)
	for pair in $programs; do
		CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$v" \
			-o "bin/${pair%%:*}" "./${pair##*:}"
	done
	ln -sf oidc-token bin/oidc-tokensh
	ln -sf oidc-agent bin/oidc-agent-service
	ln -sf oidc-agent bin/oidc-keychain
}

# run_shown prints a command as a user types it, then runs it.
run_shown() {
	printf '\n$ %s\n' "$*"
	"$@"
}

# decode prints the header and the claims of a JWT, but not its signature.
decode() {
	for part in 1 2; do
		b=$(printf '%s' "$1" | cut -d. -f$part | tr '_-' '/+')
		while [ $((${#b} % 4)) -ne 0 ]; do b=$b=; done
		printf '%s' "$b" | base64 -d
		echo
	done
}

demo_cleanup() {
	[ -z "${OIDCD_PID:-}" ] || kill "$OIDCD_PID" 2>/dev/null || true
	[ -z "${idp:-}" ] || kill "$idp" 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf "$home"
}

demo() {
	build
	home=$(mktemp -d)
	trap demo_cleanup EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	PATH=$root/bin:$PATH HOME=$home TMPDIR=$home
	export PATH HOME TMPDIR
	unset OIDC_SOCK OIDCD_PID OIDC_CONFIG_DIR OIDC_REMOTE_SOCK XDG_CONFIG_HOME
	mkdir -p "$home/.config"
	OIDC_ENCRYPTION_PW=correct-horse
	export OIDC_ENCRYPTION_PW

	printf '$ fakeidp --auto-approve &\n'
	fakeidp --auto-approve >"$home/issuer" &
	idp=$!
	issuer=
	while [ -z "$issuer" ]; do
		kill -0 $idp 2>/dev/null || die "fakeidp did not start"
		sleep 0.05
		read -r issuer <"$home/issuer" || true
	done
	echo "$issuer"

	# shellcheck disable=SC2016 # printed literally
	printf '\n$ eval $(oidc-agent)\n'
	eval "$(oidc-agent)"
	run_shown oidc-gen -w device --prompt=none --pw-env --issuer="$issuer" \
		--scope="openid profile offline_access storage.read:/" demo
	run_shown oidc-add -p --pw-env demo
	run_shown oidc-add -r demo
	run_shown oidc-add --pw-env demo
	printf '\n$ oidc-token demo\n'
	token=$(oidc-token demo)
	echo "$token"
	printf '\nIts header and claims:\n'
	decode "$token"
}

# can_race reports whether there is a C compiler, which the race detector needs.
can_race() {
	[ -n "${CI:-}" ] || command -v "${CC:-cc}" >/dev/null 2>&1 || command -v gcc >/dev/null 2>&1
}

run_tests() {
	need_go
	unformatted=$(gofmt -l agent gen add token proto crypt fakeidp)
	[ -z "$unformatted" ] || die "gofmt would change: $unformatted"
	go vet ./...
	if can_race; then
		# Without the race detector: the key derivations, which share no memory, and the end-to-end tests, whose
		# search of the agent's memory would take four times as long. At exit a program waits one second for reports
		# of other threads; 50 ms are enough.
		GORACE="atexit_sleep_ms=50 ${GORACE:-}" CGO_ENABLED=1 go test -race -gcflags='golang.org/x/crypto/...=-race=false' \
			-gcflags='oidc-agent/proto/e2e=-race=false' ./...
	else
		go test ./...
	fi
}

# fuzz_targets prints package and name of each fuzz target.
fuzz_targets() {
	# shellcheck disable=SC2016 # variables of the template
	go list -f '{{$package := .ImportPath}}{{$dir := .Dir}}{{range .TestGoFiles}}{{$package}} {{$dir}}/{{.}}{{"\n"}}{{end}}' ./... |
		while read -r package file; do
			[ -z "$file" ] || sed -n "s,^func \(Fuzz[A-Za-z0-9_]*\)(f \*testing\.F) {\$,$package \1,p" "$file"
		done
}

# fuzz_one runs one target and prints a line about it. Exit code 255 stops xargs.
fuzz_one() {
	log=$(mktemp)
	trap 'rm -f "$log"' EXIT
	if ! go test -run '^$' -fuzz "^$3\$" -fuzztime "${1}s" -fuzzminimizetime 2s -parallel 1 "$2" >"$log" 2>&1; then
		# Up to Go 1.26, go test can report the end of -fuzztime as a failure (https://go.dev/issue/75804).
		if grep -q 'Failing input\|seed corpus\|panic:' "$log" || ! grep -qx '    context deadline exceeded' "$log"; then
			cat "$log" >&2
			echo "build.sh: $2 $3 failed; a failing input is in $(go list -f '{{.Dir}}' "$2")/testdata/fuzz/$3" >&2
			exit 255
		fi
	fi
	sed -n 's/.*execs: \([0-9]*\) .*new interesting: \([0-9]*\) .*/\1 executions, \2 new interesting/p' "$log" |
		tail -n 1 | sed "s,^,$2 $3: ,"
}

fuzz() {
	need_go
	targets=$(fuzz_targets)
	[ "$(echo "$targets" | wc -l)" -gt 20 ] || die "too few fuzz targets were found: $targets"
	echo "$targets" | xargs -n 2 -P 2 "$root/build.sh" fuzz_one "${1:-10}"
}

crash() {
	need_go
	KILLS=${KILLS:-1000} go test -count=1 -v -timeout 1h -run '^TestCrash$' ./proto/e2e
}

# install_debian installs those of the named packages that are missing.
install_debian() {
	missing=
	for package in "$@"; do
		dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
	done
	[ -n "$missing" ] || return 0
	[ "$(id -u)" = 0 ] || die "these Debian packages are needed:$missing (apt-get install$missing)"
	apt-get update -qq
	# shellcheck disable=SC2086 # a list of names
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

interop() {
	build
	command -v npm >/dev/null 2>&1 || install_debian nodejs npm
	install_debian shellcheck zbar-tools jq curl chromium gnupg gcc libc6-dev oidc-agent-cli liboidc-agent-dev ca-certificates \
		iproute2 tinyproxy openssh-server bubblewrap slurm-wlm munge
	install_debian mandoc bash-completion zsh fish systemd
	install_debian davix gfal2-util-scripts gfal2-plugin-http nordugrid-arc-client nordugrid-arc-plugins-needed openssl
	install_debian rpm busybox-static git util-linux
	shellcheck build.sh .ci/run agent/packaging/release.sh proto/cli/completion/oidc.bash
	mandoc -Tlint -W warning ./*/*.1
	go -C proto/interop build -o "$root/bin/staticcheck" honnef.co/go/tools/cmd/staticcheck
	# ST1005: some errors are sentences, because they are those of the C tools.
	bin/staticcheck -checks inherit,-ST1005 ./...
	OIDC_AGENT_ZBARIMG=$(command -v zbarimg) go test -count=1 -run QR ./gen
	cd proto/interop
	npm ci --no-audit --no-fund
	go vet ./...
	../../bin/staticcheck ./...
	go test -count=1 -timeout 20m ./...
}

release() {
	need_go
	exec agent/packaging/release.sh "$(version)"
}

# bench builds the floor programs like our programs and runs proto/interop/bench.
bench() {
	build
	install_debian oidc-agent-cli strace hyperfine util-linux
	case " $* " in
	*' --plot '*) install_debian gnuplot-nox ;;
	*' --quick '*) ;;
	*)
		command -v npm >/dev/null 2>&1 || install_debian nodejs npm
		[ -d proto/interop/node_modules ] || npm --prefix proto/interop ci --no-audit --no-fund >&2
		;;
	esac
	cd proto/interop
	mkdir -p ../../bin/bench
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o ../../bin/bench/ ./bench/...
	exec ../../bin/bench/bench "$@"
}

case ${1:-} in
'') build ;;
demo) demo ;;
test) run_tests ;;
fuzz) fuzz "${2:-}" ;;
fuzz_one) fuzz_one "$2" "$3" "$4" ;;
crash) crash ;;
interop) interop ;;
release) release ;;
bench)
	shift
	bench "$@"
	;;
help | -h | --help) usage ;;
*)
	usage >&2
	exit 64
	;;
esac
