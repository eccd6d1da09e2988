# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""The one place where files are touched.

Each function is a short sequence of system calls through ``os``, in an order that is safe
to interrupt. Tests replace this module's ``os`` to end the process before any one of them.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    LockedError,
    NoSpaceError,
)

__all__ = [
    "Entry",
    "Space",
    "create_file",
    "flip_link",
    "free_space",
    "intermediate",
    "link_or_copy",
    "list_directory",
    "locked",
    "lookup",
    "make_directory",
    "make_link",
    "move",
    "no_space",
    "open_file",
    "read_bytes",
    "read_link",
    "read_text",
    "remove_directory",
    "remove_file",
    "remove_tree",
    "scan",
    "set_changed_at",
    "set_owner_and_mode",
    "sha256",
    "sync_directory",
    "sync_file",
    "write_atomic",
]

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A directory entry, itself and not what a link points to.

    ``kind`` is one of file, directory, link, other; ``mode`` holds the permission bits;
    ``size`` is in bytes; ``changed_at`` is the modification time in nanoseconds; ``digest`` is the
    sha256 of a file that was scanned with contents.
    """

    kind: str
    mode: int
    uid: int
    gid: int
    size: int = 0
    inode: int = 0
    changed_at: int = 0
    target: str = ""
    digest: str = ""


@dataclass(frozen=True, kw_only=True)
class Space:
    """What a file system has free: bytes and inodes. Some count no inodes: 0 free then means nothing."""

    bytes: int
    inodes: int
    counts_inodes: bool = True


# Reading


def sha256(data: bytes) -> str:
    """Return the hexadecimal digest."""
    return hashlib.sha256(data).hexdigest()


def lookup(path: str, *, dir_fd: int | None = None) -> Entry | None:
    """Describe what is at a path without following a link; None where nothing is."""
    try:
        info = os.stat(path, dir_fd=dir_fd, follow_symlinks=False)
        target = os.readlink(path, dir_fd=dir_fd) if stat.S_ISLNK(info.st_mode) else ""
    except (FileNotFoundError, NotADirectoryError):
        return None
    return _entry(info, target=target)


def read_bytes(path: str, *, dir_fd: int | None = None) -> bytes:
    """Read a regular file; never follows a link, never waits on a pipe."""
    descriptor = os.open(path, _READ, dir_fd=dir_fd)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        parts = []
        while part := os.read(descriptor, _CHUNK):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def open_file(path: str) -> BinaryIO:
    """Open a regular file to read it piece by piece; never follows a link, never waits on a pipe."""
    descriptor = os.open(path, _READ)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return os.fdopen(descriptor, "rb", buffering=0)


def read_text(path: str) -> str | None:
    """Read a text file; None where it does not exist. Undecodable bytes are replaced."""
    try:
        return read_bytes(path).decode("utf-8", "replace")
    except FileNotFoundError:
        return None


def read_link(path: str) -> str | None:
    """Return where a symbolic link points; None where there is no link."""
    try:
        return os.readlink(path)
    except FileNotFoundError:
        return None
    except OSError as exc:
        if exc.errno in (errno.EINVAL, errno.ENOTDIR):
            return None
        raise


def list_directory(path: str) -> list[str]:
    """Return the sorted names in a directory, none where it does not exist."""
    try:
        return sorted(os.listdir(path))
    except FileNotFoundError:
        return []


def scan(root: str, *, contents: Container[str] = ()) -> dict[str, Entry]:
    """Describe everything below a directory by relative path, links not followed.

    Walks by directory descriptors: a directory that is exchanged for a link meanwhile
    cannot lead out of the tree. The files named in ``contents`` are read and carry a digest.
    """
    found: dict[str, Entry] = {}
    for folder, folders, files, descriptor in os.fwalk(root, follow_symlinks=False):
        prefix = os.path.relpath(folder, root)
        for name in [*folders, *files]:
            entry = lookup(name, dir_fd=descriptor)
            if entry is None:
                continue
            path = os.path.normpath(os.path.join(prefix, name))
            if entry.kind == "file" and path in contents:
                with contextlib.suppress(OSError):
                    entry = _with_digest(entry, sha256(read_bytes(name, dir_fd=descriptor)))
            found[path] = entry
    return found


def free_space(path: str) -> Space:
    """Return what is free, for root, on the file system of the nearest existing parent."""
    while not os.path.isdir(path):
        path = os.path.dirname(path) or "/"
    info = os.statvfs(path)
    return Space(
        bytes=info.f_bfree * info.f_frsize, inodes=info.f_ffree, counts_inodes=info.f_files > 0
    )


def _entry(info: os.stat_result, *, target: str = "") -> Entry:
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}
    return Entry(
        kind=kinds.get(stat.S_IFMT(info.st_mode), "other"),
        mode=stat.S_IMODE(info.st_mode),
        uid=info.st_uid,
        gid=info.st_gid,
        size=info.st_size,
        inode=info.st_ino,
        changed_at=info.st_mtime_ns,
        target=target,
    )


def _with_digest(entry: Entry, digest: str) -> Entry:
    return Entry(**{**vars(entry), "digest": digest})


# Writing


def create_file(
    path: str, data: bytes, *, mode: int, uid: int = -1, gid: int = -1, sync: bool = False
) -> None:
    """Create a new file. Owner and mode are set while it is empty; -1 keeps the owner.

    With ``sync`` the content is on the disk before this returns.
    """
    descriptor = os.open(path, _CREATE, 0o600)
    try:
        if uid != -1 or gid != -1:
            os.fchown(descriptor, uid, gid)
        os.fchmod(descriptor, mode)
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: str, data: bytes, *, mode: int, uid: int = -1, gid: int = -1) -> None:
    """Replace a file in one step: a reader, and a power failure, see all of the old or the new."""
    temporary = os.path.join(
        os.path.dirname(path), f".{os.path.basename(path)}.{secrets.token_hex(4)}"
    )
    try:
        create_file(temporary, data, mode=mode, uid=uid, gid=gid, sync=True)
        os.rename(temporary, path)
    except BaseException:
        remove_file(temporary)
        raise
    sync_directory(os.path.dirname(path))


def make_directory(path: str, *, mode: int = 0o755) -> None:
    """Make one directory with exactly this mode, in one step; its parent must exist."""
    mask = os.umask(0)
    try:
        os.mkdir(path, mode)
    finally:
        os.umask(mask)


def set_owner_and_mode(path: str, *, mode: int, uid: int = -1, gid: int = -1) -> None:
    """Set owner first: a change of owner clears special mode bits."""
    os.chown(path, uid, gid, follow_symlinks=False)
    os.chmod(path, mode)


def make_link(target: str, path: str) -> None:
    """Make a symbolic link, or point an existing one elsewhere, in one step.

    The name of the intermediate link is fixed, so that what a killed run left can be found.
    """
    try:
        os.symlink(target, path)
    except FileExistsError:
        temporary = intermediate(path)
        remove_file(temporary)
        os.symlink(target, temporary)
        os.rename(temporary, path)


def intermediate(path: str) -> str:
    """Return the name that make_link uses on its way."""
    return os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.new")


def flip_link(target: str, path: str, *, temporary: str) -> None:
    """Point a symbolic link elsewhere by one rename(2), and make that durable.

    ``temporary`` is a fixed name in the same directory; what a killed run left there goes.
    """
    remove_file(temporary)
    os.symlink(target, temporary)
    os.rename(temporary, path)
    sync_directory(os.path.dirname(path))


def move(source: str, destination: str) -> None:
    """rename(2), made durable."""
    os.rename(source, destination)
    sync_directory(os.path.dirname(destination))


def link_or_copy(source: str, destination: str, entry: Entry) -> None:
    """Carry a file or link over: a hard link where possible, else a faithful copy."""
    if entry.kind == "link":
        os.symlink(entry.target, destination)
        os.chown(destination, entry.uid, entry.gid, follow_symlinks=False)
        return
    try:
        os.link(source, destination, follow_symlinks=False)
    except OSError as exc:
        if (
            exc.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP)
            or entry.kind != "file"
        ):
            raise
        create_file(destination, read_bytes(source), mode=entry.mode, uid=entry.uid, gid=entry.gid)


def remove_file(path: str) -> bool:
    """Remove a file or link; False where there is none."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def remove_directory(path: str) -> bool:
    """Remove a directory if it is empty; False where it stays."""
    try:
        os.rmdir(path)
    except OSError as exc:
        if exc.errno in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            return False
        raise
    return True


def remove_tree(path: str) -> bool:
    """Remove a directory with all below it, never through a link; False where there is none."""
    if not os.path.isdir(path) or os.path.islink(path):
        return False
    for folder, folders, files, descriptor in os.fwalk(path, topdown=False, follow_symlinks=False):
        del folder
        for name in files:
            os.unlink(name, dir_fd=descriptor)
        for name in folders:
            entry = lookup(name, dir_fd=descriptor)
            if entry is not None and entry.kind == "link":
                os.unlink(name, dir_fd=descriptor)
            else:
                os.rmdir(name, dir_fd=descriptor)
    os.rmdir(path)
    return True


def set_changed_at(path: str, nanoseconds: int) -> None:
    """Set the modification time of a file."""
    os.utime(path, ns=(nanoseconds, nanoseconds), follow_symlinks=False)


def sync_file(path: str) -> None:
    """Bring a file's content to the disk."""
    descriptor = os.open(path, _READ)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(path: str) -> None:
    """Bring a directory's entries to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# Locks and limits


@contextlib.contextmanager
def locked(path: str, *, timeout: float = 60.0) -> Iterator[None]:
    """Hold an exclusive lock; the kernel frees it however the process ends.

    The holder may remove the file. Raises LockedError when another process holds it for
    ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        with no_space("lock", path, needed=0):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            _lock(descriptor, path, deadline, timeout)
            # The one before may have removed the file while we waited for it: then another
            # run could lock a new one.
            if _is_at(descriptor, path):
                yield
                return
        finally:
            os.close(descriptor)


def _lock(descriptor: int, path: str, deadline: float, timeout: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise LockedError(
                    f"Another run holds {path} for more than {timeout:g} s. "
                    "Wait for it to end, then run again.",
                    lock=path,
                ) from None
            time.sleep(0.1)
        else:
            return


def _is_at(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def no_space(what: str, path: str, *, needed: int) -> Iterator[None]:
    """Turn "no space left" into NoSpaceError, with the bytes needed and what is free."""
    try:
        yield
    except OSError as exc:
        if exc.errno not in _NO_SPACE:
            raise
        free = free_space(path)
        reason = (
            "the disk quota is used up" if exc.errno == errno.EDQUOT else "the file system is full"
        )
        raise NoSpaceError(
            f"Cannot {what}: {reason} at {path}. It needs {needed} bytes, {free.bytes} bytes and "
            f"{free.inodes} inodes are free. Free some space and run again.",
            path=path,
            bytes_needed=needed,
            bytes_free=free.bytes,
            inodes_free=free.inodes,
        ) from exc
