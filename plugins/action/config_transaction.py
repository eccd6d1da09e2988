# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Render a component's files on the control node and hand them over in one module execution."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible import constants as C  # noqa: N812 - the name that Ansible gives it
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.parsing.yaml.dumper import AnsibleDumper
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template

from ansible_collections.koprogo.observability.plugins.module_utils._transaction_options import (
    ARGUMENT_SPEC,
    pack,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._plain import plain

# As ansible.builtin.template sets them, so that a template looks the same in both.
_OVERRIDES = {"trim_blocks": True, "lstrip_blocks": False, "newline_sequence": "\n"}


class ActionModule(ActionBase):
    """The control node's half of config_transaction."""

    TRANSFERS_FILES = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Check the options, render all files, execute the module once."""
        variables = task_vars or {}
        result: dict[str, Any] = super().run(tmp, variables)
        _validation, args = self.validate_argument_spec(argument_spec=ARGUMENT_SPEC)
        if args.get("contents") is not None:
            raise AnsibleActionFail("contents: this option is set by the action plugin only.")
        present = args["state"] == "present"
        files = args["files"] if present else []
        contents = {
            str(item["path"]): self._content(item, f"files[{index}]", args["name"], variables)
            for index, item in enumerate(files)
        }
        bare = [{**item, "content": None} for item in files]
        module_args = {**args, "files": bare, "contents": pack(contents)}
        result.update(
            self._execute_module(
                module_name="koprogo.observability.config_transaction",
                module_args=module_args,
                task_vars=variables,
            )
        )
        return result

    def _content(
        self, item: Mapping[str, Any], option: str, name: str, variables: Mapping[str, Any]
    ) -> str:
        where = f"{option} ({item['path']})"
        template, content = item.get("template"), item.get("content")
        if (template is None) == (content is None):
            found = "neither" if template is None else "both"
            raise AnsibleActionFail(f"{where}: expected either template or content, found {found}.")
        if template is None:
            return _text(content, item["path"])
        destination = f"/etc/koprogo/{name}/{item['path']}"
        try:
            rendered = self._render(template, destination, variables)
        except AnsibleError as error:
            raise AnsibleActionFail(
                f"{where}: template '{template}' cannot be rendered: {error}", obj=template
            ) from error
        return _text(rendered, item["path"])

    def _render(self, template: str, destination: str, variables: Mapping[str, Any]) -> Any:
        """Render as ansible.builtin.template does: same search path, variables, settings."""
        source = Path(self._find_needle("templates", template))
        text = trust_as_template(self._loader.get_text_file_contents(str(source)))
        roots = [
            *variables.get("ansible_search_path", []),
            self._loader.get_basedir(),
            str(source.parent),
        ]
        search = [path for root in roots for path in (os.path.join(root, "templates"), root)]  # noqa: PTH118
        templar = self._templar.copy_with_new_env(
            searchpath=search,
            available_variables={**_template_variables(source, template, destination), **variables},
        )
        return templar.template(text, escape_backslashes=False, overrides=_OVERRIDES)


def _template_variables(source: Path, template: str, destination: str) -> dict[str, Any]:
    """The variables that templates expect; none that changes by itself from run to run."""
    status = source.stat()
    host, owner = os.uname().nodename, _owner(source, status.st_uid)
    managed = str(C.config.get_config_value("DEFAULT_MANAGED_STR"))
    managed = managed.format(host=host, uid=owner, file=template)
    return {
        "ansible_managed": time.strftime(managed, time.localtime(status.st_mtime)),
        "template_host": host,
        "template_path": template,
        "template_fullpath": str(source),
        "template_destpath": destination,
        "template_uid": owner,
    }


def _owner(source: Path, uid: int) -> str:
    try:
        return source.owner()
    except KeyError:
        return str(uid)


def _text(content: Any, path: str) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return str(content)
    if str(path).endswith(".json"):
        return json.dumps(plain(content), indent=2, ensure_ascii=False, default=str) + "\n"
    if isinstance(content, Mapping | list):
        text: str = yaml.dump(
            plain(content),
            Dumper=AnsibleDumper,
            allow_unicode=True,
            default_flow_style=False,
            sort_keys=False,
            width=120,
        )
        return f"---\n{text}"
    return str(content)
