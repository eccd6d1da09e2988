# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Unused images, build cache and named volumes of a Docker engine, asked through its socket.

No client program is needed. A prune of everything with volumes deletes the data of every stopped
database container: volumes go one by one, by name, and only those that no container has.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import stat
import urllib.parse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._disk_file_policy import (
    Freed,
)
from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    InputError,
    ProbeError,
)

__all__ = ["SOCKET", "Docker", "DockerPolicy"]

SOCKET = "/var/run/docker.sock"
_LIMIT = 64 * 1024 * 1024


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass(frozen=True, kw_only=True)
class DockerPolicy:
    """What may go. C(volumes) are names; without one no volume is touched."""

    name: str
    kind: str
    images: bool = False
    build_cache: bool = False
    volumes: tuple[str, ...] = ()
    socket: str = SOCKET
    max_bytes: int | None = None

    @property
    def destructive(self) -> bool:
        """Whether data may go."""
        return bool(self.volumes)


@dataclass(kw_only=True)
class Docker:
    """One policy at work; ``device`` is the file system that is to be freed."""

    policy: DockerPolicy
    device: int
    timeout: float = 300.0
    skipped: list[dict[str, str]] = field(default_factory=list)
    removed: list[dict[str, Any]] = field(default_factory=list)
    chosen: list[dict[str, Any]] = field(default_factory=list)

    def why_not(self) -> str:
        """Why nothing can be freed here: C(no_docker), C(other_file_system); empty if it can."""
        try:
            if not stat.S_ISSOCK(os.stat(self.policy.socket).st_mode):
                return "no_docker"
            root = self.ask("GET", "/info")["DockerRootDir"]
            if os.stat(root).st_dev != self.device:
                return "other_file_system"
        except (OSError, ProbeError, KeyError, TypeError):
            return "no_docker"
        return ""

    def ask(self, method: str, path: str, **query: Any) -> Any:
        """One request; ProbeError for anything but success."""
        parameters = {key: json.dumps(value) for key, value in query.items()}
        target = f"{path}?{urllib.parse.urlencode(parameters)}" if query else path
        connection = _Connection(self.policy.socket, self.timeout)
        try:
            connection.request(method, target)
            answer = connection.getresponse()
            body = answer.read(_LIMIT)
            status = answer.status
        except (OSError, http.client.HTTPException) as error:
            raise ProbeError(f"Docker does not answer at {self.policy.socket}: {error}") from error
        finally:
            connection.close()
        if status >= 300:
            text = body.decode("utf-8", "replace").strip()[:300]
            raise ProbeError(f"Docker answered {status} to {method} {path}: {text}")
        try:
            return json.loads(body) if body.strip() else {}
        except ValueError as error:
            raise ProbeError(f"Docker answered no JSON to {method} {path}.") from error

    def plan(self) -> Freed:
        """What would go. Layers that images share make it an estimate."""
        usage = self.ask("GET", "/system/df", verbose=1)
        self.chosen = []
        if self.policy.images:
            self.chosen += _dangling(_rows(usage, "Images", "ImageUsage"))
        if self.policy.build_cache:
            self.chosen += [
                {
                    "kind": "build_cache",
                    "name": str(row.get("ID")),
                    "bytes": int(row.get("Size", 0)),
                }
                for row in _rows(usage, "BuildCache", "BuildCacheUsage")
                if not row.get("InUse") and not row.get("Shared")
            ]
        if self.policy.volumes:
            self.chosen += self._volumes(_rows(usage, "Volumes", "VolumeUsage"))
        freed = Freed(bytes=sum(row["bytes"] for row in self.chosen), files=len(self.chosen))
        if self.policy.max_bytes is not None and freed.bytes > self.policy.max_bytes:
            # A prune is all or nothing.
            self.skipped.append({"path": "docker", "reason": "over_the_cap"})
            self.chosen = []
            return Freed(capped=True)
        return freed

    def _volumes(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        known = {row.get("Name"): row.get("UsageData") or {} for row in rows}
        chosen = []
        for name in self.policy.volumes:
            if name not in known:
                self.skipped.append({"path": f"volume {name}", "reason": "missing"})
            elif known[name].get("RefCount", 1) != 0:
                self.skipped.append({"path": f"volume {name}", "reason": "used_by_a_container"})
            else:
                size = max(0, int(known[name].get("Size", 0)))
                chosen.append({"kind": "volume", "name": name, "bytes": size})
        return chosen

    def execute(
        self, freed: Freed | None = None, enough: Callable[[], bool] = lambda: False
    ) -> Freed:
        """Prune what was chosen; the engine says what that freed, which is counted in ``freed`` as it goes.

        Volumes go while it is not C(enough).
        """
        freed = Freed() if freed is None else freed
        kinds = {row["kind"] for row in self.chosen}
        if "image" in kinds:
            answer = self.ask("POST", "/images/prune", filters={"dangling": ["true"]})
            rows = [row for row in answer.get("ImagesDeleted") or () if row.get("Deleted")]
            self._done(freed, "images", len(rows), answer)
        if "build_cache" in kinds:
            answer = self.ask("POST", "/build/prune")
            self._done(freed, "build_cache", len(answer.get("CachesDeleted") or ()), answer)
        for row in self.chosen:
            if row["kind"] == "volume" and enough():
                self.skipped.append({"path": f"volume {row['name']}", "reason": "not_needed"})
            elif row["kind"] == "volume":
                self.ask("DELETE", f"/volumes/{urllib.parse.quote(row['name'], safe='')}")
                self._done(freed, f"volume {row['name']}", 1, {"SpaceReclaimed": row["bytes"]})
        return freed

    def _done(self, freed: Freed, what: str, count: int, answer: dict[str, Any]) -> None:
        size = int(answer.get("SpaceReclaimed") or 0)
        freed.bytes += size
        freed.files += count
        self.removed.append({"path": what, "bytes": size, "count": count})


def _rows(usage: dict[str, Any], before: str, since: str) -> Sequence[dict[str, Any]]:
    """The rows of one kind, in the form that the API had before 1.52 or in the one that it has since."""
    if before in usage:
        return usage[before] or ()
    if since in usage:
        return (usage[since] or {}).get("Items") or ()
    raise ProbeError(
        f"Docker's answer to /system/df: expected {before} or {since}, found {', '.join(usage) or 'nothing'}."
    )


def _dangling(images: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Images without a name that no container has."""
    return [
        {
            "kind": "image",
            "name": str(row.get("Id")),
            "bytes": max(0, int(row.get("Size", 0)) - max(0, int(row.get("SharedSize", 0)))),
        }
        for row in images
        if not [tag for tag in row.get("RepoTags") or () if tag != "<none>:<none>"]
        and row.get("Containers", 0) == 0
    ]


def checked_volumes(names: Sequence[str], *, option: str) -> tuple[str, ...]:
    """Names of volumes; InputError for an empty one or a pattern."""
    for name in names:
        if not str(name).strip() or any(sign in str(name) for sign in "*?[]/ "):
            raise InputError(f"{option}: expected the name of one volume, found '{name}'.")
    return tuple(dict.fromkeys(names))
