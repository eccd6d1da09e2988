# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write docs/roles.md from the roles' argument specifications and the inventory's own variables.

Run in the virtual environment: it needs PyYAML and Ansible's loader of collections.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.plugins.loader import init_plugin_loader

__all__ = ["TARGET", "reference"]

_ROOT = Path(__file__).resolve().parents[1]
TARGET = _ROOT / "docs" / "roles.md"
_HEAD = """# Roles and their options

Made by `make docs` from each role's `meta/argument_specs.yml`. `site.yml` checks every option before
anything is changed; an unknown one is an error.
"""
_COMMON = """## The inventory's own variables

They belong to no single role. Names that begin with `koprogo_` are the collection's: an unknown one is an
error too.
"""
_TABLE = "| option | type | default | meaning |\n| --- | --- | --- | --- |"


def _text(value: str | list[str]) -> str:
    """Plain Markdown of a description: Ansible's markup becomes code."""
    joined = " ".join(value) if isinstance(value, list) else value
    joined = re.sub(r"\b[CVOEM]\(([^()]*(?:\([^()]*\)[^()]*)*)\)", r"`\1`", joined)
    return " ".join(joined.split()).replace("|", "\\|")


def _type(option: Mapping[str, Any]) -> str:
    kind = str(option.get("type", "str"))
    if "elements" in option:
        kind += f" of {option['elements']}"
    if option.get("choices"):
        kind += ": " + ", ".join(f"`{c}`" for c in option["choices"])
    return kind


def _default(option: Mapping[str, Any]) -> str:
    if option.get("required"):
        return "required"
    if option.get("default") is None:
        return ""
    text = json.dumps(option["default"], ensure_ascii=False).replace("|", "\\|")
    return f"`{text}`"


def _options(options: Mapping[str, Any], prefix: str = "") -> list[str]:
    rows = []
    for name, option in options.items():
        cells = (f"`{prefix}{name}`", _type(option), _default(option), _text(option["description"]))
        rows.append(f"| {' | '.join(cells)} |")
        rows += _options(option.get("options", {}), f"{prefix}{name}.")
    return rows


def reference() -> str:
    """The whole page."""
    # Only now: the loader makes the collection importable.
    from ansible_collections.koprogo.observability.plugins.plugin_utils import (  # noqa: PLC0415
        _variables,
    )

    parts = [_HEAD, _COMMON, "\n".join([_TABLE, *_options(_variables.VARIABLES)]) + "\n"]
    for path in sorted(_ROOT.glob("roles/*/meta/argument_specs.yml")):
        spec = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]["main"]
        parts.append(f"## {path.parents[1].name}\n\n{_text(spec.get('description', ''))}\n")
        rows = _options(spec.get("options") or {})
        if rows:
            parts.append("\n".join([_TABLE, *rows]) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    init_plugin_loader([str(_ROOT / "collections")])
    TARGET.write_text(reference(), encoding="utf-8")
