# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Let a second process do one half of a survey: what a file costs there is processor time.

It only looks, and what it has seen comes back through a pipe: no file, and so no free byte, is needed.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["beside"]


@contextlib.contextmanager
def beside(work: Callable[[], Any]) -> Iterator[Callable[[], Any]]:
    """Do C(work) in a second process while the body runs; the body gets what waits for its result.

    The result is of plain types. Where no process can be had, or it ends without a result, the work is
    done here, and then. What it does to objects stays in that process.
    """
    reader, writer = os.pipe()
    child = 0
    try:
        with contextlib.suppress(OSError):
            child = os.fork()
            if not child:
                _answer(work, writer)
        os.close(writer)
        yield lambda: _result(work, reader)
    finally:
        os.close(reader)
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _answer(work: Callable[[], Any], writer: int) -> None:
    try:
        with os.fdopen(writer, "wb") as pipe:
            marshal.dump(work(), pipe)
    finally:
        # Nothing of the parent's may run twice: no handler, no buffer.
        os._exit(0)


def _result(work: Callable[[], Any], reader: int) -> Any:
    with os.fdopen(reader, "rb", closefd=False) as pipe:
        answer = pipe.read()
    try:
        # Written by this very process's copy.
        return marshal.loads(answer)  # noqa: S302
    except (EOFError, ValueError, TypeError):
        return work()
