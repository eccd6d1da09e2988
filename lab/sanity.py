# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``ansible-test sanity`` on the built collection, which is what users receive."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from lab.paths import ROOT, VENV
from lab.shell import Argv, LabError, output, stream
from lab.venv import tool, tool_environment

__all__ = ["built_collection", "pip_version", "sanity"]

_ARTIFACT = ROOT / ".cache" / "artifact"
# A home of its own: ansible-test's environments stay for the next run, the user's are untouched.
_HOME = ROOT / ".cache" / "ansible-test"

# The checkout's settings are not the users'.
_NO_SETTINGS = _HOME / "ansible.cfg"

# ansible-test downloads get-pip.py; Python brings the same thing with it, also without a network.
_GET_PIP = """\
import ensurepip

ensurepip.bootstrap()
"""


def pip_version(source: str) -> str:
    """Return the version of pip that ansible-test wants, from its own source."""
    found = re.search(r"pip=['\"]([0-9.]+)['\"]", source)
    if not found:
        raise LabError("ansible-test no longer says which pip it wants: lab/sanity.py must follow.")
    return found[1]


def built_collection() -> Path:
    """Build the collection and install it where ansible-test wants it; return the folder."""
    env = tool_environment()
    shutil.rmtree(_ARTIFACT, ignore_errors=True)
    _ARTIFACT.mkdir(parents=True)
    _HOME.mkdir(parents=True, exist_ok=True)
    _NO_SETTINGS.touch()
    galaxy: Argv = [tool("ansible-galaxy"), "collection"]
    output([*galaxy, "build", "--output-path", _ARTIFACT, ROOT], env=env, cwd=ROOT)
    archive = next(_ARTIFACT.glob("*.tar.gz"))
    install: Argv = [*galaxy, "install", "--no-deps", "--offline", "-p", _ARTIFACT, archive]
    output(install, env={**env, "ANSIBLE_CONFIG": str(_NO_SETTINGS)}, cwd=_ARTIFACT)
    home = _ARTIFACT / "ansible_collections" / "koprogo" / "observability"
    # ansible-test asks git what there is; the checkout's own repository ignores this folder.
    output(["git", "init", "--quiet"], cwd=home)
    return home


def sanity() -> int:
    """Build the collection and run the whole suite on it; return ansible-test's exit code."""
    home = built_collection()
    version = output([tool("python"), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"])
    requirements = "lib/python*/site-packages/ansible_test/_internal/python_requirements.py"
    source = next(VENV.glob(requirements)).read_text(encoding="utf-8")
    name = f"get_pip_{pip_version(source).replace('.', '_')}.py"
    stub = _HOME / ".ansible" / "test" / "cache" / name
    stub.parent.mkdir(parents=True, exist_ok=True)
    stub.write_text(_GET_PIP, encoding="utf-8")
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    env = {"HOME": str(_HOME), "XDG_CACHE_HOME": cache, "ANSIBLE_CONFIG": str(_NO_SETTINGS)}
    argv = ["ansible-test", "sanity", "--local", "--python", version.strip(), "--color", "no"]
    return stream(argv, cwd=home, env={**tool_environment(), **env})
