# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""A file that is to be installed: downloaded or sent, verified, and gone afterwards."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ansible_collections.koprogo.observability.plugins.module_utils import _io
from ansible_collections.koprogo.observability.plugins.module_utils._errors import KoprogoError
from ansible_collections.koprogo.observability.plugins.module_utils._fetch import (
    check_digest,
    digest_of,
    fetch,
    is_url,
)

__all__ = ["NeedsSource", "obtained"]

_CHUNK = 1 << 20


class NeedsSource(KoprogoError):  # noqa: N818 - a question to the control node, not an error
    """The control node has to send a file; nothing was changed so far."""


@contextlib.contextmanager
def obtained(
    source: str, digest: str, *, staged_file: str, folder: Path, suffix: str, timeout: float
) -> Iterator[tuple[BinaryIO, Path]]:
    """Give the verified file, open; what was made for it is gone at the end, however that comes.

    ``folder`` has room for a copy. A suffix asks for a file with a name, which only apt needs.
    """
    if not is_url(source) and not staged_file:
        raise NeedsSource(
            "The control node has the file.", needs_source={"path": source, "sha256": digest}
        )
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    incoming = folder / "incoming"
    _io.remove_tree(str(incoming))
    with contextlib.ExitStack() as stack:
        path = Path(staged_file)
        needed = path.stat().st_size if staged_file else 0
        stack.enter_context(_io.no_space(f"copy {path.name}", str(folder), needed=needed))
        if suffix:
            _io.make_directory(str(incoming))
            stack.callback(_io.remove_tree, str(incoming))
            path = incoming / f"package{suffix}"
            file: BinaryIO = stack.enter_context(path.open("w+b"))
        elif is_url(source):
            # Without a name: nothing partial can stay behind, even after a SIGKILL.
            file = stack.enter_context(tempfile.TemporaryFile(dir=folder))
        else:
            file = stack.enter_context(path.open("rb"))
        if is_url(source):
            found = fetch(source, file, total=timeout)
        else:
            if suffix:
                with Path(staged_file).open("rb") as staged:
                    shutil.copyfileobj(staged, file, _CHUNK)
                file.flush()
            found = digest_of(file)
        check_digest(found, expected=digest, source=source)
        yield file, path
