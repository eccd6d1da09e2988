#!/bin/sh
# The projects' release archives, made of what Debian's packages hold: <name>-<version>.linux-<arch>/<program>.
set -eu
rm -rf /var/tmp/archives
mkdir -p /var/tmp/archives
cd /var/tmp/archives
apt-get update -qq
arch=$(dpkg --print-architecture)

repack() { # name package program[=name in the package]...
    name=$1 package=$2
    shift 2
    apt-get download -qq "$package"
    dpkg-deb -x "$package"_*.deb unpacked
    version=$(dpkg-deb -f "$package"_*.deb Version | sed 's/^[0-9]*://; s/[-+].*//')
    folder=$name-$version.linux-$arch
    mkdir "$folder"
    for program in "$@"; do
        cp "unpacked/usr/bin/${program#*=}" "$folder/${program%%=*}"
    done
    # Debian's Alertmanager reads from here what the project's own has built in.
    [ ! -d unpacked/usr/share/prometheus ] || cp -r unpacked/usr/share/prometheus /usr/share/
    tar -czf "$name.tar.gz" "$folder"
    rm -rf "$folder" unpacked "$package"_*.deb
}

repack prometheus prometheus prometheus promtool
repack alertmanager prometheus-alertmanager alertmanager=prometheus-alertmanager amtool
repack node_exporter prometheus-node-exporter node_exporter=prometheus-node-exporter
repack blackbox_exporter prometheus-blackbox-exporter blackbox_exporter=prometheus-blackbox-exporter
repack postgres_exporter prometheus-postgres-exporter postgres_exporter=prometheus-postgres-exporter
repack sql_exporter prometheus-sql-exporter sql_exporter=prometheus-sql-exporter
