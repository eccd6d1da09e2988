# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control node's Python tools, in .venv."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from lab.paths import ROOT, STATE, VENV, digest
from lab.shell import Argv, LabError, install_packages, run
from lab.steps import Say

__all__ = ["DEBIANS", "candidates", "ensure_venv", "find_python", "tool", "tool_environment"]

_STAMP = VENV / ".requirements"
# What the pinned ansible-core runs on; a newer Python comes with a newer core.
_OLDEST, _NEWEST = (3, 11), (3, 13)
DEBIANS = "/usr/bin/python3"
_PROBE = "import sys; print('%d.%d' % sys.version_info[:2]); import venv, ensurepip"


def candidates() -> list[str]:
    """Return the interpreters to try: Debian's own, this one, then by version.

    Debian compiles with a profile: whatever Ansible does takes a tenth less with it than with an
    interpreter that pyenv has made.
    """
    names = [DEBIANS, sys.executable, "python3", "python3.13", "python3.12", "python3.11"]
    return list(dict.fromkeys(path for path in map(shutil.which, names) if path))


def _suits(python: str) -> bool:
    """Say whether an interpreter really runs: a pyenv shim may exist and not work."""
    try:
        done = subprocess.run(
            [python, "-c", _PROBE], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    if done.returncode != 0:
        return False
    major, minor = done.stdout.strip().split(".")
    return _OLDEST <= (int(major), int(minor)) <= _NEWEST


def find_python(pythons: Iterable[str]) -> str | None:
    """Return the first interpreter that the tools can use."""
    return next((python for python in pythons if _suits(python)), None)


def tool(name: str) -> Path:
    """Return the path of a tool in the environment."""
    return VENV / "bin" / name


def tool_environment() -> dict[str, str]:
    """Return the variables with which the project's tools run."""
    return {
        "PATH": f"{VENV / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "VIRTUAL_ENV": str(VENV),
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        # Two seconds of each start of ansible-playbook, where the machine asks for no byte code:
        # pip then leaves none either. Kept apart, so that the checkout stays as it is.
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(STATE / "pycache"),
    }


def ensure_venv(say: Say) -> str:
    """Build .venv when requirements.txt (or requirements.yml) changed since the last time."""
    wanted = digest(
        (ROOT / "requirements.txt").read_bytes(), (ROOT / "requirements.yml").read_bytes()
    )
    works = _STAMP.exists() and _suits(str(tool("python")))
    if works and _STAMP.read_text(encoding="utf-8").strip() == wanted:
        return ".venv is up to date"
    python = find_python(candidates())
    if python is None:
        install_packages(["python3", "python3-venv"], "No Python 3.11 to 3.13 with venv was found")
        python = find_python(candidates())
    if python is None:
        raise LabError("No Python 3.11 to 3.13 with venv was found; install one and start again.")
    log = STATE / "venv.log"
    log.unlink(missing_ok=True)
    say(f"installing requirements.txt with {python}")
    run([python, "-m", "venv", "--clear", VENV], log)
    # Compiling the ten thousand files of `ansible` takes longer than installing them; Python
    # compiles the few that are used.
    pip: Argv = [tool("python"), "-m", "pip", "install", "--quiet", "--no-compile"]
    run([*pip, "--requirement", ROOT / "requirements.txt"], log, timeout=1800)
    if not _collections_included():
        say("installing the collections of requirements.yml from Galaxy")
        galaxy: Argv = [tool("ansible-galaxy"), "collection", "install", "-p", ROOT / "collections"]
        run([*galaxy, "-r", ROOT / "requirements.yml"], log, env=tool_environment())
    _STAMP.write_text(f"{wanted}\n", encoding="utf-8")
    return f".venv built with {python}"


def _collections_included() -> bool:
    """Say whether PyPI's `ansible` package brought the collections."""
    return any(VENV.glob("lib/python*/site-packages/ansible_collections/ansible/posix"))
