# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Compare what is wanted with what a host has. Reads only."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ansible_collections.koprogo.observability.plugins.module_utils import _io
from ansible_collections.koprogo.observability.plugins.module_utils._accounts import (
    find_group,
    find_user,
)
from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    ConflictError,
    InputError,
)
from ansible_collections.koprogo.observability.plugins.module_utils._sets import (
    Manifest,
    OwnedFile,
    Store,
)
from ansible_collections.koprogo.observability.plugins.module_utils._transaction_options import (
    Replaceable,
    Request,
    WantedFile,
    strongest,
)

__all__ = ["ROOT", "Links", "Owners", "Plan", "Snapshot", "is_ours", "look", "make_plan", "owned"]

# The directory of the set itself, as a key among relative paths.
ROOT = "."


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What is there: the active set, its entries by relative path, and who owns what."""

    active: str | None
    manifest: Manifest
    entries: Mapping[str, _io.Entry]
    root: _io.Entry | None


@dataclass(kw_only=True)
class Owners:
    """Numbers of users and groups; ``notes`` tells which ones do not exist yet."""

    strict: bool
    notes: list[str] = field(default_factory=list)
    _users: dict[str, int] = field(default_factory=dict)
    _groups: dict[str, int] = field(default_factory=dict)

    def uid(self, name: str, option: str = "owner") -> int:
        """Return the uid, or -1 in check mode for a user who does not exist yet."""
        if name not in self._users:
            self._users[name] = self._found(find_user(name), "user", name, option)
        return self._users[name]

    def gid(self, name: str, option: str = "group") -> int:
        """Return the gid, or -1 in check mode for a group that does not exist yet."""
        if name not in self._groups:
            self._groups[name] = self._found(find_group(name), "group", name, option)
        return self._groups[name]

    def _found(self, number: int | None, kind: str, name: str, option: str) -> int:
        if number is not None:
            return number
        if self.strict:
            raise InputError(
                f"{option}: the {kind} '{name}' does not exist on this host. "
                "Install the component first, or name an existing one."
            )
        self.notes.append(f"the {kind} '{name}' does not exist yet")
        return -1


@dataclass(frozen=True, kw_only=True)
class Links:
    """Links elsewhere: what to point to the set, and which old ones to take away."""

    wanted: Mapping[str, str]
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def touched(self) -> tuple[str, ...]:
        """Every link that is not as it should be."""
        return (*self.added, *self.changed, *self.removed)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run has to do. Paths are relative to the set; ``foreign`` is carried over."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    directories: tuple[str, ...] = ()
    foreign: Mapping[str, _io.Entry] = field(default_factory=dict)
    links: Links = field(default_factory=lambda: Links(wanted={}))
    action: str = "none"
    daemon_reload: bool = False

    @property
    def any(self) -> bool:
        """Whether anything differs."""
        return bool(
            self.added or self.changed or self.removed or self.directories or self.links.touched()
        )

    def kept_foreign(self) -> list[str]:
        """The files that are not ours, directories left out."""
        return sorted(path for path, entry in self.foreign.items() if entry.kind != "directory")


def look(store: Store, request: Request) -> Snapshot:
    """Take a snapshot of the active set; only files that the request names are read."""
    active = store.active()
    return Snapshot(
        active=active,
        manifest=store.manifest(active) or Manifest(),
        entries=store.scan(active, contents={wanted.path for wanted in request.files}),
        root=_io.lookup(store.folder(active)) if active else None,
    )


def make_plan(
    request: Request,
    store: Store,
    snapshot: Snapshot,
    owners: Owners,
    *,
    systemd: str,
) -> Plan:
    """Compare. Raises ConflictError where something that is not ours stands in the way.

    A changed link or a changed target of a link below the directory ``systemd`` asks for a
    daemon-reload.
    """
    added, changed, adopted = [], [], []
    actions = ["none"]
    for wanted in request.files:
        entry = snapshot.entries.get(wanted.path)
        if entry is not None and entry.kind == "directory":
            raise ConflictError(
                f"{store.link}/{wanted.path} is a directory, expected a file or nothing. "
                "Move it away and run again.",
                path=f"{store.link}/{wanted.path}",
            )
        if entry is None:
            added.append(wanted.path)
        elif differs(wanted, entry, owners):
            changed.append(wanted.path)
        elif wanted.path not in snapshot.manifest.files:
            adopted.append(wanted.path)
            continue
        else:
            continue
        actions.append(wanted.on_change)
    paths = {wanted.path for wanted in request.files}
    removed = [
        path for path in snapshot.manifest.files if path not in paths and path in snapshot.entries
    ]
    actions += [snapshot.manifest.files[path].on_change for path in removed]
    links = _plan_links(request, store, snapshot.manifest)
    touched = {*added, *changed, *removed}
    actions += [_link_action(link, request, links, snapshot.manifest) for link in links.touched()]
    return Plan(
        added=tuple(added),
        changed=(*changed, *adopted),
        removed=tuple(removed),
        directories=_wrong_directories(request, store, snapshot, owners),
        foreign=_foreign(request, store, snapshot),
        links=links,
        action=strongest(*actions),
        daemon_reload=_needs_daemon_reload(request.links, links, touched, systemd),
    )


def _link_action(link: str, request: Request, links: Links, manifest: Manifest) -> str:
    """Whom a link concerns: whoever its file concerns, now or before."""
    by_path = {wanted.path: wanted.on_change for wanted in request.files}
    by_path |= {
        path: file.on_change for path, file in manifest.files.items() if path not in by_path
    }
    return by_path.get(links.wanted.get(link) or manifest.links.get(link, ""), "restart")


def differs(wanted: WantedFile, entry: _io.Entry, owners: Owners) -> bool:
    """Whether content, owner, group or mode of a file are not as wanted."""
    return (
        entry.kind != "file"
        or entry.digest != _io.sha256(wanted.data)
        or entry.mode != wanted.mode
        or entry.uid != owners.uid(wanted.owner)
        or entry.gid != owners.gid(wanted.group)
    )


def owned(request: Request) -> dict[str, OwnedFile]:
    """Return the manifest's view of the wanted files."""
    return {
        wanted.path: OwnedFile(
            sha256=_io.sha256(wanted.data),
            mode=wanted.mode,
            owner=wanted.owner,
            group=wanted.group,
            on_change=wanted.on_change,
            secret=wanted.secret,
        )
        for wanted in request.files
    }


def _wrong_directories(
    request: Request, store: Store, snapshot: Snapshot, owners: Owners
) -> tuple[str, ...]:
    """Directories of ours whose owner or mode drifted; missing ones come with their files."""
    wrong = []
    for path in (ROOT, *request.directories):
        entry = snapshot.root if path == ROOT else snapshot.entries.get(path)
        uid, gid = owners.uid(request.owner), owners.gid(request.group)
        if entry is None:
            continue
        ours = path == ROOT or path in snapshot.manifest.directories
        if entry.kind != "directory" and path not in snapshot.manifest.files:
            raise ConflictError(
                f"{store.link}/{path} is a {entry.kind}, expected a directory or nothing. "
                "Move it away and run again.",
                path=f"{store.link}/{path}",
            )
        found = (entry.kind, entry.mode, entry.uid, entry.gid)
        if ours and found != ("directory", request.directory_mode, uid, gid):
            wrong.append(path)
    return tuple(wrong)


def _foreign(request: Request, store: Store, snapshot: Snapshot) -> dict[str, _io.Entry]:
    """What is in the active set and not ours, with the directories that it needs."""
    paths = {wanted.path for wanted in request.files}
    ours = {*snapshot.manifest.files, *snapshot.manifest.directories, *request.directories}
    foreign = {
        path: entry
        for path, entry in snapshot.entries.items()
        if path not in ours and path not in paths
    }
    for path in list(foreign):
        for parent in _parents(path):
            if parent in paths:
                raise ConflictError(
                    f"{store.link}/{parent} holds {path}, which is not ours, but a file of ours "
                    "has to go there. Move it away and run again.",
                    path=f"{store.link}/{path}",
                )
            if parent not in request.directories:
                foreign[parent] = snapshot.entries[parent]
    return dict(sorted(foreign.items()))


def _parents(path: str) -> Iterable[str]:
    parent = posixpath.dirname(path)
    while parent:
        yield parent
        parent = posixpath.dirname(parent)


def _plan_links(request: Request, store: Store, manifest: Manifest) -> Links:
    """Compare with the disk and with the active set.

    A run that was killed between the links and the exchange leaves links that are as wanted, but no service
    has heard of them yet.
    """
    added, changed = [], []
    for path, relative in request.links.items():
        _refuse_stranger(path, store, request.replaces.get(path))
        entry = _io.lookup(path)
        if entry is None:
            added.append(path)
        elif (entry.target, manifest.links.get(path)) != (store.link_target(relative), relative):
            changed.append(path)
    removed = [
        path
        for path in _links_ever_made(store)
        if path not in request.links and is_ours(path, store)
    ]
    return Links(
        wanted=dict(request.links),
        added=tuple(added),
        changed=tuple(changed),
        removed=tuple(sorted(removed)),
    )


def _links_ever_made(store: Store) -> set[str]:
    return {path for manifest in store.manifests() for path in manifest.links}


def is_ours(path: str, store: Store) -> bool:
    """Whether a path is a link to this component's set."""
    target = _io.read_link(path)
    return target is not None and (target == store.link or target.startswith(f"{store.link}/"))


def _refuse_stranger(path: str, store: Store, replaceable: Replaceable | None) -> None:
    """Refuse a link's path that something else occupies, or a parent that is no directory.

    A file that holds no more than is known of it may be replaced.
    """
    if path == store.base or path.startswith(f"{store.base}/"):
        raise InputError(
            f"links: {path} is below {store.base}; a link leads from elsewhere into it."
        )
    entry = _io.lookup(path)
    plain = entry is not None and entry.kind == "file"
    if replaceable and plain and _io.read_text(path) in replaceable.contents:
        return
    if entry is not None and not is_ours(path, store):
        points = f" to {entry.target}" if entry.kind == "link" else ""
        raise ConflictError(
            f"{path} is a {entry.kind}{points} that is not ours, expected nothing or a link to "
            f"{store.link}. {f'{replaceable.advice} ' if replaceable else ''}Move it away and run again.",
            path=path,
        )
    for parent in _parents(path):
        if parent == "/":
            break
        found = _io.lookup(parent)
        if found is not None and found.kind not in ("directory", "link"):
            raise ConflictError(
                f"{parent} is a {found.kind}, expected a directory for {path}. "
                "Move it away and run again.",
                path=parent,
            )


def _needs_daemon_reload(
    wanted: Mapping[str, str], links: Links, touched: set[str], systemd: str
) -> bool:
    below = f"{systemd}/"
    if any(link.startswith(below) for link in links.touched()):
        return True
    return any(link.startswith(below) and target in touched for link, target in wanted.items())
