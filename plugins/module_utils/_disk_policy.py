# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Policies as options describe them: each names what may go, and an empty selector names nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.koprogo.observability.plugins.module_utils._disk_docker import (
    SOCKET,
    DockerPolicy,
    checked_volumes,
)
from ansible_collections.koprogo.observability.plugins.module_utils._disk_file_policy import (
    FilePolicy,
)
from ansible_collections.koprogo.observability.plugins.module_utils._disk_places import (
    Places,
    related,
    shown,
)
from ansible_collections.koprogo.observability.plugins.module_utils._disk_space import size_of
from ansible_collections.koprogo.observability.plugins.module_utils._errors import InputError

__all__ = ["KINDS", "POLICY_OPTIONS", "policies_of", "wrong_policy"]

#: Least valuable first: this order holds, whatever the order of the options.
KINDS = ("journal", "apt_cache", "logs", "docker", "backups", "docker_volumes")

POLICY_OPTIONS: dict[str, dict[str, Any]] = {
    "kind": {"type": "str", "required": True, "choices": list(KINDS)},
    "roots": {"type": "list", "elements": "str"},
    "patterns": {"type": "list", "elements": "str"},
    "older_than": {"type": "float"},
    "keep_newest": {"type": "int", "default": 3},
    "keep_by": {"type": "str", "choices": ["directory", "root"], "default": "directory"},
    "verified_suffix": {"type": "str", "default": ".verified"},
    "verified": {"type": "list", "elements": "str", "default": []},
    "truncate_open": {"type": "bool", "default": False},
    "truncate_above": {"type": "str", "default": "100M"},
    "volumes": {"type": "list", "elements": "str"},
    "socket": {"type": "path", "default": SOCKET},
    "max_bytes": {"type": "str"},
    "max_files": {"type": "int"},
}

_DAY = 86_400.0
# Where Debian and the product keep them: as logs, nothing would keep the newest.
_BACKUPS = "/var/backups"
_NAMED = {"journal": 7.0, "logs": 30.0, "backups": 7.0}
_FIXED = {
    "journal": (("/var/log/journal",), ("*@*.journal", "*.journal~")),
    "apt_cache": (("/var/cache/apt",), ("*.deb", "pkgcache.bin", "srcpkgcache.bin")),
}
_DOCKER = ("docker", "docker_volumes")
_TYPES = {
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "list": "a list of texts",
    "path": "a path",
    "str": "a text",
}


def wrong_policy(params: Mapping[str, Any]) -> str:
    """A sentence about the first that is no policy, of options as they were given; empty without one."""
    given = params.get("policies")
    for number, option in enumerate(given if isinstance(given, list) else ()):
        where = f"policies[{number}]"
        if not isinstance(option, Mapping):
            return f"{where}: expected a mapping with kind, found {_found(option)}."
        if option.get("kind") is None:
            return f"{where}.kind: expected one of {', '.join(KINDS)}, found none."
        for name, value in option.items():
            spec = POLICY_OPTIONS.get(name)
            if spec is None:
                known = ", ".join(POLICY_OPTIONS)
                return f"{where}: expected options out of {known}, found '{name}'."
            checked = ArgumentSpecValidator({name: spec}).validate({name: value})
            if value is not None and checked.error_messages:
                choices = spec.get("choices")
                wanted = f"one of {', '.join(choices)}" if choices else _TYPES[spec["type"]]
                return f"{where}.{name}: expected {wanted}, found {_found(value)}."
    return ""


def _found(value: Any) -> str:
    """A value of any type, short enough for a sentence."""
    text = value if isinstance(value, str) else repr(value)
    return f"'{text if len(text) <= 60 else f'{text[:60]}...'}'"


def policies_of(
    options: Sequence[Mapping[str, Any]], places: Places, *, max_bytes: str, max_files: int
) -> list[FilePolicy | DockerPolicy]:
    """The policies in the order in which they are applied; InputError before anything is touched.

    The caps are those of a policy that has none of its own.
    """
    if not options:
        raise InputError("policies: expected at least one, found none.")
    size_of(max_bytes, option="max_bytes")
    if max_files < 1:
        raise InputError(f"max_files: expected at least 1, found {max_files}.")
    made = [
        _policy(option, f"policies[{number}]", places, max_bytes=max_bytes, max_files=max_files)
        for number, option in enumerate(options)
    ]
    return sorted(made, key=lambda policy: KINDS.index(policy.kind))


def _policy(
    option: Mapping[str, Any], where: str, places: Places, *, max_bytes: str, max_files: int
) -> FilePolicy | DockerPolicy:
    kind = option["kind"]
    _fits(option, kind, where)
    given = option.get("max_bytes")
    most_bytes = size_of(max_bytes if given is None else given, option=f"{where}.max_bytes")
    if kind in _DOCKER:
        volumes = checked_volumes(option.get("volumes") or (), option=f"{where}.volumes")
        if kind == "docker_volumes" and not volumes:
            raise InputError(f"{where}.volumes: expected names of volumes, found none.")
        return DockerPolicy(
            name=where.replace("policies", kind),
            kind=kind,
            images=kind == "docker",
            build_cache=kind == "docker",
            volumes=volumes,
            socket=option["socket"],
            max_bytes=most_bytes,
        )
    files = option.get("max_files")
    if files is not None and files < 1:
        raise InputError(f"{where}.max_files: expected at least 1, found {files}.")
    backups = kind == "backups"
    roots, patterns = _selector(option, kind, where, places)
    return FilePolicy(
        name=where.replace("policies", kind),
        kind=kind,
        roots=roots,
        patterns=patterns,
        older_than=_age(option, kind, where),
        destructive=backups,
        keep_newest=_keep(option, where) if backups else 0,
        keep_by=option["keep_by"],
        verified_suffix=option["verified_suffix"] if backups else "",
        verified=tuple(option["verified"]) if backups else (),
        truncate_open=kind == "logs" and option["truncate_open"],
        truncate_above=size_of(option["truncate_above"], option=f"{where}.truncate_above"),
        max_bytes=most_bytes,
        max_files=max_files if files is None else files,
    )


def _fits(option: Mapping[str, Any], kind: str, where: str) -> None:
    """Refuse options that a kind doesn't have: they would be thought to work."""
    allowed = {
        "roots": ("logs", "backups"),
        "patterns": ("logs", "backups"),
        "older_than": tuple(_NAMED),
        "volumes": ("docker_volumes",),
        "max_files": (*_NAMED, "apt_cache"),
    }
    for name, kinds in allowed.items():
        if option.get(name) is not None and kind not in kinds:
            raise InputError(f"{where}.{name}: kind {kind} has no such option.")


def _selector(
    option: Mapping[str, Any], kind: str, where: str, places: Places
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if kind in _FIXED:
        return _FIXED[kind]
    roots, patterns = option.get("roots") or [], option.get("patterns") or []
    if not roots:
        raise InputError(f"{where}.roots: expected absolute paths, found none.")
    if not patterns:
        raise InputError(f"{where}.patterns: expected patterns of file names, found none.")
    for pattern in patterns:
        if not pattern.strip() or "/" in pattern or "\0" in pattern:
            raise InputError(
                f"{where}.patterns: expected a pattern of a file's name such as *.log, found '{pattern}'."
            )
    checked = sorted({places.check(root, option=f"{where}.roots") for root in roots})
    for root in checked:
        if kind == "logs" and (
            related(root, _BACKUPS) or related(os.path.realpath(root), _BACKUPS)
        ):
            raise InputError(
                f"{where}.roots: expected a folder of logs, found '{shown(root)}', from which the backups in "
                f"{_BACKUPS} can be reached. Kind backups keeps the newest of them."
            )
    # A root in another one would be seen twice.
    outer = [
        root
        for root in checked
        if not any(root != other and root.startswith(f"{other}/") for other in checked)
    ]
    return tuple(outer), tuple(dict.fromkeys(patterns))


def _age(option: Mapping[str, Any], kind: str, where: str) -> float:
    if kind not in _NAMED:
        return 0.0
    days = option.get("older_than")
    days = _NAMED[kind] if days is None else days
    if not 0 < days < 36_500:
        raise InputError(f"{where}.older_than: expected days above 0, found {days:g}.")
    return float(days) * _DAY


def _keep(option: Mapping[str, Any], where: str) -> int:
    keep: int = option["keep_newest"]
    if keep < 1:
        raise InputError(f"{where}.keep_newest: expected at least 1, found {keep}.")
    return keep
