#!/bin/sh
# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes a package repository in the folder $1, with the tools that every Debian has, and tells apt of it:
# lab-tool 1.0, 1.1 and 2.0, which needs lab-library; lab-other, which needs lab-tool.
set -eu
target=$1
work=$(mktemp -d)
mkdir -p "$target"

build() { # name version dependencies
    root=$work/$1-$2
    mkdir -p "$root/DEBIAN" "$root/usr/bin"
    printf '#!/bin/sh\necho %s %s\n' "$1" "$2" > "$root/usr/bin/$1"
    chmod 0755 "$root/usr/bin/$1"
    cat > "$root/DEBIAN/control" << CONTROL
Package: $1
Version: $2
Architecture: all
Maintainer: The lab <lab@example.org>
Description: for tests
CONTROL
    [ -z "$3" ] || echo "Depends: $3" >> "$root/DEBIAN/control"
    # A test may make the configuration slow, to kill a run in the middle of it.
    printf '#!/bin/sh\n[ ! -e /run/lab-slow ] || sleep 20\n' > "$root/DEBIAN/postinst"
    chmod 0755 "$root/DEBIAN/postinst"
    dpkg-deb --build --root-owner-group "$root" "$target/$1_$2_all.deb" > /dev/null
}

build lab-library 1.0 ""
build lab-tool 1.0-1 lab-library
build lab-tool 1.1-1 lab-library
build lab-tool 2.0-1 lab-library
build lab-other 1.0 lab-tool

cd "$target"
for file in *.deb; do
    dpkg-deb -f "$file"
    echo "Filename: ./$file"
    echo "Size: $(stat -c %s "$file")"
    echo "SHA256: $(sha256sum "$file" | cut -d' ' -f1)"
    echo
done > Packages
echo "deb [trusted=yes] file:$target ./" > /etc/apt/sources.list.d/lab.list
apt-get update -qq -o Dir::Etc::SourceList=/etc/apt/sources.list.d/lab.list -o Dir::Etc::SourceParts=- \
    -o APT::Get::List-Cleanup=false
rm -r "$work"
