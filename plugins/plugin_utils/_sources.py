# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What components are to be installed from: files of the control node are judged here, the rest by the host.

This file is private to the collection.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError

from ansible_collections.koprogo.observability.plugins.module_utils._archive import (
    host_architecture,
)
from ansible_collections.koprogo.observability.plugins.module_utils._errors import KoprogoError
from ansible_collections.koprogo.observability.plugins.module_utils._fetch import (
    is_url,
    parse_sha256,
    pick,
    refuse_userinfo,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._catalogue import (
    role_defaults,
    role_vars,
    setting,
)

__all__ = ["downloads", "selects", "source_errors", "vendors"]

Finder = Callable[[str, str], str]


def _found(path: str, find: Finder) -> Path | None:
    given = Path(path).expanduser()
    if given.is_absolute():
        return given if given.is_file() else None
    try:
        return Path(find("files", path))
    except AnsibleError:
        return None


def selects(task_vars: Mapping[str, Any], tags: Iterable[str]) -> bool:
    """Whether this run's C(--tags) and C(--skip-tags) select a task with these tags, or one without any."""
    own = {*tags}
    run, skip = ({*task_vars.get(f"ansible_{what}_tags", [])} for what in ("run", "skip"))
    kinds = {"all", "tagged" if own else "untagged"}
    return bool((own | kinds) & (run or {"all"})) and not (own | kinds) & skip


def _source(
    role: str, variables: Mapping[str, Any], task_vars: Mapping[str, Any]
) -> tuple[str, str, str] | None:
    """The option of the archive or package file for this host, its path or URL, and its checksum."""
    kind = {"archive": "archive", "package": "package_file"}.get(
        setting(variables, role, "install")
    )
    option = f"{role}_{kind}"
    given, checksum = (setting(variables, role, f"{kind}{end}") for end in ("", "_sha256"))
    if kind is None or not given or not checksum:
        return None
    machine = host_architecture(task_vars.get("ansible_facts", {}).get("architecture", ""))
    digest = pick(checksum, architecture=machine, option=f"{option}_sha256")
    return (
        option,
        pick(given, architecture=machine, option=option),
        parse_sha256(digest, option=f"{option}_sha256"),
    )


def downloads(
    role: str, variables: Mapping[str, Any], task_vars: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The file that the host fetches for a component itself, as the module preflight wants it.

    All options were judged before.
    """
    source = _source(role, variables, task_vars)
    if source is None or not is_url(source[1]):
        return []
    option, url, digest = source
    return [{"component": role, "option": option, "url": url, "sha256": digest}]


def vendors(
    role: str, variables: Mapping[str, Any], task_vars: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """What packages come from beside the distribution's release, as the module preflight wants it.

    That is a vendor's repository, or the backports of the host's release.
    """
    by_package = setting(variables, role, "install") == "package"
    if not by_package or setting(variables, role, "package_file"):
        return []
    common = {
        "packages": role_vars(role)[f"__{role}_packages"],
        "version": setting(variables, role, "version"),
    }
    release = task_vars.get("ansible_facts", {}).get("distribution_release", "unknown")
    suite = role_vars(role).get(f"__{role}_backports_suite", "")
    if suite.startswith(f"{release}-"):
        return [{**common, "option": f"{role}_install", "suites": suite}]
    repository = role_vars(role).get(f"__{role}_repository")
    uri = setting(variables, role, "repository")
    if not repository or not uri:
        return []
    return [
        {
            **common,
            "option": f"{role}_repository",
            "name": repository["name"],
            "uri": uri,
            "suites": repository["suites"],
            "key": setting(variables, role, "repository_key"),
        }
    ]


def source_errors(
    role: str, variables: Mapping[str, Any], task_vars: Mapping[str, Any], find: Finder
) -> list[str]:
    """One sentence for each file that is missing or not the one that its checksum announces.

    variables: the host's templated ones. task_vars: for the host's architecture. find: as an action's
    C(_find_needle). What a URL leads to is judged by the host that fetches it.
    """
    try:
        if f"{role}_repository" in role_defaults(role):
            refuse_userinfo(
                str(setting(variables, role, "repository") or ""), option=f"{role}_repository"
            )
        source = _source(role, variables, task_vars)
    except KoprogoError as error:
        return [str(error)]
    if source is None or is_url(source[1]):
        return []
    option, path, expected = source
    file = _found(path, find)
    if file is None:
        # A relative one may be among the files of the role, which are searched when it runs.
        relative = not Path(path).expanduser().is_absolute()
        return (
            [] if relative else [f"{option}: expected a file of the control node, found no {path}"]
        )
    with file.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found == expected:
        return []
    return [f"{option}_sha256: expected the checksum of {path}, which is {found}, found {expected}"]
