# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Let a second process do one half of the work: what a file costs is mostly the kernel's time.

Folders are dealt out by their paths, so each process deletes in folders of its own, and neither waits for
the other's. What the second one has done comes back through a pipe: no file, and so no free byte, is needed.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import signal
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._errors import KoprogoError

__all__ = ["beside", "half_of", "halves", "is_orphan"]

# The process whose half this one does; 0 in one that nobody asked.
_asker = 0


def halves() -> tuple[int | None, ...]:
    """The halves that work is worth being done in here; None is the whole, for one processor."""
    return (0, 1) if len(os.sched_getaffinity(0)) > 1 else (None,)


def half_of(folder: str) -> int:
    """The half that a folder belongs to, in each look at it the same."""
    return zlib.crc32(os.fsencode(folder)) & 1


def is_orphan() -> bool:
    """Whether this is a second process whose first one was killed: nobody would learn what it does."""
    return bool(_asker) and os.getppid() != _asker


@contextlib.contextmanager
def beside(work: Callable[[], Any], *, repeatable: bool) -> Iterator[Callable[[], Any]]:
    """Do C(work) in a second process while the body runs; the body gets what waits for its result.

    The result is of plain types; what the work does to objects stays in that process. Where no process
    can be had, the work is done here, and then. If one ends without a result, C(repeatable) work is
    done here too; any other is a KoprogoError.
    """
    reader, writer = os.pipe()
    asker, child = os.getpid(), 0
    try:
        with contextlib.suppress(OSError):
            child = os.fork()
            if not child:
                _answer(work, writer, asker)
        os.close(writer)
        yield lambda: _result(work, reader, repeatable=repeatable or not child)
    finally:
        os.close(reader)
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _answer(work: Callable[[], Any], writer: int, asker: int) -> None:
    global _asker  # noqa: PLW0603 - of this process, which does nothing else
    try:
        _asker = asker
        with os.fdopen(writer, "wb") as pipe:
            marshal.dump(work(), pipe)
    finally:
        # Nothing of the parent's may run twice: no handler, no buffer.
        os._exit(0)


def _result(work: Callable[[], Any], reader: int, *, repeatable: bool) -> Any:
    with os.fdopen(reader, "rb", closefd=False) as pipe:
        answer = pipe.read()
    try:
        # Written by this very process's copy.
        return marshal.loads(answer)  # noqa: S302
    except (EOFError, ValueError, TypeError):
        if repeatable:
            return work()
    raise KoprogoError("the second process ended and never told what it had deleted")
