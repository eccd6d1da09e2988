# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Where files may be deleted, and where never."""

from __future__ import annotations

import contextlib
import glob
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ansible_collections.koprogo.observability.plugins.module_utils._errors import InputError

__all__ = ["Places", "counts_folders", "is_database", "open_root", "related", "shown"]

# Neither they, nor anything in them, nor a folder that contains them.
_SYSTEM = (
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/sbin", "/sys", "/usr",
    "/var/lib/apt", "/var/lib/dpkg", "/var/lib/koprogo", "/var/lib/systemd",
)  # fmt: skip
_DATABASES = (
    "/var/lib/postgresql", "/var/lib/mysql", "/var/lib/mariadb", "/var/lib/mongodb", "/var/lib/redis",
    "/var/lib/docker", "/var/lib/containers", "/var/lib/containerd", "/var/lib/prometheus",
    "/var/lib/loki", "/var/lib/grafana", "/var/lib/alertmanager", "/var/lib/crowdsec",
    "/var/lib/clickhouse", "/var/lib/cassandra", "/var/lib/elasticsearch", "/var/lib/influxdb",
)  # fmt: skip
# What only a database's data folder has, or PostgreSQL's write-ahead log (the last one); a tablespace has
# a folder named by the version.
_MARKS = ("PG_VERSION", "ibdata1", "WiredTiger", "archive_status")
# Where Debian's clusters have their data, also those that do not run.
_CLUSTERS = "/etc/postgresql/*/*/postgresql.conf"
_DATA = re.compile(r"^\s*data_directory\s*=\s*'([^']+)'", re.MULTILINE)
_TABLESPACE = re.compile(r"PG_\d+_\d+")
# File systems that count a folder's folders as its links; others say 1, or always 2.
_COUNTING = (b"ext2", b"ext3", b"ext4", b"xfs", b"tmpfs")
_DAEMONS = ("postgres", "mysqld", "mariadbd", "mongod", "redis-server")
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def shown(path: str) -> str:
    r"""A name as it can stand in JSON and on a terminal: bytes that aren't UTF-8 as C(\xHH)."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def is_database(descriptor: int) -> bool:
    """Whether an open folder is a database's data folder."""
    for mark in _MARKS:
        with contextlib.suppress(OSError):
            os.stat(mark, dir_fd=descriptor, follow_symlinks=False)
            return True
    return False


def is_tablespace(name: str) -> bool:
    """Whether a folder's name says that PostgreSQL keeps a tablespace in it."""
    return bool(_TABLESPACE.fullmatch(name))


def related(one: str, other: str) -> bool:
    """Whether one is the other, or lies in it, or contains it."""
    first, second = one.rstrip("/") + "/", other.rstrip("/") + "/"
    return first.startswith(second) or second.startswith(first)


@dataclass(frozen=True, kw_only=True)
class Places:
    """What no root may touch: data folders of databases, the system, and where it is mounted."""

    databases: tuple[str, ...] = _DATABASES
    system: tuple[str, ...] = _SYSTEM
    mounts: frozenset[str] = field(default_factory=frozenset)

    @staticmethod
    def of_host(proc: str = "/proc", clusters: str = _CLUSTERS) -> Places:
        """The known places, and the folders in which database servers run, or would."""
        found = {*_DATABASES, *_running(proc), *_configured(clusters)}
        found.update(_linked(found))
        return Places(databases=tuple(sorted(found)), mounts=frozenset(_mounts(proc)))

    def check(self, root: str, *, option: str) -> str:
        """The root, with no needless slashes; InputError for one from which too much can be reached."""
        if not isinstance(root, str) or not root.strip():
            raise InputError(f"{option}: expected an absolute path, found an empty one.")
        if not root.startswith("/"):
            raise InputError(f"{option}: expected an absolute path, found '{shown(root)}'.")
        if "\0" in root or any(part in (".", "..") for part in root.split("/")):
            raise InputError(
                f"{option}: expected a path without '.', '..' and NUL, found '{shown(root)}'."
            )
        path = os.path.normpath(root).replace("//", "/")
        if path == "/":
            raise InputError(f"{option}: expected a folder below /, found '/' itself.")
        real = os.path.realpath(path)
        for name, kind in (
            *((name, "the data of a database or another service") for name in self.databases),
            *((name, "the system") for name in self.system),
        ):
            for one in sorted({path, real}):
                if related(one, name) or related(one, os.path.realpath(name)):
                    raise InputError(
                        f"{option}: expected a folder from which {kind} cannot be reached, found "
                        f"'{shown(root)}', which is, contains or lies in {shown(name)}."
                    )
        return path


def open_root(path: str) -> int:
    """Open a folder part by part, so that no part is a link; OSError with the part that is."""
    descriptor = os.open("/", _OPEN)
    so_far = ""
    try:
        for part in path.strip("/").split("/"):
            so_far = f"{so_far}/{part}"
            if is_database(descriptor):
                raise OSError(1, "a folder above it holds a database", path)
            try:
                following = os.open(part, _OPEN, dir_fd=descriptor)
            except OSError as error:
                raise OSError(error.errno, error.strerror, so_far) from error
            os.close(descriptor)
            descriptor = following
        if is_database(descriptor):
            raise OSError(1, "it holds a database", path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _running(proc: str) -> Iterator[str]:
    """Working folders of database servers: PostgreSQL and others run in their data folder."""
    for pid in os.listdir(proc):
        if not pid.isdigit():
            continue
        with contextlib.suppress(OSError):
            with open(f"{proc}/{pid}/comm", encoding="utf-8", errors="replace") as file:
                if file.read().strip() not in _DAEMONS:
                    continue
            folder = os.readlink(f"{proc}/{pid}/cwd")
            if folder != "/" and not folder.endswith(" (deleted)"):
                yield folder


def _configured(clusters: str) -> Iterator[str]:
    """Data folders of PostgreSQL's clusters by their configuration: a full disk has stopped the server."""
    for path in glob.glob(clusters):
        with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
            yield from _DATA.findall(file.read())


def _linked(folders: set[str]) -> list[str]:
    """Where PostgreSQL's tablespaces and write-ahead logs are, by the links in its data folders."""
    found = []
    for folder in folders:
        # Debian's layout has the data two levels deeper, by version and cluster.
        for base in (folder, *_subfolders(folder, 2)):
            log, links = os.path.join(base, "pg_wal"), os.path.join(base, "pg_tblspc")
            if os.path.islink(log):
                found.append(os.path.realpath(log))
            with contextlib.suppress(OSError):
                found += [os.path.realpath(os.path.join(links, name)) for name in os.listdir(links)]
    return found


def _subfolders(folder: str, depth: int) -> list[str]:
    found = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                found.append(entry.path)
                if depth > 1:
                    found += _subfolders(entry.path, depth - 1)
    return found[:1000]


def counts_folders(device: int, proc: str = "/proc") -> bool:
    """Whether a folder's number of links tells how many folders are in it: two, if there is none."""
    number = f"{os.major(device)}:{os.minor(device)}".encode()
    with contextlib.suppress(OSError), open(f"{proc}/self/mountinfo", "rb") as file:
        for line in file:
            fields, _dash, kind = line.partition(b" - ")
            if fields.split()[2] == number:
                return kind.split()[0] in _COUNTING
    return False


def _mounts(proc: str) -> Iterator[str]:
    """Mount points: a bind mount of the same file system has its device number too."""
    with contextlib.suppress(OSError), open(f"{proc}/self/mountinfo", "rb") as file:
        for line in file:
            point = re.sub(rb"\\(\d{3})", lambda m: bytes([int(m.group(1), 8)]), line.split()[4])
            yield os.fsdecode(point)
