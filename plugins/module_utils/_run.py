# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""The one place where commands are run: lists of arguments, never a shell."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    CommandError,
    InputError,
)
from ansible_collections.koprogo.observability.plugins.module_utils._mask import Masker

__all__ = ["NOT_FOUND", "TIMED_OUT", "Result", "Runner"]

# The exit codes of a shell and of timeout(1) for the same conditions.
NOT_FOUND = 127
TIMED_OUT = 124

# Modules inherit the connection's PATH, which may lack the system folders.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# More than a message needs; a runaway command must not fill the result.
_KEEP = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a command did. Texts are masked and limited; ``seconds`` is wall time."""

    argv: list[str]
    rc: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether the command ended with 0."""
        return self.rc == 0

    @property
    def output(self) -> str:
        """Standard error and output together: checkers disagree on which they use."""
        return "\n".join(part for part in (self.stderr.strip(), self.stdout.strip()) if part)


class Runner:
    """Runs commands with ``LC_ALL=C``, a time limit, and secrets masked in what they print."""

    def __init__(self, *, masker: Masker | None = None) -> None:
        """Mask what commands print with the given masker."""
        self.masker = masker or Masker()

    def which(self, command: str) -> str | None:
        """Return the path of an executable, or None."""
        return shutil.which(command, path=_search_path())

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float = 60.0,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        stdin: str = "",
        check: bool = False,
    ) -> Result:
        """Run a command.

        A missing executable gives rc 127, a command that runs longer than ``timeout``
        seconds is killed with its children and gives rc 124. With ``check`` any rc but 0
        raises CommandError. ``user`` runs it with that user's identity and groups.
        """
        if not argv or not all(isinstance(item, str) and item for item in argv[:1]):
            raise InputError("A command needs at least the name of a program.", argv=list(argv))
        started = time.monotonic()
        shown = [self.masker.text(item) for item in argv]
        rc, stdout, stderr = self._execute(
            list(argv), timeout=timeout, user=user, env=env, cwd=cwd, stdin=stdin
        )
        result = Result(
            argv=shown,
            rc=rc,
            stdout=self.masker.text(stdout),
            stderr=self.masker.text(stderr),
            seconds=round(time.monotonic() - started, 3),
        )
        if check and not result.ok:
            raise CommandError(
                f"The command '{' '.join(shown)}' ended with {rc}: {result.output or 'it printed nothing'}",
                argv=shown,
                rc=rc,
                stdout=result.stdout,
                stderr=result.stderr,
            )
        return result

    def _execute(
        self,
        argv: list[str],
        *,
        timeout: float,
        user: str | None,
        env: Mapping[str, str] | None,
        cwd: str,
        stdin: str,
    ) -> tuple[int, str, str]:
        path = self.which(argv[0])
        if path is None:
            return NOT_FOUND, "", f"{argv[0]}: command not found"
        full_env = {
            **os.environ,
            "PATH": _search_path(),
            "LC_ALL": "C",
            "LANGUAGE": "C",
            **(env or {}),
        }
        uid, gid, groups = None, None, None
        if user is not None:
            try:
                entry = pwd.getpwnam(user)
            except KeyError:
                return NOT_FOUND, "", f"user {user} does not exist"
            if entry.pw_uid != os.geteuid():
                uid, gid, groups = entry.pw_uid, entry.pw_gid, os.getgrouplist(user, entry.pw_gid)
            full_env |= {"USER": user, "LOGNAME": user, "HOME": entry.pw_dir}
            full_env |= dict(env or {})
        try:
            process = subprocess.Popen(
                argv,
                executable=path,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=cwd,
                env=full_env,
                user=uid,
                group=gid,
                extra_groups=groups,
                # A session of its own, so that a time-out reaches the children too.
                start_new_session=True,
            )
        except OSError as exc:
            return 126, "", f"{argv[0]}: {exc.strerror or exc}"
        try:
            out, err = process.communicate(stdin.encode(), timeout=timeout)
            rc = process.returncode
        except subprocess.TimeoutExpired:
            _kill_group(process.pid)
            out, err = _drain(process)
            err += f"\nkilled: it ran longer than {timeout:g} s".encode()
            rc = TIMED_OUT
        return rc, _decode(out), _decode(err)


def _search_path() -> str:
    """The connection's PATH, completed with the system folders."""
    parts = [part for part in os.environ.get("PATH", "").split(":") if part]
    return ":".join(dict.fromkeys([*parts, *_PATH.split(":")]))


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _drain(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """Take what a killed command printed; a child that left its session may hold the pipes."""
    try:
        return process.communicate(timeout=2)
    except subprocess.TimeoutExpired:
        for pipe in (process.stdout, process.stderr, process.stdin):
            if pipe is not None:
                pipe.close()
        return b"", b""


def _decode(data: bytes) -> str:
    if len(data) > _KEEP:
        half = _KEEP // 2
        data = data[:half] + b"\n[...]\n" + data[-half:]
    return data.decode("utf-8", "replace")
