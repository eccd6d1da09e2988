# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Send a file of the control node, but only to a host that says it needs it."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

_MODULE = "koprogo.observability.component_install"
# The record of the one transaction for all components of a host, and the variable that its role registers:
# unlike a fact, that is not cached, so no later run takes a prediction for what is there.
_COMMON = "packages"
_REGISTERED = "__packages_installed"


class ActionModule(ActionBase):
    """One round trip where nothing has to be sent; else the module is asked again with the file."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module, send what it asks for, and run it again."""
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        if "staged_file" in arguments:
            return {
                "failed": True,
                "msg": "staged_file: expected no such option, it is for internal use.",
            }
        result = self._ask(arguments, task_vars)
        if self._task.check_mode:
            self._keep_promises(arguments, result, (task_vars or {}).get(_REGISTERED, {}))
        need = result.pop("needs_source", None)
        if need is None or result.get("failed"):
            return result
        name = str(arguments.get("name"))
        try:
            local = self._local(need["path"])
        except AnsibleError:
            return _refused(
                f"{name}: expected the file {need['path']} on the control node, found none. "
                "Give an existing path, or a URL that the host reaches."
            )
        found = _digest(local)
        if found != need["sha256"]:
            return _refused(
                f"{name}: {need['path']}: expected sha256 {need['sha256']}, found {found}. "
                "Nothing was changed; give the right checksum, or the right file.",
                expected_sha256=need["sha256"],
                found_sha256=found,
            )
        if self._task.check_mode:
            return result
        return self._send(name, local, arguments, task_vars)

    @staticmethod
    def _keep_promises(
        arguments: dict[str, Any], result: dict[str, Any], common: dict[str, Any]
    ) -> None:
        """In check mode, a package that the host's common transaction predicts is not predicted again.

        The real run finds it installed when the component's own turn comes.
        """
        wanted = {*arguments.get("packages", []), *arguments.get("requires", [])}
        if arguments.get("name") == _COMMON:
            result["promised_packages"] = sorted(wanted) if result.get("changed") else []
        elif (
            result.get("changed")
            and wanted
            and arguments.get("method", "package") == "package"
            and not any(arguments.get(key) for key in ("package_file", "user_first", "version"))
            and wanted <= set(common.get("promised_packages", []))
        ):
            result.update(changed=False, diff=[])

    def _ask(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        result: dict[str, Any] = self._execute_module(
            module_name=_MODULE, module_args=arguments, task_vars=task_vars
        )
        return result

    def _local(self, path: str) -> Path:
        """Find the file as copy does: absolute, or in the role's and playbook's files."""
        given = Path(path).expanduser()
        if given.is_absolute():
            if not given.is_file():
                raise AnsibleError(f"{given} is no file")
            return given
        return Path(self._find_needle("files", path))

    def _send(
        self, name: str, local: Path, arguments: dict[str, Any], task_vars: dict[str, Any] | None
    ) -> dict[str, Any]:
        # Not Ansible's own folder: that may lie in memory, too small for an archive.
        # As the connecting user, so that the connection may write; mktemp makes it private.
        made = self._low_level_execute_command(
            "umask 077 && mktemp -d /var/tmp/koprogo-XXXXXXXX", sudoable=False
        )
        folder = str(made.get("stdout", "")).strip().splitlines()[-1:] or [""]
        if made.get("rc") != 0 or not folder[0].startswith("/var/tmp/koprogo-"):  # noqa: S108 - made by mktemp
            return _refused(
                f"{name}: no folder could be made in /var/tmp: {made.get('stderr') or made.get('stdout')}"
            )
        try:
            remote = f"{folder[0]}/source"
            self._transfer_file(str(local), remote)
            result = self._ask({**arguments, "staged_file": remote}, task_vars)
        except AnsibleError as exc:
            return _refused(f"{name}: {local.name} could not be sent to the host's /var/tmp: {exc}")
        finally:
            self._low_level_execute_command(f"rm -rf -- {shlex.quote(folder[0])}", sudoable=False)
        result.pop("needs_source", None)
        # The option is an implementation detail; a user who reads -vvv sees only their own.
        result.get("invocation", {}).get("module_args", {}).pop("staged_file", None)
        return result


def _refused(message: str, **evidence: Any) -> dict[str, Any]:
    return {"failed": True, "changed": False, "msg": message, **evidence}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
