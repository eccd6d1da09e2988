# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands: argument lists only, a timeout on each, errors as one readable sentence."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

__all__ = ["Argv", "LabError", "answers", "install_packages", "output", "run", "stream", "tail"]

# Two steps that run side by side must not fight for dpkg's lock.
_APT = threading.Lock()


Argv = Sequence[str | Path]


class LabError(Exception):
    """Something that the person at the keyboard has to know; one sentence."""


def tail(text: str, lines: int = 12) -> str:
    """Return the last lines that say something."""
    kept = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(kept[-lines:])


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C.UTF-8", **(extra or {})}


def _complete(
    argv: Argv, *, timeout: float, env: Mapping[str, str] | None, **options: Any
) -> tuple[str, subprocess.CompletedProcess[str]]:
    """Run a command to its end; return how it is shown in messages, and how it ended."""
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words, env=_environment(env), timeout=timeout, text=True, check=False, **options
        )
    except FileNotFoundError as error:
        raise LabError(f"{words[0]} is not installed.") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"`{shlex.join(words)}` took longer than {timeout:.0f} s.") from error
    return shlex.join(words), done


def output(
    argv: Argv,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout: float = 120,
) -> str:
    """Run a command and return what it wrote to standard output.

    Raises LabError with the end of its messages when it fails or takes too long.
    """
    source = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
    command, done = _complete(
        argv, timeout=timeout, env=env, cwd=cwd, capture_output=True, errors="replace", **source
    )
    if done.returncode != 0:
        said = tail(done.stderr) or tail(done.stdout)
        raise LabError(f"`{command}` failed ({done.returncode}):\n{said}")
    return done.stdout


def answers(argv: Argv, *, cwd: Path | None = None, timeout: float = 20) -> bool:
    """Say whether a command succeeds."""
    try:
        output(argv, cwd=cwd, timeout=timeout)
    except LabError:
        return False
    return True


def run(
    argv: Argv,
    log: Path,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 3600,
) -> None:
    """Run a long command with its messages in a log file; show the log's end on failure."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as target:
        target.write(f"$ {shlex.join(map(str, argv))}\n")
        target.flush()
        command, done = _complete(
            argv,
            timeout=timeout,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=target,
            stderr=subprocess.STDOUT,
        )
    if done.returncode != 0:
        said = tail(log.read_text(encoding="utf-8", errors="replace"), 25)
        raise LabError(f"`{command}` failed ({done.returncode}); end of {log}:\n{said}")


def stream(
    argv: Argv,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> int:
    """Run a command whose messages go straight to the terminal, or to a log; return its exit code."""
    words = [str(word) for word in argv]
    with log.open("w", encoding="utf-8") if log else nullcontext() as target:
        try:
            return subprocess.run(
                words,
                cwd=cwd,
                env=_environment(env),
                stdin=subprocess.DEVNULL,
                stdout=target,
                stderr=subprocess.STDOUT if log else None,
                check=False,
            ).returncode
        except FileNotFoundError as error:
            raise LabError(f"{words[0]} is not installed.") from error


def install_packages(packages: Sequence[str], why: str) -> None:
    """Install Debian packages of the machine itself; only root on Debian can."""
    if not packages:
        return
    names = " ".join(packages)
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise LabError(f"{why}: install {names} and start again, or run this as root on Debian.")
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    wait = ("-o", "DPkg::Lock::Timeout=300")
    with _APT:
        # Some unrelated third-party source may be unreachable: the installation decides.
        answers(["apt-get", "update", "-q", *wait], timeout=300)
        output(
            ["apt-get", "install", "-y", "-q", "--no-install-recommends", *wait, *packages],
            env=env,
            timeout=900,
        )
