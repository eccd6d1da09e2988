# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Show what changes, as Ansible's ``--diff`` expects it, without showing secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils import _io
from ansible_collections.koprogo.observability.plugins.module_utils._accounts import (
    group_name,
    user_name,
)
from ansible_collections.koprogo.observability.plugins.module_utils._mask import (
    redacted,
    secret_values,
)
from ansible_collections.koprogo.observability.plugins.module_utils._plan import (
    ROOT,
    Plan,
    Snapshot,
)
from ansible_collections.koprogo.observability.plugins.module_utils._sets import Store
from ansible_collections.koprogo.observability.plugins.module_utils._transaction_options import (
    Request,
    WantedFile,
)

__all__ = ["make_diff"]

# Ansible itself shows no larger file either.
_LARGEST = 104448


def make_diff(
    request: Request, store: Store, snapshot: Snapshot, plan: Plan
) -> list[dict[str, Any]]:
    """Return one row of before and after for each file, directory and link that differs."""
    mask = request.masker().data
    wanted = {file.path: file for file in request.files}
    secret = {path for path, file in wanted.items() if file.secret}
    rows: list[dict[str, Any]] = []
    for path in sorted({*plan.added, *plan.changed, *plan.removed}):
        file, entry = wanted.get(path), snapshot.entries.get(path)
        shown = f"{store.link}/{path}"
        known = snapshot.manifest.files.get(path)
        hidden = path in secret or (known is not None and known.secret)
        before = _old_text(store, snapshot, path, entry)
        after = _new_text(file)
        if before != after:
            if hidden:
                before, after = _hide(before, "old"), _hide(after, "new")
            else:
                # The old ones too: whoever rotates a password may still have the old one in use.
                same = secret_values(before) & secret_values(after)
                before, after = redacted(before, "old", same), redacted(after, "new", same)
            rows.append(_row(shown, before, after))
        if entry is not None and file is not None:
            rows += _attributes(shown, entry, owner=file.owner, group=file.group, mode=file.mode)
    for path in plan.directories:
        entry = snapshot.root if path == ROOT else snapshot.entries.get(path)
        if entry is not None:
            shown = store.link if path == ROOT else f"{store.link}/{path}"
            rows += _attributes(
                shown, entry, owner=request.owner, group=request.group, mode=request.directory_mode
            )
    rows += _links(store, plan)
    masked: list[dict[str, Any]] = mask(rows)
    return masked


def _row(name: str, before: str, after: str) -> dict[str, Any]:
    return {"before_header": name, "after_header": name, "before": before, "after": after}


def _old_text(store: Store, snapshot: Snapshot, path: str, entry: _io.Entry | None) -> str:
    if entry is None or snapshot.active is None:
        return ""
    if entry.kind != "file":
        return f"({entry.kind}{' to ' + entry.target if entry.target else ''})\n"
    try:
        return _text(_io.read_bytes(f"{store.folder(snapshot.active)}/{path}"))
    except OSError:
        return "(not readable)\n"


def _new_text(file: WantedFile | None) -> str:
    return _text(file.data) if file is not None else ""


def _text(data: bytes) -> str:
    if len(data) > _LARGEST:
        return f"({len(data)} bytes, sha256 {_io.sha256(data)})\n"
    try:
        return data.decode()
    except UnicodeDecodeError:
        return f"(binary, {len(data)} bytes, sha256 {_io.sha256(data)})\n"


def _hide(text: str, which: str) -> str:
    return f"({which} content is secret)\n" if text else ""


def _attributes(
    name: str, entry: _io.Entry, *, owner: str, group: str, mode: int
) -> list[dict[str, Any]]:
    found: Mapping[str, str] = {
        "owner": user_name(entry.uid),
        "group": group_name(entry.gid),
        "mode": f"{entry.mode:04o}",
    }
    expected: Mapping[str, str] = {"owner": owner, "group": group, "mode": f"{mode:04o}"}
    different = [key for key in found if found[key] != expected[key]]
    if not different or entry.kind == "link":
        return []
    return [
        _row(
            f"{name} (attributes)",
            "".join(f"{key}: {found[key]}\n" for key in different),
            "".join(f"{key}: {expected[key]}\n" for key in different),
        )
    ]


def _links(store: Store, plan: Plan) -> list[dict[str, Any]]:
    rows = []
    for path in sorted(plan.links.touched()):
        entry = _io.lookup(path)
        before = f"-> {entry.target}\n" if entry is not None else ""
        if entry is not None and entry.kind == "file":
            before = _text(_io.read_bytes(path))
        relative = plan.links.wanted.get(path)
        after = f"-> {store.link_target(relative)}\n" if relative is not None else ""
        rows.append(_row(path, before, after))
    return rows
