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

from ansible_collections.koprogo.observability.plugins.plugin_utils._plain import plain

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
                plain(content), Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True
            )
        files.append({"path": path.format(name=name), "content": text, **options})
    return files


class FilterModule:
    """The collection's filters for configuration files."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Map of filter names to functions."""
        return {"as_files": as_files}
