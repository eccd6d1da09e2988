#!/bin/sh
# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# apt reads all of its lists each time it is called: a second of a processor for all of Debian. Where tests
# call it often, only what is installed or in apt's cache stays in Debian's own lists.
set -eu
known=$(mktemp)
short=$(mktemp)
{
    dpkg-query -W -f '${Package}\n'
    find /var/cache/apt/archives -name '*.deb' -printf '%f\n' | sed 's/_.*//'
} > "$known"
for list in /var/lib/apt/lists/*_debian*_Packages; do
    [ -e "$list" ] || continue
    perl -00 -ne '
        BEGIN { local $/ = "\n"; open(my $names, "<", shift); %known = map { chomp; $_ => 1 } <$names> }
        print if /^Package: (\S+)$/m && $known{$1}
    ' "$known" "$list" > "$short"
    cp "$short" "$list"
done
rm -f "$known" "$short" /var/lib/apt/lists/*_Translation-*
