# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make demo`` and ``make demo-down``, as a user runs them: a part of ``make test``."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from lab.hosts import DEMO, HOSTS, LABEL
from lab.images import image_of
from lab.paths import ROOT
from lab.shell import LabError
from lab.tunnel import DOORS, check_ports, local_port, taken
from tests.integration.boxes import docker

# Named like the demo's own, and without its label.
FOREIGN = "koprogo-demo-theirs"
PORTS = {door.name: local_port(door) for door in DOORS}


def make(target: str) -> str:
    done = subprocess.run(
        ["make", target],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def labelled() -> list[str]:
    containers = docker("ps", "--all", "--filter", f"label={LABEL}", "--format", "{{.Names}}")
    networks = docker("network", "ls", "--filter", f"label={LABEL}", "--format", "{{.Name}}")
    return (containers + networks).split()


def ask(door: str, path: str) -> Any:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{PORTS[door]}{path}", timeout=20) as reply:
        return json.loads(reply.read())


@pytest.fixture(scope="module", autouse=True)
def nobody_elses() -> None:
    """A demo that somebody looks at stays."""
    if found := labelled():
        pytest.fail(
            f"A demo is there already ({', '.join(found)}), and this test would remove it:"
            " run `make demo-down`, then `make test S=demo`.",
            pytrace=False,
        )
    try:
        check_ports()
    except LabError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="module")
def theirs(nobody_elses: None) -> Iterator[None]:
    docker("network", "create", FOREIGN)
    docker(
        "run",
        "--detach",
        "--name",
        FOREIGN,
        "--network",
        FOREIGN,
        image_of("debian12"),
        "sleep",
        "infinity",
    )
    yield
    docker("rm", "--force", FOREIGN)
    docker("network", "rm", FOREIGN)


@pytest.fixture(scope="module")
def up(theirs: None) -> Iterator[str]:
    try:
        yield make("demo")
    finally:
        make("demo-down")


def test_it_ends_with_a_verified_stack_and_the_tunnel_leads_to_it(up: str) -> None:
    assert re.search(r"^\d+ ok, 0 failed, \d+ skipped$", up, re.MULTILINE), up
    targets = ask("Prometheus", "/api/v1/targets?state=active")["data"]["activeTargets"]
    assert {target["health"] for target in targets} == {"up"}
    assert {target["labels"]["host"] for target in targets} == {host.name for host in HOSTS}
    assert "koprogo-api" in ask("Loki", "/loki/api/v1/label/job/values")["data"]
    assert ask("Alertmanager", "/api/v2/status")["cluster"]["status"] in ("ready", "disabled")


def test_once_more_changes_nothing(up: str) -> None:
    again = make("demo")
    assert "they ran already" in again
    recap = again.split("PLAY RECAP")[1]
    assert re.findall(r"^(\w+) .*\bchanged=0 .*\bfailed=0 ", recap, re.MULTILINE) == sorted(
        host.name for host in HOSTS
    )


def test_down_takes_away_what_it_made_and_nothing_else(up: str) -> None:
    make("demo-down")
    assert labelled() == []
    assert not DEMO.exists()
    assert not (ROOT / "inventories" / "demo" / ".pki").exists()
    assert [name for name, port in PORTS.items() if taken(port)] == []
    assert subprocess.run(["pgrep", "-f", "--", "-M -S tunnel.sock"], check=False).returncode == 1
    assert docker("inspect", "-f", "{{.State.Running}}", FOREIGN).strip() == "true"
    assert docker("network", "inspect", "-f", "{{len .Containers}}", FOREIGN).strip() == "1"
    assert "There was nothing to remove" in make("demo-down")
