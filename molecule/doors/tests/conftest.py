"""The hosts of the scenario, and a stranger on their networks."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.integration.boxes import Box, docker

NETWORK = "koprogo-molecule-doors"
NETWORK6 = "koprogo-molecule-doors6"
# Facts of an earlier scenario's hosts of the same names would be believed.
os.environ["ANSIBLE_CACHE_PLUGIN"] = "memory"


@pytest.fixture(scope="session")
def mon() -> Box:
    """The monitoring host."""
    return Box("doors-mon1")


@pytest.fixture(scope="session")
def db() -> Box:
    """A known host that doesn't monitor."""
    return Box("doors-db1")


@pytest.fixture(scope="session")
def stranger(mon: Box, db: Box) -> Iterator[Box]:
    """A host on the same networks that the inventory doesn't know, with a stolen certificate."""
    box = Box("doors-stranger")
    docker("rm", "--force", box.name, check=False)
    docker("network", "rm", NETWORK6, check=False)
    docker("network", "create", "--internal", "--ipv6", "--subnet=fd00:d0::/64", NETWORK6)
    image = docker("inspect", "--format", "{{ .Config.Image }}", mon.name).strip()
    start = ("run", "--detach", "--pull=never", f"--name={box.name}", f"--network={NETWORK}")
    try:
        docker(*start, "--label=koprogo.lab=molecule", image, "sleep", "infinity")
        for number, one in ((11, mon), (12, db), (99, box)):
            docker("network", "connect", f"--ip6=fd00:d0::{number}", NETWORK6, one.name)
        for path in ("/etc/koprogo/pki", "/var/lib/koprogo/pki"):
            box.sh(f"mkdir -p {path}")
            for name in mon.sh(f"ls {path}").split():
                content = mon.sh(f"cat {path}/{name}")
                docker("exec", "-i", box.name, "sh", "-c", f"cat > {path}/{name}", stdin=content)
        yield box
    finally:
        docker("rm", "--force", box.name, check=False)
        for one in (mon, db):
            docker("network", "disconnect", "--force", NETWORK6, one.name, check=False)
        docker("network", "rm", NETWORK6, check=False)
