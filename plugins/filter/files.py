# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters that shape data for O(config_transaction#module:files)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml
from ansible.errors import AnsibleFilterError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as such, for the person who reads the file."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def as_files(contents: Mapping[str, Any], path: str, **options: Any) -> list[dict[str, Any]]:
    """See as_files.yml."""
    if not isinstance(contents, Mapping):
        raise AnsibleFilterError(
            f"as_files: expected a dictionary of names to contents, found {type(contents).__name__}"
        )
    files = []
    for name, content in sorted(contents.items()):
        if not _NAME.fullmatch(name):
            raise AnsibleFilterError(
                f"as_files: expected a file name of letters, digits, '.', '_' and '-', found '{name}'"
            )
        text = content
        if not isinstance(content, str):
            text = yaml.dump(
                _plain(content), Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True
            )
        files.append({"path": path.format(name=name), "content": text, **options})
    return files


def _plain(value: Any) -> Any:
    """A copy of plain types: Ansible's tagged strings and dictionaries have no YAML form."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, bool) or value is None:
        return value
    for plain in (int, float, str):
        if isinstance(value, plain):
            return plain(value)
    return str(value)


class FilterModule:
    """The collection's filters for configuration files."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Map of filter names to functions."""
        return {"as_files": as_files}
