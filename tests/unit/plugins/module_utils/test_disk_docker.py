# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of a Docker engine, over a real socket."""

from __future__ import annotations

import http.server
import json
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.module_utils._disk_docker import (
    Docker,
    DockerPolicy,
)
from ansible_collections.koprogo.observability.plugins.module_utils._disk_file_policy import (
    Freed,
)
from ansible_collections.koprogo.observability.plugins.module_utils._errors import ProbeError

USAGE = {
    "Images": [
        {"Id": "a", "Size": 500, "SharedSize": 100, "RepoTags": None, "Containers": 0},
        {"Id": "b", "Size": 50, "SharedSize": -1, "RepoTags": ["<none>:<none>"], "Containers": 0},
        {"Id": "c", "Size": 900, "SharedSize": 0, "RepoTags": [], "Containers": 1},
        {"Id": "d", "Size": 900, "SharedSize": 0, "RepoTags": ["x:1"], "Containers": 0},
    ],
    "BuildCache": [
        {"ID": "e", "Size": 30, "InUse": False, "Shared": False},
        {"ID": "f", "Size": 70, "InUse": True, "Shared": False},
    ],
    "Volumes": [
        {"Name": "old", "UsageData": {"Size": 10, "RefCount": 0}},
        {"Name": "pgdata", "UsageData": {"Size": 99, "RefCount": 1}},
    ],
}


class Engine(http.server.BaseHTTPRequestHandler):
    """A Docker engine's API."""

    asked: list[str]
    root: str
    usage: dict[str, Any]
    broken: str

    def answer(self) -> None:
        type(self).asked.append(f"{self.command} {self.path}")
        bodies: dict[str, Any] = {
            "/info": {"DockerRootDir": self.root},
            "/system/df": self.usage,
            "/images/prune": {"ImagesDeleted": [{"Deleted": "a"}], "SpaceReclaimed": 450},
            "/build/prune": {"CachesDeleted": ["e"], "SpaceReclaimed": 30},
        }
        path = self.path.split("?")[0]
        data = json.dumps(bodies.get(path, {})).encode()
        self.send_response(500 if path == self.broken else 200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = answer  # noqa: N815 - http.server's names

    def address_string(self) -> str:
        return "socket"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        return


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[type[Engine]]:
    handler = type(
        "Asked", (Engine,), {"asked": [], "root": str(tmp_path), "usage": USAGE, "broken": ""}
    )
    with socketserver.UnixStreamServer(str(tmp_path / "docker.sock"), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield handler
        server.shutdown()
        thread.join()


def worker(tmp_path: Path, **options: Any) -> Docker:
    rule = DockerPolicy(
        name="docker", kind="docker", socket=str(tmp_path / "docker.sock"), **options
    )
    return Docker(policy=rule, device=tmp_path.stat().st_dev)


def test_unused_images_and_cache_go_and_no_volume(engine: type[Engine], tmp_path: Path) -> None:
    docker = worker(tmp_path, images=True, build_cache=True)
    assert docker.why_not() == ""
    assert docker.plan().bytes == 400 + 50 + 30
    assert docker.execute().bytes == 480
    assert not any("volume" in line for line in engine.asked)
    assert "POST /images/prune?filters=%7B%22dangling%22%3A+%5B%22true%22%5D%7D" in engine.asked


def test_only_named_volumes_without_a_container_go(engine: type[Engine], tmp_path: Path) -> None:
    docker = worker(tmp_path, volumes=("old", "pgdata", "missing"))
    assert docker.policy.destructive
    assert docker.plan().bytes == 10
    assert docker.execute().files == 1
    assert [line for line in engine.asked if "DELETE" in line] == ["DELETE /volumes/old"]
    assert [row["reason"] for row in docker.skipped] == ["used_by_a_container", "missing"]
    assert not any("prune" in line for line in engine.asked)


def test_volumes_go_while_it_is_not_enough(engine: type[Engine], tmp_path: Path) -> None:
    docker = worker(tmp_path, volumes=("old",))
    docker.plan()
    assert docker.execute(enough=lambda: True).files == 0
    assert docker.skipped == [{"path": "volume old", "reason": "not_needed"}]
    assert not [line for line in engine.asked if "DELETE" in line]


def test_what_was_pruned_before_it_broke_off_is_counted(
    engine: type[Engine], tmp_path: Path
) -> None:
    docker = worker(tmp_path, images=True, build_cache=True)
    docker.plan()
    engine.broken, freed = "/build/prune", Freed()
    with pytest.raises(ProbeError, match="Docker answered 500 to POST /build/prune"):
        docker.execute(freed)
    assert freed.bytes == 450


def test_an_engine_of_today_lists_its_items_elsewhere(engine: type[Engine], tmp_path: Path) -> None:
    docker = worker(tmp_path, images=True, build_cache=True, volumes=("old",))
    before = docker.plan()
    names = {"Images": "ImageUsage", "BuildCache": "BuildCacheUsage", "Volumes": "VolumeUsage"}
    engine.usage = {names[kind]: {"Items": rows} for kind, rows in USAGE.items()}
    assert docker.plan() == before
    assert "GET /system/df?verbose=1" in engine.asked
    engine.usage = {"Layers": 1}
    with pytest.raises(ProbeError, match="expected Images or ImageUsage, found Layers"):
        docker.plan()


def test_a_cap_leaves_all(engine: type[Engine], tmp_path: Path) -> None:
    docker = worker(tmp_path, images=True, max_bytes=100)
    assert docker.plan().capped
    assert docker.execute().bytes == 0
    assert not any("prune" in line for line in engine.asked)


def test_an_engine_on_another_file_system_is_left_alone(
    engine: type[Engine], tmp_path: Path
) -> None:
    docker = worker(tmp_path, images=True)
    docker.device += 1
    assert docker.why_not() == "other_file_system"
