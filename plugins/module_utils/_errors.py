# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""The errors of the collection's domain.

A message names the object, what was expected, what was found, and what to do.
Only modules turn these into ``fail_json``; the keyword arguments become keys of the result.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "CommandError",
    "ConflictError",
    "InputError",
    "KoprogoError",
    "LockedError",
    "NoSpaceError",
    "ProbeError",
    "RolledBackError",
    "ServiceError",
    "ValidationError",
    "as_failure",
]


class KoprogoError(Exception):
    """The base of all errors that a user is meant to read."""

    def __init__(self, message: str, **evidence: Any) -> None:
        """Keep the one-sentence message and machine-readable evidence beside it."""
        super().__init__(message)
        self.message = message
        self.evidence: dict[str, Any] = evidence

    def as_result(self) -> dict[str, Any]:
        """Return the arguments for ``fail_json``."""
        return {"msg": self.message, **self.evidence}


class InputError(KoprogoError):
    """An option has a value that cannot be used; nothing was touched."""

    def as_result(self) -> dict[str, Any]:
        """Return the arguments for ``fail_json``: it is a refusal, with a code like any other."""
        return {"refused": True, "code": "input", **super().as_result()}


class ConflictError(KoprogoError):
    """Something that is not ours stands where ours has to go; nothing was touched."""


class LockedError(KoprogoError):
    """Another run holds the lock."""


class NoSpaceError(KoprogoError):
    """The file system has no free bytes, inodes or quota."""


class CommandError(KoprogoError):
    """A command could not be started, ran too long, or failed."""


class ValidationError(KoprogoError):
    """A component's own checker refuses the new configuration."""


class ServiceError(KoprogoError):
    """systemd could not bring a unit into the wanted state."""


class ProbeError(KoprogoError):
    """A service does not answer as it should."""


class RolledBackError(KoprogoError):
    """A change was applied, found bad, and undone."""


def as_failure(error: KoprogoError | OSError, *, about: str = "") -> dict[str, Any]:
    """Return the arguments for ``fail_json``, also of what the system itself refuses.

    ``about`` is whatever the module was busy with.
    """
    if isinstance(error, KoprogoError):
        return error.as_result()
    where = f" at {error.filename}" if error.filename else ""
    object_ = f"{about}: " if about else ""
    return {"msg": f"{object_}the system refused{where}: {error.strerror or error}."}
