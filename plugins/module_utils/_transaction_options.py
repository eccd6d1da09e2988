# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""The options of a configuration transaction, shared by the action plugin and the module."""

from __future__ import annotations

import base64
import json
import posixpath
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._errors import InputError
from ansible_collections.koprogo.observability.plugins.module_utils._mask import (
    Masker,
    secret_values,
)
from ansible_collections.koprogo.observability.plugins.module_utils._probe import (
    PROBE_OPTIONS,
    Probe,
    web_address,
)

__all__ = [
    "ARGUMENT_SPEC",
    "MANIFEST",
    "Check",
    "Reload",
    "Replaceable",
    "Request",
    "WantedFile",
    "pack",
    "strongest",
    "unpack",
]

MANIFEST = ".manifest.json"
# Shorter values that only look like secrets by their place would blank out unrelated words of a message.
_SHORTEST_SECRET = 8

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
    "mode": {"type": "raw", "default": "0640"},
    "directory_mode": {"type": "raw", "default": "0750"},
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "str", "required": True},
            "template": {"type": "str"},
            "content": {"type": "raw"},
            "on_change": {
                "type": "str",
                "default": "restart",
                "choices": ["none", "reload", "restart"],
            },
            "owner": {"type": "str"},
            "group": {"type": "str"},
            "mode": {"type": "raw"},
            # Not a secret itself: it says that the content is one.
            "secret": {"type": "bool", "default": False, "no_log": False},
        },
    },
    "links": {"type": "dict", "default": {}},
    "replaces": {"type": "dict", "default": {}},
    "secrets": {"type": "list", "elements": "str", "default": [], "no_log": True},
    "validate": {"type": "list", "elements": "raw", "default": []},
    "unit": {"type": "str"},
    "reload": {"type": "raw", "default": "systemctl"},
    "probe": {"type": "list", "elements": "dict", "default": [], "options": PROBE_OPTIONS},
    # The contents travel apart from the files, so that neither the journal of the host nor
    # the result repeats them.
    "contents": {"type": "str", "no_log": True},
}

_ACTIONS = ("none", "reload", "restart")
_CHECK_OPTIONS = ("argv", "user", "env", "timeout", "needs")
_RELOAD_OPTIONS = ("url", "method", "headers", "status", "timeout")


@dataclass(frozen=True, kw_only=True)
class WantedFile:
    """A file of the new set; ``path`` is relative to the set, ``mode`` holds permission bits."""

    path: str
    data: bytes
    on_change: str = "restart"
    mode: int = 0o640
    owner: str = "root"
    group: str = "root"
    secret: bool = False


@dataclass(frozen=True, kw_only=True)
class Check:
    """A command that judges the staged set; ``timeout`` in seconds, ``needs`` are paths outside the set."""

    argv: tuple[str, ...]
    user: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 60.0
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Reload:
    """How a daemon is told to read its files again: systemctl, sighup or url."""

    kind: str = "systemctl"
    url: str = ""
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200
    timeout: float = 30.0


@dataclass(frozen=True, kw_only=True)
class Replaceable:
    """A file that a link may replace: what it may hold, and what to do about one that holds more."""

    contents: tuple[str, ...]
    advice: str


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asked for, checked; nothing on the host was looked at yet."""

    name: str
    state: str = "present"
    owner: str = "root"
    group: str = "root"
    directory_mode: int = 0o750
    files: tuple[WantedFile, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    replaces: Mapping[str, Replaceable] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    unit: str | None = None
    reload: Reload = field(default_factory=Reload)
    probes: tuple[Probe, ...] = ()

    @property
    def directories(self) -> tuple[str, ...]:
        """The directories below the set that the files need, parents first."""
        found: set[str] = set()
        for wanted in self.files:
            parent = posixpath.dirname(wanted.path)
            while parent:
                found.add(parent)
                parent = posixpath.dirname(parent)
        return tuple(sorted(found))

    def masker(self) -> Masker:
        """Hide the given secrets, the contents of secret files, and secret options of other files."""
        found = list(self.secrets)
        for file in self.files:
            text = file.data.decode("utf-8", "replace")
            # What a daemon says of a secret file may be a password alone.
            found += (one for one in secret_values(text) if len(one) >= _SHORTEST_SECRET)
            if file.secret:
                found.append(text)
        return Masker(found)

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Request:
        """Check the module's options; raises InputError that names the option."""
        name = options["name"]
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
            raise InputError(
                "name: expected a component's name of lower-case letters, digits, _ and -, "
                f"found '{name}'."
            )
        mode = _mode(options["mode"], "mode")
        present = options["state"] == "present"
        contents = unpack(options.get("contents"))
        files = tuple(
            _file(item, index, options=options, mode=mode, contents=contents)
            for index, item in enumerate(options["files"] if present else [])
        )
        if present and not files:
            raise InputError("files: expected at least one file with state present, found none.")
        _refuse_clashes(files)
        unit = options.get("unit")
        if unit is not None and not re.fullmatch(r"[A-Za-z0-9:_.\\@-]+\.[a-z]+", unit):
            raise InputError(f"unit: expected a name like prometheus.service, found '{unit}'.")
        return cls(
            name=name,
            state=options["state"],
            owner=options["owner"],
            group=options["group"],
            directory_mode=_mode(options["directory_mode"], "directory_mode"),
            files=files,
            links=_links(options["links"], files) if present else dict(options["links"]),
            replaces=_replaces(options["replaces"], options["links"]),
            secrets=tuple(secret for secret in options["secrets"] if secret),
            checks=tuple(_check(item, index) for index, item in enumerate(options["validate"])),
            unit=unit,
            reload=_reload(options["reload"]),
            probes=tuple(
                Probe.from_options(item, where=f"probe[{index}]")
                for index, item in enumerate(options["probe"])
            ),
        )


def strongest(*actions: str) -> str:
    """Return the strongest of none, reload and restart."""
    return max(("none", *actions), key=_ACTIONS.index)


def pack(contents: Mapping[str, str]) -> str:
    """Make one short string of contents by path, for the way to the host."""
    return base64.b64encode(zlib.compress(json.dumps(contents).encode(), 6)).decode()


def unpack(packed: str | None) -> dict[str, str]:
    """Undo pack."""
    if not packed:
        return {}
    contents: dict[str, str] = json.loads(zlib.decompress(base64.b64decode(packed)))
    return contents


def _file(
    item: Mapping[str, Any],
    index: int,
    *,
    options: Mapping[str, Any],
    mode: int,
    contents: Mapping[str, str],
) -> WantedFile:
    path = _relative(item["path"], f"files[{index}].path")
    where = f"files[{index}] ({path})"
    content = contents.get(item["path"], item.get("content"))
    if not isinstance(content, str):
        raise InputError(f"{where}: expected template or content, found neither.")
    return WantedFile(
        path=path,
        data=content.encode("utf-8", "surrogateescape"),
        on_change=item["on_change"],
        mode=mode if item.get("mode") is None else _mode(item["mode"], f"{where}: mode"),
        owner=item.get("owner") or options["owner"],
        group=item.get("group") or options["group"],
        secret=item["secret"],
    )


def _relative(path: str, where: str) -> str:
    """Return a normalised path below the set."""
    parts = path.split("/")
    if not path or path.startswith("/") or ".." in parts or "\0" in path or path.endswith("/"):
        raise InputError(
            f"{where}: expected a path relative to the set, without '..', found '{path}'."
        )
    normal = posixpath.normpath(path)
    if normal in (".", MANIFEST):
        raise InputError(f"{where}: '{path}' cannot be the name of a file of the set.")
    return normal


def _refuse_clashes(files: Sequence[WantedFile]) -> None:
    paths = [file.path for file in files]
    for index, path in enumerate(paths):
        if path in paths[:index]:
            raise InputError(f"files[{index}].path: '{path}' is given twice; paths are unique.")
    taken = set(paths)
    for path in paths:
        parent = posixpath.dirname(path)
        while parent:
            if parent in taken:
                raise InputError(
                    f"files: '{parent}' is a file and also the directory of '{path}'; "
                    "rename one of them."
                )
            parent = posixpath.dirname(parent)


def _mode(value: Any, where: str) -> int:
    """Read an octal mode; a number is refused, since YAML turns 0640 into 416."""
    if not isinstance(value, str) or not re.fullmatch(r"0?[0-7]{3,4}", value):
        raise InputError(f"{where}: expected a quoted octal mode such as '0640', found {value!r}.")
    return int(value, 8)


def _links(links: Mapping[str, Any], files: Sequence[WantedFile]) -> dict[str, str]:
    folders = {"."}
    for file in files:
        parent = posixpath.dirname(file.path)
        while parent:
            folders.add(parent)
            parent = posixpath.dirname(parent)
    known = folders | {file.path for file in files}
    result = {}
    for path, target in links.items():
        if not str(path).startswith("/") or posixpath.normpath(path) != path:
            raise InputError(f"links: expected a plain absolute path, found '{path}'.")
        if not isinstance(target, str) or posixpath.normpath(target) not in known:
            raise InputError(
                f"links: {path} must point to a path in files, found '{target}'. "
                f"The set has: {', '.join(sorted(file.path for file in files)) or 'no files'}."
            )
        result[str(path)] = posixpath.normpath(target)
    return result


def _replaces(rows: Mapping[str, Any], links: Mapping[str, Any]) -> dict[str, Replaceable]:
    result = {}
    for path, row in rows.items():
        if path not in links:
            raise InputError(f"replaces: expected a path of links, found '{path}'.")
        if not isinstance(row, Mapping) or set(row) != {"contents", "advice"}:
            raise InputError(
                f"replaces: {path}: expected a dict with contents and advice, found {row!r}."
            )
        result[str(path)] = Replaceable(
            contents=tuple(map(str, row["contents"])), advice=str(row["advice"])
        )
    return result


def _check(item: Any, index: int) -> Check:
    where = f"validate[{index}]"
    options: Any = {"argv": item} if isinstance(item, list) else item
    if not isinstance(options, Mapping) or not isinstance(options.get("argv"), list):
        raise InputError(
            f"{where}: expected a list of arguments, or a dict with argv, found {item!r}."
        )
    if unknown := sorted(set(options) - set(_CHECK_OPTIONS)):
        raise InputError(
            f"{where}: unknown option {unknown[0]}, expected one of {', '.join(_CHECK_OPTIONS)}."
        )
    if not options["argv"]:
        raise InputError(f"{where}: argv is empty, expected at least the name of a program.")
    env = options.get("env") or {}
    if not isinstance(env, Mapping):
        raise InputError(f"{where}: env: expected a dict, found {env!r}.")
    needs = options.get("needs") or []
    if not isinstance(needs, list):
        raise InputError(f"{where}: needs: expected a list of paths, found {needs!r}.")
    return Check(
        argv=tuple(str(argument) for argument in options["argv"]),
        user=options.get("user"),
        env={str(key): str(value) for key, value in env.items()},
        timeout=_seconds(options.get("timeout", 60), f"{where}: timeout"),
        needs=tuple(str(path) for path in needs),
    )


def _reload(value: Any) -> Reload:
    if isinstance(value, str) and value in ("systemctl", "sighup"):
        return Reload(kind=value)
    if not isinstance(value, Mapping) or not isinstance(value.get("url"), str):
        raise InputError(f"reload: expected systemctl, sighup or a dict with url, found {value!r}.")
    if unknown := sorted(set(value) - set(_RELOAD_OPTIONS)):
        raise InputError(
            f"reload: unknown option {unknown[0]}, expected one of {', '.join(_RELOAD_OPTIONS)}."
        )
    web_address(value["url"], option="reload: url")
    try:
        status = int(value.get("status", 200))
    except (TypeError, ValueError):
        raise InputError(f"reload: status: expected a number, found {value['status']!r}.") from None
    return Reload(
        kind="url",
        url=value["url"],
        method=str(value.get("method", "POST")).upper(),
        headers={str(key): str(item) for key, item in (value.get("headers") or {}).items()},
        status=status,
        timeout=_seconds(value.get("timeout", 30), "reload: timeout"),
    )


def _seconds(value: Any, where: str) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = 0.0
    if seconds <= 0:
        raise InputError(f"{where}: expected seconds above 0, found {value!r}.")
    return seconds
