"""A real Docker engine on a host whose disk is full: what nothing uses goes, what something uses stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.remedy import BOXES, host_of, task

testinfra_hosts = ["ansible://database"]

BOX = BOXES[1]
FOLDER = "/srv/docker"

# Its data on a file system of its own, and no network: it only holds images and volumes.
SETTINGS = {"storage-driver": "vfs", "iptables": False, "bridge": "none", "data-root": FOLDER}
ENGINE = f"""
mkdir -p {FOLDER} /etc/docker && mount -t tmpfs -o size=200m tmpfs {FOLDER}
echo '{json.dumps(SETTINGS)}' > /etc/docker/daemon.json
apt-get update -q && apt-get install -qy --no-install-recommends docker.io docker-cli
systemctl start docker
"""

# Three images of which the third has the name, containers that hold the second and a volume, four volumes.
STATE = """
for n in 1 2 3; do
    mkdir -p /srv/image && head -c 10M /dev/urandom > /srv/image/data
    tar -C /srv/image -c . | docker import -c 'CMD ["/data"]' - app:1
    [ $n != 2 ] || docker create --name worker -v kept:/store app:1
done
docker volume create old && docker volume create other
head -c 10M /dev/urandom > /srv/docker/volumes/old/_data/dump
head -c 10M /dev/urandom > /srv/docker/volumes/other/_data/dump
rm -r /srv/image
"""


@pytest.fixture
def engine() -> Iterator[Any]:
    host = host_of(BOX)
    host.check_output(f"( {ENGINE} ) > /tmp/engine.log 2>&1 || (cat /tmp/engine.log; exit 1)")
    try:
        yield host
    finally:
        host.check_output(f"systemctl stop docker docker.socket containerd; umount {FOLDER}")


def held(engine: Any) -> set[str]:
    return set(engine.check_output("docker images -aq --no-trunc").split())


def test_what_nothing_uses_goes_and_a_volume_only_by_its_name(engine: Any) -> None:
    said = engine.check_output(f"set -e; {STATE}").split()
    images = [word for word in said if word.startswith("sha256:")]
    assert len(images) == 3
    task(BOX, "remediation_ledger", state="trusted", reason="provisioned")
    choice: dict[str, Any] = {
        "path": FOLDER,
        "free_percent": 85,
        "policies": [
            {"kind": "docker"},
            {"kind": "docker_volumes", "volumes": ["old", "kept", "nowhere"]},
        ],
    }
    predicted = task(BOX, "disk_reclaim", check=True, **choice)
    assert [row["status"] for row in predicted["policies"]] == ["planned", "planned"], predicted
    assert held(engine) == set(images)
    done = task(BOX, "disk_reclaim", **choice)
    assert done["changed"], done
    unnamed, volumes = done["policies"]
    assert (unnamed["status"], volumes["status"]) == ("done", "done"), done
    # The second is a container's, the third has the name.
    assert held(engine) == set(images[1:])
    left = engine.check_output("docker volume ls -q").split()
    assert sorted(left) == ["kept", "other"]
    reasons = {row["path"]: row["reason"] for row in volumes["skipped"]}
    assert reasons == {"volume kept": "used_by_a_container", "volume nowhere": "missing"}
    for row, before in zip(done["policies"], predicted["policies"], strict=True):
        assert 10_000_000 < row["freed"]["bytes"] < 11_000_000, row
        assert abs(row["freed"]["bytes"] - before["predicted"]["bytes"]) < 1_000_000
    again = task(BOX, "disk_reclaim", **choice)
    assert not again["changed"], again
