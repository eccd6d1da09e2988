# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Python on the scenarios' hosts reads this when it starts: what a module was compiled to is kept.

Ansible sends each module with its libraries as a zip file, all of which Python compiles anew each time,
twice; that is a third of what a task costs the host. The demo's hosts don't have it.
"""

import _imp
import marshal
import os
import zipimport
from types import CodeType

# In memory, for root alone.
_FOLDER = "/run/koprogo-lab-python"
_compile = zipimport._compile_source  # type: ignore[attr-defined]  # there is no public hook


def _kept(pathname: str, source: bytes) -> CodeType:
    """What the source was compiled to, from the folder if it is there."""
    path = f"{_FOLDER}/{_imp.source_hash(0, source).hex()}-{len(source)}"
    try:
        with open(path, "rb") as file:
            code: CodeType = marshal.loads(file.read())
    except OSError:
        code = _compile(pathname, source)
        _keep(path, marshal.dumps(code))
    else:
        # A traceback names this run's file.
        _imp._fix_co_filename(code, pathname)  # type: ignore[attr-defined]  # as importlib does
    return code


def _keep(path: str, content: bytes) -> None:
    draft = f"{path}.{os.getpid()}"
    try:
        os.makedirs(_FOLDER, mode=0o700, exist_ok=True)
        with open(draft, "wb") as file:
            file.write(content)
        os.replace(draft, path)
    except OSError:
        # Not root, or no room: the next one compiles as well.
        return


zipimport._compile_source = _kept  # type: ignore[attr-defined]  # there is no public hook
