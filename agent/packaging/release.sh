#!/bin/sh
# Makes the files of a release in dist/. `../../build.sh release` calls it with the version. The programs are built from
# the source archive, so that anyone who has that archive and the same Go, gzip, dpkg and rpm gets the same bytes.
set -eu
cd "$(dirname "$0")/../.."
version=$1
dist=$PWD/dist
TARGETS=${TARGETS:-linux/amd64 linux/arm64 linux/ppc64le linux/riscv64 darwin/amd64 darwin/arm64}
name=oidc-agent-$version
package=oidc-agent-go # not the C tool's name, which package managers could not tell apart
like=5.3.3            # the version of the C tool that it replaces

die() {
	echo "release: $*" >&2
	exit 1
}

for tool in dpkg-deb rpmbuild gzip sha256sum; do
	command -v $tool >/dev/null 2>&1 || die "$tool is needed (Debian: apt-get install dpkg rpm gzip coreutils)"
done
tar --version | grep -q GNU || die "GNU tar is needed"

# The files must not depend on who builds them, where and when.
if [ -e .git ]; then
	SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
else
	SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(date -r .version +%s)}
fi
LC_ALL=C TZ=UTC GOENV=off GOFLAGS='' GOTOOLCHAIN=local
export SOURCE_DATE_EPOCH LC_ALL TZ GOENV GOFLAGS GOTOOLCHAIN
unset GOAMD64 GOARM64 GOPPC64 GORISCV64 GOEXPERIMENT
umask 022

work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP
src=$work/$name

# archive DIRECTORY [SUFFIX] packs a directory of $work.
archive() {
	tar -C "$work" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -cf - "$1" |
		gzip -9n >"$dist/$1$2.tar.gz"
}

# sources lists the source files. A deleted file is in both of git's lists, so uniq -u drops it.
sources() {
	if [ -e .git ]; then
		{
			git ls-files --cached --others --exclude-standard
			git ls-files --deleted
		} | sort | uniq -u
	else
		find . \( -path ./bin -o -path ./dist -o -name node_modules \) -prune -o -type f ! -name '*.test' -print
	fi
}

# source_tree copies the sources and adds the modules and the version.
source_tree() {
	mkdir "$src"
	sources | tar -cf - -T - | tar -C "$src" -xf -
	echo "$version" >"$src/.version"
	[ -d "$src/vendor" ] || go -C "$src" mod vendor
	chmod -R u=rwX,go=rX "$src"
}

# copy DIRECTORY FILE... copies those of the files that exist.
copy() {
	to=$1
	shift
	for file in "$@"; do
		[ -f "$file" ] || continue
		mkdir -p "$to"
		cp "$file" "$to"
	done
}

# alike DIRECTORY FILE SUFFIX links each program's name, with a suffix, to a file.
alike() {
	[ -f "$1/$2" ] || return 0
	for program in bin/*; do
		ln -sf "$2" "$1/${program#bin/}$3"
	done
}

# prefix OS ARCH makes the directory that is unpacked over /usr/local or ~/.local.
prefix() {
	rm -rf "${src:?}/bin"
	(cd "$src" && GOOS=$1 GOARCH=$2 ./build.sh)
	mkdir -p "$tree"
	mv "$src/bin" "$tree/bin"
	cp "$src/LICENSE" "$src/README.md" "$tree"
	for file in "$src"/vendor/golang.org/x/*/LICENSE; do
		module=${file#"$src/vendor/"}
		printf '%s:\n\n' "${module%/LICENSE}"
		cat "$file"
	done >"$tree/LICENSE.modules"
	(
		cd "$tree"
		copy share/man/man1 "$src"/*/*.1
		for link in bin/*; do
			page=share/man/man1/${link#bin/}.1
			[ ! -L "$link" ] || [ -f "$page" ] || [ ! -d share/man ] || ln -s "$(readlink "$link").1" "$page"
		done
		copy share/bash-completion/completions "$src/proto/cli/completion/oidc.bash"
		alike share/bash-completion/completions oidc.bash ''
		copy share/fish/vendor_completions.d "$src/proto/cli/completion/oidc.fish"
		alike share/fish/vendor_completions.d oidc.fish .fish
		copy share/zsh/site-functions "$src/proto/cli/completion/_oidc"
		[ "$1" = darwin ] || copy share/systemd/user "$src"/agent/*.service "$src"/agent/*.socket
	)
}

# stage ZSH_DIRECTORY makes $root, the file tree of a package.
stage() {
	rm -rf "$root"
	mkdir -p "$root/usr/share/doc/$package"
	cp -R "$tree"/* "$root/usr"
	(
		cd "$root/usr"
		mv LICENSE* README.md "share/doc/$package"
		[ ! -d share/zsh ] || [ "$1" = site-functions ] || mv share/zsh/site-functions "share/zsh/$1"
		if [ -d share/systemd ]; then
			mkdir lib
			mv share/systemd lib
		fi
		for page in share/man/man1/*; do
			if [ -L "$page" ]; then
				ln -s "$(readlink "$page").gz" "$page.gz"
				rm "$page"
			elif [ -f "$page" ]; then
				gzip -9n "$page"
			fi
		done
	)
}

# package_version prints the version in a form that dpkg and rpm accept: 1.2+3.gabc for 1.2-3-gabc.
package_version() {
	echo "$version" | sed 's/^[^0-9]/0+&/; s/-/+/; s/-/./g; s/^\([0-9a-f]\{7,\}\)\($\|+\)/0+\1\2/'
}

deb() {
	stage vendor-completions
	(cd "$root/usr/share/doc/$package" && cat LICENSE LICENSE.modules >copyright && rm LICENSE LICENSE.modules)
	mkdir "$root/DEBIAN"
	(cd "$root" && find usr -type f -exec md5sum {} + | sort -k 2 >DEBIAN/md5sums)
	cat >"$root/DEBIAN/control" <<END
Package: $package
Version: $(package_version)
Architecture: $1
Maintainer: The oidc-agent authors <oidc-agent@localhost>
Installed-Size: $(($(find "$root/usr" -type f -exec cat {} + | wc -c) / 1024))
Section: net
Priority: optional
Recommends: ca-certificates
Suggests: gnupg
Provides: oidc-agent-cli (= $like)
Conflicts: oidc-agent-cli, oidc-agent (<< 4.1.0-1)
Replaces: oidc-agent-cli, oidc-agent (<< 4.1.0-1)
Description: agent for OpenID Connect tokens on the command line
 Log in once in a browser, keep the refresh token encrypted on disk, and get
 access tokens as ssh gets its keys from ssh-agent. Four static programs that
 take the place of oidc-agent-cli, and fakeidp, a fake INDIGO IAM for tests.
END
	dpkg-deb --root-owner-group -Zxz --threads-max=1 --build "$root" \
		"$dist/${package}_$(package_version)_$1.deb" >/dev/null
}

rpm_package() {
	stage site-functions
	cat >"$work/spec" <<END
Name: $package
Version: $(package_version)
Release: 1
Summary: Agent for OpenID Connect tokens on the command line
License: MIT AND BSD-3-Clause
AutoReqProv: no
Recommends: ca-certificates
Provides: oidc-agent-cli = $like, oidc-agent = $like
Obsoletes: oidc-agent-cli < 6, oidc-agent < 6
%description
Log in once in a browser, keep the refresh token encrypted on disk, and get
access tokens as ssh gets its keys from ssh-agent. Four static programs that
take the place of oidc-agent-cli, and fakeidp, a fake INDIGO IAM for tests.
%install
mkdir -p %{buildroot}
cp -R $root/* %{buildroot}
%files -f $work/files
%defattr(-,root,root)
END
	(cd "$root" && find . ! -type d | sed 's/^.//' | sort >"$work/files")
	rpmbuild -bb --quiet --target "$1-linux" --define "_topdir $work/rpm" --define "_rpmdir $dist" \
		--define '_rpmfilename %{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm' --define '_buildhost localhost' \
		--define 'use_source_date_epoch_as_buildtime 1' --define 'clamp_mtime_to_source_date_epoch 1' \
		--define '_build_id_links none' --define '__os_install_post %{nil}' --define 'debug_package %{nil}' \
		--define '_binary_payload w6.xzdio' "$work/spec" >/dev/null
}

# component TYPE NAME VERSION PURL LICENSE [HASH] prints a component of a CycloneDX document. HASH comes from go.sum: h1
# is a SHA-256 in base64.
component() {
	printf '{"type": "%s", "bom-ref": "%s", "name": "%s", "version": "%s", "purl": "%s", "licenses": [{"license": {"id": "%s"}}]' \
		"$1" "$4" "$2" "$3" "$4" "$5"
	[ -z "${6:-}" ] || printf ', "hashes": [{"alg": "SHA-256", "content": "%s"}]' \
		"$(printf '%s' "${6#h1:}" | base64 -d | od -An -tx1 -v | tr -d ' \n')"
	printf '}'
}

# sbom prints a CycloneDX document (https://cyclonedx.org/docs/1.6/json/) of the modules that the programs are linked with,
# according to the programs themselves.
sbom() {
	self=pkg:generic/oidc-agent@$version
	go=$(go env GOVERSION)
	printf '{"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,\n"metadata": {"timestamp": "%s", "component":\n' \
		"$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)"
	component application oidc-agent "$version" "$self" MIT
	printf '},\n"components": [\n'
	component library std "${go#go}" "pkg:golang/std@${go#go}" BSD-3-Clause
	refs="\"pkg:golang/std@${go#go}\""
	go version -m "$tree"/bin/* | awk '$1 == "dep" { print $2, $3 }' | sort -u >"$work/modules"
	while read -r module at; do
		printf ',\n'
		component library "$module" "$at" "pkg:golang/$module@$at" BSD-3-Clause \
			"$(awk -v m="$module" -v v="$at" '$1 == m && $2 == v { print $3 }' go.sum)"
		refs="$refs, \"pkg:golang/$module@$at\""
	done <"$work/modules"
	printf '],\n"dependencies": [{"ref": "%s", "dependsOn": [%s]}]}\n' "$self" "$refs"
}

rm -rf "$dist"
mkdir "$dist"
source_tree
archive "$name" -src
root=$work/root
for target in $TARGETS; do
	os=${target%/*} arch=${target#*/}
	tree=$work/$name-$os-$arch
	prefix "$os" "$arch"
	archive "$name-$os-$arch" ''
	case $target in
	linux/amd64)
		deb amd64
		rpm_package x86_64
		;;
	linux/arm64)
		deb arm64
		rpm_package aarch64
		;;
	esac
done
sbom >"$dist/$name.cdx.json"
(cd "$dist" && sha256sum -- * >SHA256SUMS.new && mv SHA256SUMS.new SHA256SUMS)
