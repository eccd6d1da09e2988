# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""What an archive needs around it and a package would bring: user, folders, links, unit."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ansible_collections.koprogo.observability.plugins.module_utils import _accounts, _io
from ansible_collections.koprogo.observability.plugins.module_utils._errors import ConflictError
from ansible_collections.koprogo.observability.plugins.module_utils._outcome import Outcome
from ansible_collections.koprogo.observability.plugins.module_utils._record import Places, Record
from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner
from ansible_collections.koprogo.observability.plugins.module_utils._systemd import Systemd
from ansible_collections.koprogo.observability.plugins.module_utils._tree import Tree

__all__ = ["Layout"]


class Layout:
    """Makes and removes a component's surroundings; each method notes what it changes."""

    def __init__(
        self,
        record: Record,
        places: Places,
        tree: Tree,
        *,
        runner: Runner,
        systemd: Systemd,
        check: bool,
    ) -> None:
        """With ``check`` nothing is touched."""
        self._record = record
        self._places = places
        self._tree = tree
        self._runner = runner
        self._systemd = systemd
        self._check = check

    def own_user(self, user: str, group: str, outcome: Outcome) -> None:
        """Create the system user and its group, where they do not exist."""
        if not user or _accounts.find_user(user) is not None:
            return
        outcome.change(f"user {user}", "absent", "system user without a login")
        if self._check:
            return
        group = group or user
        if _accounts.find_group(group) is None:
            self._runner.run(["groupadd", "--system", "--", group], check=True)
        options = ["--system", "--gid", group, "--no-create-home", "--home-dir", "/nonexistent"]
        self._runner.run(
            ["useradd", *options, "--shell", "/usr/sbin/nologin", "--", user], check=True
        )
        self._record.user = user
        self._record.save(self._places)

    def own_directories(
        self, paths: Sequence[str], user: str, group: str, outcome: Outcome
    ) -> None:
        """Create data directories with their owner; an existing one only gets the owner."""
        uid = _accounts.find_user(user or "root")
        gid = _accounts.find_group(group or user or "root")
        for name in paths:
            path = self._places.on_host(name)
            owner = f"{user or 'root'}:{group or user or 'root'}"
            if path.is_dir():
                if path.is_symlink() and path.lstat().st_uid:
                    # Whoever made it would be given what it leads to.
                    raise ConflictError(
                        f"{name}: expected a directory, found a link that user "
                        f"{_accounts.user_name(path.lstat().st_uid)} has made. Move it away."
                    )
                info = path.stat()
                if (info.st_uid, info.st_gid) == (uid, gid):
                    continue
                before = f"{_accounts.user_name(info.st_uid)}:{_accounts.group_name(info.st_gid)}"
                outcome.change(f"directory {name}", before, owner)
                if not self._check:
                    _io.set_owner_and_mode(
                        str(path.resolve()),
                        mode=stat.S_IMODE(info.st_mode),
                        uid=uid or 0,
                        gid=gid or 0,
                    )
                continue
            if _io.lookup(str(path)) is not None:
                raise ConflictError(
                    f"{name}: expected a directory, found something else. Move it away."
                )
            outcome.change(f"directory {name}", "absent", f"{owner} 0750")
            if not self._check:
                path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
                _io.make_directory(str(path), mode=0o750)
                _io.set_owner_and_mode(str(path), mode=0o750, uid=uid or 0, gid=gid or 0)
                self._record.directories = sorted({*self._record.directories, name})
                self._record.save(self._places)

    def link(self, binaries: Mapping[str, str], outcome: Outcome) -> None:
        """Make the links to the programs, and remove those that are no longer wanted."""
        wanted = sorted(binaries.values())
        for link in wanted:
            path = self._places.on_host(link)
            target = self._tree.link_target(link)
            found = _io.read_link(str(path))
            if found == target:
                continue
            if path.is_dir() and found is None:
                raise ConflictError(
                    f"{link}: expected a place for a link, found a directory. Move it away."
                )
            outcome.change(
                f"link {link}", found or ("a file" if path.exists() else "absent"), target
            )
            if not self._check:
                self._record.links = sorted({*self._record.links, link})
                self._record.save(self._places)
                self._set_aside(link)
                path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
                _io.make_link(target, str(path))
        for link in sorted(set(self._record.links) - set(wanted)):
            self._unlink(link, outcome)
        if not self._check and self._record.links != wanted:
            self._record.links = wanted
            self._record.save(self._places)

    def write_unit(self, name: str, content: str, outcome: Outcome) -> None:
        """Write the base unit if its content differs, and tell systemd."""
        data = content if content.endswith("\n") else content + "\n"
        path = self._places.units / name
        entry = _io.lookup(str(path))
        before = _io.read_text(str(path)) if entry is not None and entry.kind == "file" else None
        if before == data and entry is not None and entry.mode == 0o644:
            return
        outcome.change_file(f"/etc/systemd/system/{name}", before or "", data)
        if self._check:
            return
        if not self._record.unit:
            self._set_aside(f"/etc/systemd/system/{name}")
        self._record.unit = {"name": name, "sha256": _io.sha256(data.encode())}
        self._record.save(self._places)
        _io.write_atomic(str(path), data.encode(), mode=0o644, uid=0, gid=0)
        self._systemd.daemon_reload()

    def unit_exists(self, name: str) -> bool:
        """Whether systemd knows the unit."""
        return self._systemd.state(name).exists

    # While a package comes

    @contextlib.contextmanager
    def held_back(self, unit: str) -> Iterator[None]:
        """Keep a unit from starting with the package's defaults while the package comes.

        Debian's packages ask policy-rc.d. Some vendors' call systemctl themselves: a condition
        that does not hold stops that too.
        """
        if not unit:
            yield
            return
        path = self._barrier(unit)
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.write_text("[Unit]\nConditionPathExists=/run/koprogo-never\n", encoding="ascii")
        try:
            self._systemd.daemon_reload()
            yield
        finally:
            self.let_go(unit)

    def let_go(self, unit: str) -> None:
        """Take away what holds a unit back, also what a killed run has left."""
        path = self._barrier(unit)
        if not unit or self._check or not _io.remove_file(str(path)):
            return
        _io.remove_directory(str(path.parent))
        self._systemd.daemon_reload()

    def _barrier(self, unit: str) -> Path:
        return self._places.on_host(f"/run/systemd/system/{unit}.d/00-koprogo-installing.conf")

    # Removal

    def withdraw(self, outcome: Outcome) -> None:
        """Remove unit, links and unpacked archives that we made; bring back what stood there."""
        if self._record.unit:
            self._remove_unit(self._record.unit["name"], outcome)
        for link in list(self._record.links):
            self._unlink(link, outcome)
        # An archive is recorded after it was unpacked.
        unpacked = self._record.archive or self._tree.has_any()
        if unpacked:
            outcome.change(
                f"archive in {self._tree.root}",
                self._record.archive.get("version") or "present",
                "absent",
            )
        if self._check:
            return
        if unpacked:
            self._tree.remove()
        self._record.links, self._record.archive, self._record.unit = [], {}, {}
        self._tidy_copies(outcome)

    def list_kept(self, outcome: Outcome) -> None:
        """Say what stays: data, and the user that owns them."""
        kept = [name for name in self._record.directories if self._places.on_host(name).is_dir()]
        outcome.kept.extend(f"directory {name}" for name in kept)
        if self._record.user:
            outcome.kept.append(f"user {self._record.user}")

    def _remove_unit(self, name: str, outcome: Outcome) -> None:
        shown = f"/etc/systemd/system/{name}"
        path = self._places.units / name
        text = _io.read_text(str(path))
        if text is None or self._is_back(shown):
            if self._return(shown, outcome):
                self._systemd.daemon_reload()
                self._drop_copy(shown)
            return
        if _io.sha256(text.encode()) != self._record.unit["sha256"]:
            outcome.kept.append(f"unit {path} (it was edited)")
            return
        outcome.change_file(shown, text, "")
        if self._check:
            return
        if shown not in self._record.saved and self._record.method != "package":
            self._systemd.stop(name)
            self._systemd.disable(name)
        _io.remove_file(str(path))
        self._bring_back(shown)
        self._systemd.daemon_reload()
        self._record.unit = {}
        self._drop_copy(shown)

    def _unlink(self, link: str, outcome: Outcome) -> None:
        path = self._places.on_host(link)
        if not self._tree.owns(path):
            if self._return(link, outcome):
                self._drop_copy(link)
            return
        outcome.change(f"link {link}", str(_io.read_link(str(path))), "absent")
        if not self._check:
            _io.remove_file(str(path))
            self._bring_back(link)
            self._drop_copy(link)

    def _set_aside(self, name: str) -> None:
        """Keep a file of others that stands where ours goes, until ours goes again."""
        path = self._places.on_host(name)
        entry = _io.lookup(str(path))
        if (
            entry is None
            or entry.target == "/dev/null"
            or self._tree.owns(path)
            or name in self._record.saved
        ):
            return
        folder = self._saved_folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        keep = folder / f"{len(self._record.saved)}-{path.name}"
        _io.remove_file(str(keep))
        if entry.kind == "link":
            keep.symlink_to(entry.target)
        else:
            _io.create_file(
                str(keep),
                _io.read_bytes(str(path)),
                mode=entry.mode,
                uid=entry.uid,
                gid=entry.gid,
                sync=True,
            )
        self._record.saved[name] = str(keep)
        self._record.save(self._places)

    def _return(self, name: str, outcome: Outcome) -> bool:
        """Bring back what was set aside by a run that was killed when ours had just gone."""
        if name not in self._record.saved:
            return False
        if not self._is_back(name):
            if _io.lookup(str(self._places.on_host(name))) is not None:
                return False
            outcome.change(f"file {name}", "absent", "as it was before")
        if not self._check:
            self._bring_back(name)
        return not self._check

    def _bring_back(self, name: str) -> None:
        keep = self._record.saved.get(name, "")
        entry = _io.lookup(keep) if keep else None
        path = self._places.on_host(name)
        if entry is None or _io.lookup(str(path)) is not None:
            return
        if entry.kind == "link":
            path.symlink_to(entry.target)
        else:
            _io.write_atomic(
                str(path), _io.read_bytes(keep), mode=entry.mode, uid=entry.uid, gid=entry.gid
            )

    def _is_back(self, name: str) -> bool:
        keep = self._record.saved.get(name, "")
        path = str(self._places.on_host(name))
        before, now = (_io.lookup(one) if one else None for one in (keep, path))
        if before is None or now is None or before.kind != now.kind:
            return False
        if now.kind == "file":
            return _io.read_bytes(keep) == _io.read_bytes(path)
        return before.target == now.target

    def _drop_copy(self, name: str) -> None:
        """Forget what was set aside, and only then remove the copy: it is whole as long as it is known."""
        if keep := self._record.saved.pop(name, ""):
            self._record.save(self._places)
            _io.remove_file(keep)
            _io.remove_directory(str(self._saved_folder))

    def _tidy_copies(self, outcome: Outcome) -> None:
        """Remove copies of what never went or is back, and name those whose place somebody has taken."""
        for name, keep in list(self._record.saved.items()):
            if self._is_back(name) or _io.lookup(keep) is None:
                self._drop_copy(name)
            else:
                outcome.kept.append(f"file {keep} (it stood at {name} before)")
        if not self._record.saved:
            _io.remove_tree(str(self._saved_folder))

    @property
    def _saved_folder(self) -> Path:
        return self._places.state / "saved" / self._record.name
