"""Services: what runs is what is installed, and a crash loop is no success."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import pytest

from tests.integration.component import all_changed, aside, each, on_hosts, service, shell, verify

FOLDER = PurePosixPath("/etc/systemd/system")


def unit(name: str, *lines: str) -> dict[str, Any]:
    """Write a unit, and tell systemd."""
    text = "\n".join(["[Service]", *lines, "[Install]", "WantedBy=multi-user.target", ""])
    return shell(f"cat > {FOLDER}/lab-{name}.service << 'END'\n{text}END\nsystemctl daemon-reload")


@pytest.fixture(autouse=True)
def without_the_units() -> Iterator[None]:
    yield
    aside(
        "systemctl stop 'lab-*'; systemctl disable $(cd /etc/systemd/system && ls lab-*.service) || true;"
        f"rm -rf {FOLDER}/lab-* /etc/koprogo/lab /etc/koprogo/.sets/lab-*; systemctl daemon-reload;"
        "systemctl reset-failed"
    )


@pytest.mark.parametrize(
    "lines",
    [
        ("ExecStart=/bin/sh -c 'echo cannot bind; exit 3'",),
        ("ExecStart=/bin/sh -c 'echo cannot bind; exit 3'", "Restart=on-failure", "RestartSec=5"),
        (
            "ExecStart=/bin/sh -c 'echo cannot bind; sleep 0.4; exit 3'",
            "Restart=always",
            "RestartSec=0",
        ),
        ("Type=notify", "ExecStart=/bin/sh -c 'echo cannot bind; exit 3'"),
    ],
    ids=["dies", "restarts", "loops", "never ready"],
)
def test_a_service_that_dies_is_a_failure(lines: tuple[str, ...]) -> None:
    run = service("lab-dies.service", settle=1.0)
    rows = on_hosts(unit("dies", *lines), run, verify("lab-dies.service"))
    for results in each(rows):
        assert all_changed(results) == [True, "failed", "failed"]
        first, *rest = results[1]["msg"].splitlines()
        assert first.startswith("lab-dies.service ")
        assert "cannot bind" in " ".join(rest)
        assert results[2]["msg"].startswith("lab-dies.service is not as it should be: ")


def test_a_service_that_dies_a_little_later_is_found_by_what_verifies_it() -> None:
    later = unit("later", "ExecStart=/bin/sh -c 'echo cannot bind; sleep 0.8; exit 3'")
    rows = on_hosts(later, service("lab-later.service"), verify("lab-later.service"))
    for results in each(rows):
        assert all_changed(results) == [True, True, "failed"]
        assert results[2]["msg"].startswith(
            "lab-later.service is not as it should be: expected it to be active, found failed"
        )


def test_each_state_once_and_then_nothing() -> None:
    sleep = unit("one", "ExecStart=/bin/sleep infinity")
    one = service("lab-one.service")
    stop = service("lab-one.service", state="stopped", enabled=False)
    rows = on_hosts(
        *(sleep, one, one, shell("systemctl is-enabled lab-one && systemctl is-active lab-one")),
        *(stop, stop, shell("! systemctl is-enabled lab-one && ! systemctl is-active lab-one")),
        *(service("lab-nowhere.service", state="stopped"), service("lab-nowhere.service")),
        *(shell("systemctl mask --runtime lab-one"), one, one),
    )
    for results in each(rows):
        assert all_changed(results) == [
            *(True, True, False, True),
            *(True, False, True),
            *(False, "failed"),
            *(True, True, False),
        ]
        assert results[8]["msg"].startswith(
            "lab-nowhere.service: expected a unit of this name, found none."
        )


def test_check_mode() -> None:
    on_hosts(unit("one", "ExecStart=/bin/sleep infinity"))
    rows = on_hosts(
        service("lab-one.service"),
        service("lab-nowhere.service"),
        verify("lab-nowhere.service"),
        check=True,
    )
    for results in each(rows):
        assert all_changed(results) == [True, True, False]
        assert results[2]["notes"]
    for results in each(on_hosts(shell("! systemctl is-active lab-one"))):
        assert all_changed(results) == [True]


def test_what_runs_is_what_is_installed() -> None:
    """Each change on the disk means one restart, and only one."""
    copied = (
        "cp /bin/sleep /usr/local/bin/lab-new && mv /usr/local/bin/lab-new /usr/local/bin/lab-sleep"
    )
    drop_ins = f"{FOLDER}/lab-one.service.d"
    drop_in = f"mkdir -p {drop_ins} && printf '[Service]\\nNice=5\\n' > {drop_ins}/5.conf"
    one = service("lab-one.service")
    rows = on_hosts(
        shell(copied),
        unit("one", "ExecStart=/usr/local/bin/lab-sleep infinity"),
        *(one, one),
        *(shell(copied), one, one),
        # Not told to systemd.
        *(shell(drop_in), one, one),
        shell("test $(ps -o ni= -p $(systemctl show --value -p MainPID lab-one)) = 5"),
        *(shell(f"touch {FOLDER}/lab-one.service; systemctl daemon-reload"), one, one),
        # Told to systemd, but not to the process.
        *(shell(f"rm -r {FOLDER}/lab-one.service.d; systemctl daemon-reload"), one),
        shell("rm /usr/local/bin/lab-sleep"),
        one,
    )
    for results in each(rows):
        assert all_changed(results) == [
            *(True, True, True, False),
            *(True, True, False),
            *(True, True, False, True),
            *(True, True, False),
            # A file that is no longer there leaves no trace to see.
            *(True, False),
            # A restart would only kill it.
            *(True, False),
        ]
        assert results[5]["reasons"] == [
            "the running program /usr/local/bin/lab-sleep was replaced or removed"
        ]
        assert "5.conf changed at" in results[8]["reasons"][0]


def test_a_new_set_with_the_same_drop_in_is_no_reason() -> None:
    """A set carries unchanged files over as hard links: a reload of the daemon was enough."""
    sets, link = "/etc/koprogo/.sets/lab-", "/etc/koprogo/lab"
    drop_ins = f"{FOLDER}/lab-one.service.d"
    nice = "printf '[Service]\\nNice=%s\\n'"
    begin = (
        f"mkdir -p {sets}1 {drop_ins} && {nice} 5 > {sets}1/systemd.conf && ln -s .sets/lab-1 {link};"
        f"ln -s {link}/systemd.conf {drop_ins}/50-koprogo.conf; systemctl daemon-reload"
    )
    same = f"mkdir {sets}2 && ln {sets}1/systemd.conf {sets}2/ && ln -sfn .sets/lab-2 {link} && rm -r {sets}1"
    other = f"mkdir {sets}3 && {nice} 6 > {sets}3/systemd.conf && ln -sfn .sets/lab-3 {link}"
    one = service("lab-one.service")
    rows = on_hosts(
        *(unit("one", "ExecStart=/bin/sleep infinity"), shell(begin), one, one),
        *(shell(same), one),
        *(shell(other), one, one),
        shell("test $(ps -o ni= -p $(systemctl show --value -p MainPID lab-one)) = 6"),
    )
    for results in each(rows):
        assert all_changed(results) == [
            *(True, True, True, False),
            *(True, False),
            *(True, True, False, True),
        ]
