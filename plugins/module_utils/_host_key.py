# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""A host's private key, made on the host and never shown, and signing requests for it."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.koprogo.observability.plugins.module_utils import _io
from ansible_collections.koprogo.observability.plugins.module_utils._accounts import find_group
from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    ConflictError,
    InputError,
)
from ansible_collections.koprogo.observability.plugins.module_utils._run import Result, Runner

__all__ = ["HostKey", "Outcome", "request_options"]

_OWNER = 0
_FILE_MODE = 0o640
_DIRECTORY_MODE = 0o750
# A longer common name is refused by X.509 itself.
_LONGEST_NAME = 64
_SAFE = re.compile(r"[A-Za-z0-9_.:*-]+")


def request_options(common_name: str, names: list[str]) -> list[str]:
    """What C(openssl req) is told about a request; InputError for a name that could be read as syntax."""
    if len(common_name) > _LONGEST_NAME:
        raise InputError(
            f"common_name: expected at most {_LONGEST_NAME} characters, found {len(common_name)} in "
            f"'{common_name}'. Give the host a shorter name in the inventory."
        )
    if not names:
        raise InputError("names: expected at least one subject alternative name, found none.")
    for name in [common_name, *names]:
        if not _SAFE.fullmatch(name):
            raise InputError(f"names: expected a host name or an address, found '{name}'.")
    extensions = (
        f"subjectAltName={','.join(names)}",
        "keyUsage=critical,digitalSignature",
        "extendedKeyUsage=serverAuth,clientAuth",
        "basicConstraints=critical,CA:FALSE",
    )
    # Nothing from the host's own openssl.cnf.
    options = ["-config", "/dev/null", "-subj", f"/CN={common_name}"]
    return options + [part for extension in extensions for part in ("-addext", extension)]


@dataclass(kw_only=True)
class Outcome:
    """What was done, or would be, and what the control node needs to sign."""

    actions: list[str] = field(default_factory=list)
    fingerprint: str = ""
    request: str = ""


class HostKey:
    """The key file with its directory and the group that may read it."""

    def __init__(self, *, path: str, group: str, runner: Runner, check_mode: bool = False) -> None:
        """Nothing is written in check mode."""
        self.path = path
        self.group = group
        self.runner = runner
        self.check_mode = check_mode

    def provide(self, *, content: str, common_name: str, names: list[str]) -> Outcome:
        """Make what is missing. A given content replaces the key; without one a key stays for ever."""
        options = request_options(common_name, names)
        if self.check_mode and self.runner.which("openssl") is None:
            # The run installs it; nothing can be asked for before.
            return Outcome(actions=[f"make {self.path}"])
        if content:
            self._public_key_of(content)
        outcome = Outcome()
        gid = self._group(outcome)
        self._directories(outcome, gid)
        key = self._key(outcome, content, gid)
        outcome.fingerprint = self._public_key_of(key)
        outcome.request = self._openssl(
            "req", "-new", "-key", "/dev/stdin", *options, stdin=key
        ).stdout
        return outcome

    def remove(self) -> Outcome:
        """Remove the key, its directory if nothing else is in it, and the group."""
        outcome = Outcome()
        if _io.lookup(self.path) is not None:
            outcome.actions.append(f"remove {self.path}")
            if not self.check_mode:
                _io.remove_file(self.path)
        directory = str(Path(self.path).parent)
        if _io.list_directory(directory) in ([], [Path(self.path).name]):
            if _io.lookup(directory) is not None:
                outcome.actions.append(f"remove {directory}")
            if not self.check_mode:
                _io.remove_directory(directory)
                _io.remove_directory(str(Path(directory).parent))
        if find_group(self.group) is not None:
            outcome.actions.append(f"remove group {self.group}")
            if not self.check_mode:
                self.runner.run(["groupdel", self.group], check=True)
        return outcome

    def _group(self, outcome: Outcome) -> int:
        gid = find_group(self.group)
        if gid is None:
            outcome.actions.append(f"make group {self.group}")
            if self.check_mode:
                return -1
            self.runner.run(["groupadd", "--system", self.group], check=True)
            gid = find_group(self.group)
        return -1 if gid is None else gid

    def _directories(self, outcome: Outcome, gid: int) -> None:
        directory = str(Path(self.path).parent)
        parent = str(Path(directory).parent)
        for missing in [d for d in (parent, directory) if _io.lookup(d) is None]:
            outcome.actions.append(f"make directory {missing}")
            if not self.check_mode:
                _io.make_directory(missing)
        self._permissions(outcome, directory, _DIRECTORY_MODE, gid)

    def _key(self, outcome: Outcome, content: str, gid: int) -> str:
        """The key that the host has after the run. One that check mode makes up is never written."""
        entry = _io.lookup(self.path)
        if entry is not None and entry.kind != "file":
            raise ConflictError(
                f"{self.path}: expected a regular file, found a {entry.kind}. Move it away and run again."
            )
        found = (_io.read_text(self.path) or "") if entry else ""
        wanted = content.strip() + "\n" if content else found or self._new_key()
        if wanted != found:
            outcome.actions.append(f"{'replace' if entry else 'make'} {self.path}")
            if not self.check_mode:
                _io.write_atomic(self.path, wanted.encode(), mode=_FILE_MODE, uid=_OWNER, gid=gid)
        self._permissions(outcome, self.path, _FILE_MODE, gid)
        return wanted

    def _permissions(self, outcome: Outcome, path: str, mode: int, gid: int) -> None:
        entry = _io.lookup(path)
        if entry is None or (entry.uid, entry.gid, entry.mode) == (_OWNER, gid, mode):
            return
        if not any(action.endswith(path) for action in outcome.actions):
            outcome.actions.append(f"set owner and mode of {path}")
        if not self.check_mode:
            _io.set_owner_and_mode(path, mode=mode, uid=_OWNER, gid=gid)

    def _new_key(self) -> str:
        return self._openssl(
            "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"
        ).stdout

    def _public_key_of(self, key: str) -> str:
        """SHA-256 of the public key (DER). The key is passed by standard input."""
        result = self.runner.run(["openssl", "pkey", "-pubout", "-passin", "pass:"], stdin=key)
        if not result.ok:
            raise InputError(
                "The private key: expected an unencrypted one in PEM format, found something that "
                f"openssl can't read: {_reason(result)}",
                path=self.path,
            )
        body = "".join(line for line in result.stdout.splitlines() if not line.startswith("-"))
        return hashlib.sha256(base64.b64decode(body)).hexdigest()

    def _openssl(self, *arguments: str, stdin: str = "") -> Result:
        return self.runner.run(["openssl", *arguments], stdin=stdin, check=True)


def _reason(result: Result) -> str:
    lines = result.output.splitlines()
    return lines[0] if lines else f"it ended with {result.rc}"
