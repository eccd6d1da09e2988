# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Build a complete set, and let the component's own checkers judge it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ansible_collections.koprogo.observability.plugins.module_utils import _io
from ansible_collections.koprogo.observability.plugins.module_utils._errors import ValidationError
from ansible_collections.koprogo.observability.plugins.module_utils._plan import (
    ROOT,
    Owners,
    Plan,
    Snapshot,
)
from ansible_collections.koprogo.observability.plugins.module_utils._run import (
    NOT_FOUND,
    Result,
    Runner,
)
from ansible_collections.koprogo.observability.plugins.module_utils._sets import Manifest, Store
from ansible_collections.koprogo.observability.plugins.module_utils._transaction_options import (
    MANIFEST,
    Check,
    Request,
)

__all__ = ["Verdict", "bytes_needed", "carry_late", "judge", "stage"]

# Enough for a message; the whole output is in the result.
_SHOWN_LINES = 30
_BLOCK = 4096


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether checkers ran over the set; ``reason`` says why they did not."""

    validated: bool
    reason: str = ""


def bytes_needed(request: Request) -> int:
    """Estimate what a set takes on the disk: whole blocks for files and directories."""
    files = sum(-(-len(wanted.data) // _BLOCK) * _BLOCK for wanted in request.files)
    return files + _BLOCK * (len(request.directories) + 2)


def stage(
    request: Request,
    plan: Plan,
    snapshot: Snapshot,
    owners: Owners,
    manifest: Manifest,
    *,
    source: str,
    folder: str,
    durable: bool,
) -> None:
    """Write the set into ``folder``, carrying foreign files over from ``source``.

    The directories belong to root alone until everything is in place, so nobody can slip
    something under the writer. A file whose content stays keeps its time of modification. With
    ``durable`` the set survives a power failure.
    """
    unchanged = {
        wanted.path: entry.changed_at
        for wanted in request.files
        if (entry := snapshot.entries.get(wanted.path)) is not None
        and entry.digest == _io.sha256(wanted.data)
    }
    _io.make_directory(folder, mode=0o700)
    foreign_directories = {
        path: entry for path, entry in plan.foreign.items() if entry.kind == "directory"
    }
    directories = sorted({*request.directories, *foreign_directories})
    for path in directories:
        _io.make_directory(f"{folder}/{path}", mode=0o700)
    for wanted in request.files:
        _io.create_file(
            f"{folder}/{wanted.path}",
            wanted.data,
            mode=wanted.mode,
            uid=owners.uid(wanted.owner),
            gid=owners.gid(wanted.group),
        )
        # systemd takes a newer drop-in for a changed one.
        if (changed_at := unchanged.get(wanted.path)) is not None:
            _io.set_changed_at(f"{folder}/{wanted.path}", changed_at)
    _carry(plan.foreign, source=source, folder=folder)
    _io.create_file(f"{folder}/{MANIFEST}", manifest.dump(), mode=0o600)
    uid, gid = owners.uid(request.owner), owners.gid(request.group)
    # The deepest first: once a directory has its owner, that one may change what is in it.
    for path in [*reversed(directories), ROOT]:
        entry = foreign_directories.get(path)
        _io.set_owner_and_mode(
            posixpath.normpath(f"{folder}/{path}"),
            mode=entry.mode if entry else request.directory_mode,
            uid=entry.uid if entry else uid,
            gid=entry.gid if entry else gid,
        )
    if durable:
        _sync(folder, [wanted.path for wanted in request.files], directories)


def carry_late(store: Store, snapshot: Snapshot, plan: Plan, manifest: Manifest) -> None:
    """Bring foreign files into the active set that appeared in the old one during the run."""
    if snapshot.active is None:
        return
    try:
        now = _io.scan(store.folder(snapshot.active))
    except OSError:
        return
    known = {*plan.foreign, *snapshot.entries, *manifest.files, *manifest.directories, MANIFEST}
    late = {path: entry for path, entry in sorted(now.items()) if path not in known}
    folder = store.folder(manifest.set_id)
    for path, entry in late.items():
        if entry.kind == "directory" and _io.lookup(f"{folder}/{path}") is None:
            _io.make_directory(f"{folder}/{path}", mode=0o700)
            _io.set_owner_and_mode(
                f"{folder}/{path}", mode=entry.mode, uid=entry.uid, gid=entry.gid
            )
    _carry(late, source=store.folder(snapshot.active), folder=folder)


def judge(
    request: Request,
    runner: Runner,
    *,
    folder: str,
    final: str,
    lenient: bool,
) -> Verdict:
    """Run the checkers on the staged set; raises ValidationError with their message.

    Messages show the set under its ``final`` name. With ``lenient`` (check mode) a checker that
    is not installed yet is a reason, not an error, and so is one that needs what the run makes first.
    """
    if not request.checks:
        return Verdict(validated=False, reason="no validate command is given")
    before = set(_io.scan(folder))
    reason = ""
    try:
        for check in request.checks:
            if lenient and (missing := [path for path in check.needs if _io.lookup(path) is None]):
                shown = " ".join(check.argv).replace("{set}", final)
                reason = f"'{shown}' cannot run yet: {missing[0]} does not exist"
                continue
            result = _run_check(check, runner, folder)
            shown = " ".join(result.argv).replace(folder, final)
            if result.rc == NOT_FOUND:
                said = result.output.replace(folder, final)
                if lenient:
                    return Verdict(validated=False, reason=f"'{shown}' cannot run yet: {said}")
                raise ValidationError(
                    f"{request.name}: the checker '{shown}' cannot run: {said}. Nothing was "
                    "changed. Install it, or correct the option validate.",
                    validator=_evidence(result, folder, final),
                )
            if not result.ok:
                raise ValidationError(
                    _refusal(request, result, shown, folder, final),
                    validator=_evidence(result, folder, final),
                )
    finally:
        _remove_extras(folder, before)
    return Verdict(validated=not reason, reason=reason)


def _run_check(check: Check, runner: Runner, folder: str) -> Result:
    return runner.run(
        [argument.replace("{set}", folder) for argument in check.argv],
        timeout=check.timeout,
        user=check.user,
        env={key: value.replace("{set}", folder) for key, value in check.env.items()},
        cwd=folder,
    )


def _refusal(request: Request, result: Result, shown: str, folder: str, final: str) -> str:
    output = result.output.replace(folder, final).strip()
    lines = output.splitlines()
    if len(lines) > _SHOWN_LINES:
        half = _SHOWN_LINES // 2
        output = "\n".join([*lines[:half], "[...]", *lines[-half:]])
    quoted = "\n".join(_offending_lines(request, output, final))
    text = output or "it printed nothing"
    return (
        f"{request.name}: the new configuration is refused by '{shown}' (exit code {result.rc}); "
        f"nothing was changed and the old one stays in use.\n{text}"
        + (f"\n{quoted}" if quoted else "")
    )


def _offending_lines(request: Request, output: str, final: str) -> Iterable[str]:
    """Quote the lines that a checker's message names, unless their file is secret.

    Parsers often stop one line too late, so the line before is quoted as well.
    """
    mask = request.masker().text
    names = {
        name: wanted
        for wanted in request.files
        for name in (f"{final}/{wanted.path}", posixpath.basename(wanted.path))
    }
    mentioned = {wanted.path for name, wanted in names.items() if name in output}
    for said in dict.fromkeys(output.splitlines()):
        numbers = re.findall(r"\bline:? (\d+)|[\w.]:(\d+)(?::\d+)?\b", said)
        # The longest name first: "up.yml" is also the end of "rules/up.yml".
        named = [names[name] for name in sorted(names, key=len, reverse=True) if name in said]
        if not named and len(mentioned) == 1:
            named = [wanted for wanted in request.files if wanted.path in mentioned]
        if not numbers or not named or named[0].secret:
            continue
        text = named[0].data.decode("utf-8", "replace").splitlines()
        last = int(numbers[0][0] or numbers[0][1])
        for number in (last - 1, last):
            if 0 < number <= len(text):
                yield mask(f"{named[0].path}:{number}: {text[number - 1].rstrip()}")


def _evidence(result: Result, folder: str, final: str) -> dict[str, object]:
    return {
        "argv": [argument.replace(folder, final) for argument in result.argv],
        "rc": result.rc,
        "stdout": result.stdout.replace(folder, final),
        "stderr": result.stderr.replace(folder, final),
    }


def _remove_extras(folder: str, before: set[str]) -> None:
    """A checker may leave caches behind; they are not part of the set."""
    after = _io.scan(folder)
    for path in sorted(set(after) - before, reverse=True):
        if after[path].kind == "directory":
            _io.remove_directory(f"{folder}/{path}")
        else:
            _io.remove_file(f"{folder}/{path}")


def _carry(foreign: Mapping[str, _io.Entry], *, source: str, folder: str) -> None:
    for path, entry in foreign.items():
        if entry.kind != "directory":
            try:
                _io.link_or_copy(f"{source}/{path}", f"{folder}/{path}", entry)
            except FileNotFoundError:
                # Its owner removed it meanwhile.
                continue


def _sync(folder: str, files: Iterable[str], directories: Iterable[str]) -> None:
    for path in (*files, MANIFEST):
        _io.sync_file(f"{folder}/{path}")
    for path in (*directories, "."):
        _io.sync_directory(f"{folder}/{path}")
