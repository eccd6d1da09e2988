"""Packages: nothing starts, nothing is upgraded by surprise, nothing of others is removed."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import pytest
import testinfra

from tests.integration.component import HOSTS, all_changed, aside, each, install, on_hosts, shell

TOOL = {"name": "tool", "packages": ["lab-tool"]}
ABSENT = install(name="tool", state="absent")
SOURCES = "/etc/apt/sources.list.d"


@pytest.fixture(autouse=True)
def without_the_tool() -> Iterator[None]:
    yield
    aside(
        "rm -f /run/lab-slow /var/lib/koprogo/install/tool.json;"
        "dpkg --purge lab-other lab-tool lab-library 2>&1 | grep -v 'which isn.t installed' || true"
    )


def packages(host: testinfra.host.Host) -> str:
    """All that dpkg knows."""
    text: str = host.check_output("dpkg-query -W -f '${Package} ${Version} ${db:Status-Abbrev}\\n'")
    return text


def test_nothing_starts_and_nothing_stays_behind(host: testinfra.host.Host) -> None:
    """The exporter's package would start it on all interfaces."""
    rows = on_hosts(
        shell("ss -Hltn > /run/before"),
        install(name="blackbox", packages=["prometheus-blackbox-exporter"]),
        shell(
            "systemctl is-enabled prometheus-blackbox-exporter"
            " && ! systemctl is-active prometheus-blackbox-exporter"
            " && ss -Hltn | diff /run/before - && ! ls /usr/sbin/policy-rc.d*"
        ),
        install(name="blackbox", packages=["prometheus-blackbox-exporter"]),
        install(name="blackbox", state="absent"),
        shell("! test -e /usr/bin/prometheus-blackbox-exporter"),
    )
    for results in each(rows):
        assert all_changed(results) == [True, True, True, False, True, True]
    assert host.package("prometheus-node-exporter").is_installed


def test_a_pin_and_no_surprise() -> None:
    rows = on_hosts(
        install(**TOOL, version="1.0"),
        install(**TOOL),
        install(name="tool", packages=["lab-tool", "lab-other"]),
        shell("lab-tool"),
        install(**TOOL, version="1.1"),
        install(**TOOL, version="1.1"),
        shell("lab-tool"),
        install(**TOOL, version="1.0"),
        shell("lab-tool"),
    )
    for results in each(rows):
        assert all_changed(results) == [True, False, True, True, True, False, True, True, True]
        assert [results[n]["stdout"] for n in (3, 6, 8)] == [
            "lab-tool 1.0-1",
            "lab-tool 1.1-1",
            "lab-tool 1.0-1",
        ]
        assert (
            results[0]["diff"][0]["after"] == "package lab-library: 1.0\npackage lab-tool: 1.0-1\n"
        )


def test_a_version_that_nobody_has() -> None:
    for results in each(on_hosts(install(**TOOL, version="3"), shell("! command -v lab-tool"))):
        assert all_changed(results) == ["failed", True]
        assert results[0]["msg"] == (
            "tool_version: expected a version that the repositories offer, found 3; "
            "they offer 2.0-1, 1.1-1, 1.0-1 of lab-tool. Nothing was changed."
        )


def test_only_what_was_not_there_before_is_removed(host: testinfra.host.Host) -> None:
    before = packages(host)
    rows = on_hosts(
        install(**TOOL),
        ABSENT,
        ABSENT,
        shell("! command -v lab-tool && ! command -v lab-library"),
        # Somebody else's, from here on.
        shell("apt-get -y -qq install lab-library"),
        install(**TOOL),
        ABSENT,
        shell("lab-library && ! command -v lab-tool"),
        install(**TOOL),
        shell("apt-get -y -qq install lab-other"),
        ABSENT,
        shell("lab-tool && lab-other"),
    )
    for results in each(rows):
        assert all_changed(results) == [
            *(True, True, False, True),
            *(True, True, True, True),
            *(True, True, False, True),
        ]
        assert results[10]["kept"] == ["package lab-tool (lab-other needs it)"]
    aside("dpkg --purge lab-other lab-tool lab-library")
    assert packages(host) == before


def test_check_mode_predicts_the_run() -> None:
    predicted = on_hosts(install(**TOOL, version="1.1"), check=True)
    real = on_hosts(shell("! command -v lab-tool"), install(**TOOL, version="1.1"))
    for host in HOSTS:
        assert predicted[host][0]["diff"] == real[host][1]["diff"]
    for results in each(on_hosts(install(**TOOL, version="1.1"), check=True)):
        assert all_changed(results) == [False]


@pytest.fixture
def no_lists() -> Iterator[None]:
    """A fresh host: apt knows no package at all."""
    hide = "mv /var/lib/apt/lists /var/lib/apt/lists.hidden; mkdir -p /var/lib/apt/lists/partial"
    show = "rm -rf /var/lib/apt/lists; mv /var/lib/apt/lists.hidden /var/lib/apt/lists"
    aside(hide)
    yield
    aside(show)


@pytest.mark.usefixtures("no_lists")
def test_check_mode_on_a_fresh_host() -> None:
    for results in each(on_hosts(install(**TOOL), check=True)):
        assert all_changed(results) == [True]
        assert results[0]["diff"][0]["after"].endswith("(would be installed)\n")
        assert "no package lists yet" in results[0]["notes"][0]


@pytest.fixture
def no_mirror() -> Iterator[None]:
    """Every source is a server that refuses the connection."""
    # Debian 12 and 13 keep theirs in one place each: moving from the other one says that nothing is there.
    hide = (
        f"mkdir -p /opt/hidden; mv {SOURCES}/* /etc/apt/sources.list /opt/hidden/ 2>/dev/null || true;"
        f"echo 'deb http://127.0.0.1:1/debian stable main' > {SOURCES}/dead.list"
    )
    show = (
        f"rm {SOURCES}/dead.list; mv /opt/hidden/sources.list /etc/apt/ || true;"
        f"mv /opt/hidden/* {SOURCES}/"
    )
    aside(hide)
    yield
    aside(show)


@pytest.mark.usefixtures("no_lists", "no_mirror")
def test_an_unreachable_mirror(host: testinfra.host.Host) -> None:
    before = packages(host)
    began = time.monotonic()
    rows = on_hosts(install(name="blackbox", packages=["prometheus-blackbox-exporter"]))
    assert time.monotonic() - began < 60
    for results in each(rows):
        assert all_changed(results) == ["failed"]
        assert results[0]["msg"].startswith(
            "prometheus-blackbox-exporter could not be installed: the mirror "
        )
        assert "127.0.0.1:1" in results[0]["msg"]
        assert results[0]["msg"].endswith(
            "Give this host a mirror that it reaches, or set blackbox_install to archive or none."
        )
    assert packages(host) == before
    for results in each(on_hosts(shell("! ls /usr/sbin/policy-rc.d*"))):
        assert all_changed(results) == [True]


@pytest.mark.usefixtures("no_mirror")
def test_no_mirror_is_needed_where_nothing_is_missing() -> None:
    rows = on_hosts(install(name="node_exporter", packages=["prometheus-node-exporter"]))
    for results in each(rows):
        assert all_changed(results) == [False]


# The brackets keep the pattern from finding the shell that looks for it.
POSTINST = "[l]ab-.*postinst"


@pytest.mark.parametrize("victim", ["the module", "everything"])
def test_a_killed_run_is_healed_by_the_next(victim: str) -> None:
    """In the middle of the package's own configuration script."""
    aside("touch /run/lab-slow")
    # The module's interpreter is the parent of apt-get.
    kill = "kill -9 $(ps -o ppid= -p $(pgrep -x apt-get))"
    if victim == "everything":
        kill = f"{kill} $(pgrep -x apt-get) $(pgrep -x dpkg) $(pgrep -f '{POSTINST}')"
    wait = f"for n in $(seq 600); do pgrep -f '{POSTINST}' > /dev/null && break; sleep 0.1; done"
    killers = [
        subprocess.Popen(["docker", "exec", name, "sh", "-c", f"{wait}; {kill}"]) for name in HOSTS
    ]
    first = on_hosts(install(**TOOL))
    assert [killer.wait(timeout=90) for killer in killers] == [0, 0]
    rows = on_hosts(
        shell("rm -f /run/lab-slow; pkill -x sleep || true"),
        install(**TOOL),
        shell(
            'lab-tool && lab-library && ! ls /usr/sbin/policy-rc.d* && test -z "$(dpkg --audit)"'
        ),
        install(**TOOL),
        ABSENT,
        shell("! command -v lab-tool && ! command -v lab-library"),
    )
    for host in HOSTS:
        assert all_changed(first[host]) == ["failed"]
        outcome = all_changed(rows[host])
        # Where apt-get went on alone, there was nothing left to do.
        assert outcome[1] != "failed", rows[host]
        assert [outcome[0], *outcome[2:]] == [True, True, False, True, True]


def test_a_package_file(host: testinfra.host.Host) -> None:
    def package_file(version: str) -> dict[str, str]:
        path = f"/srv/packages/lab-tool_{version}_all.deb"
        return {"package_file": f"file://{path}", "package_file_sha256": digests[version]}

    # Packages are built on each host, so each has its own checksums.
    name = host.backend.get_hostname()
    digests = {
        version: host.check_output(f"sha256sum /srv/packages/lab-tool_{version}_all.deb").split()[0]
        for version in ("1.0-1", "2.0-1")
    }
    one, two = package_file("1.0-1"), package_file("2.0-1")
    wrong = {**one, "package_file_sha256": "0" * 64}
    only = {"when": f"inventory_hostname == '{name}'"}
    rows = on_hosts(
        {**install(**TOOL, **wrong), **only},
        {**install(**TOOL, **one), **only},
        {**install(**TOOL, **one), **only},
        {**install(**TOOL, **two), **only},
        {**shell("lab-tool"), **only},
        {**ABSENT, **only},
        {**shell("! command -v lab-tool; ls /var/lib/koprogo/install"), **only},
    )[name]
    assert all_changed(rows) == ["failed", True, False, True, True, True, True]
    assert "expected sha256 0000" in rows[0]["msg"]
    assert rows[4]["stdout"] == "lab-tool 2.0-1"
    assert "incoming" not in rows[6]["stdout"]
