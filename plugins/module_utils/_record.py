# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""What this collection installed on a host: the only things that it may remove again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from ansible_collections.koprogo.observability.plugins.module_utils import _io
from ansible_collections.koprogo.observability.plugins.module_utils._errors import ConflictError

__all__ = ["COMMON", "Places", "Record"]

#: The record of a host's one transaction for all components; they take over from it.
COMMON = "packages"


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where things go on the host; ``root`` exists for tests."""

    root: Path = Path("/")

    @property
    def state(self) -> Path:
        """The folder of the records."""
        return self.root / "var/lib/koprogo/install"

    @property
    def trees(self) -> Path:
        """The folder of the unpacked archives."""
        return self.root / "opt/koprogo"

    @property
    def units(self) -> Path:
        """The administrator's unit folder."""
        return self.root / "etc/systemd/system"

    def on_host(self, path: str) -> Path:
        """Return an absolute path of the host below the root."""
        return self.root / path.lstrip("/")


@dataclass(kw_only=True)
class Record:
    """One component's record.

    It is written before the act as well as after it: a run that is killed in between
    must not leave anything behind that ``state: absent`` would not know of.
    """

    name: str
    method: str = ""
    # What we installed because it was not there: name -> version; and what came with it.
    packages: dict[str, str] = field(default_factory=dict)
    dependencies: list[str] = field(default_factory=list)
    # What this component wants, ours or not: another component's removal must spare it.
    requested: list[str] = field(default_factory=list)
    # Packages that a transaction under way is about to install.
    pending: list[str] = field(default_factory=list)
    # Package file: sha256, package and version that it gave.
    package_file: dict[str, str] = field(default_factory=dict)
    # Unpacked archive: sha256, version, tree (folder name), previous (folder name).
    archive: dict[str, str] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    # Base unit: path and sha256 of what we wrote.
    unit: dict[str, str] = field(default_factory=dict)
    # Files of others that stood where ours went: path -> where it is kept.
    saved: dict[str, str] = field(default_factory=dict)
    # Name of the vendor's repository that this component takes its packages from.
    repository: str = ""
    user: str = ""
    directories: list[str] = field(default_factory=list)

    @classmethod
    def load(cls, name: str, places: Places) -> Record:
        """Read a record; an empty one where there is none."""
        path = places.state / f"{name}.json"
        text = _io.read_text(str(path))
        if text is None:
            return cls(name=name)
        try:
            data = json.loads(text)
            known = {item.name for item in fields(cls)}
            return cls(
                **{**{key: value for key, value in data.items() if key in known}, "name": name}
            )
        except (ValueError, TypeError, AttributeError) as exc:
            raise ConflictError(
                f"The record {path} cannot be read: {exc}. "
                "Remove it to let the component be adopted as it is."
            ) from exc

    @classmethod
    def others(cls, name: str, places: Places) -> Iterator[Record]:
        """Read the records of all other components."""
        for path in sorted(places.state.glob("*.json")):
            if path.stem != name:
                yield cls.load(path.stem, places)

    @property
    def exists(self) -> bool:
        """Whether anything is recorded."""
        return self != Record(name=self.name)

    def save(self, places: Places) -> None:
        """Write the record in one step, if it differs."""
        path = places.state / f"{self.name}.json"
        text = json.dumps({"schema": 1, **asdict(self)}, indent=2, sort_keys=True) + "\n"
        if _io.read_text(str(path)) == text:
            return
        places.state.mkdir(mode=0o755, parents=True, exist_ok=True)
        _io.write_atomic(str(path), text.encode(), mode=0o644)

    def forget(self, places: Places) -> None:
        """Remove the record."""
        _io.remove_file(str(places.state / f"{self.name}.json"))
