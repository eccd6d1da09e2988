"""The list of the inventory's own variables is the one that the collection and its inventories use."""

from __future__ import annotations

import re
from pathlib import Path

from ansible_collections.koprogo.observability.plugins.plugin_utils._variables import (
    FOREIGN_PREFIX,
    VARIABLES,
)

ROOT = Path(__file__).parents[4]
#: As a template, a filter or a plugin reads one, and as an inventory, a scenario or a page sets one.
READ = re.compile(r"""(koprogo_\w+)\s*\|\s*default|(?:\.get\(|\[)["'](koprogo_\w+)["'][\],)]""")
SET = re.compile(r"^\s*(koprogo_\w+):(?:\s|$)", re.MULTILINE)
PLACES: dict[re.Pattern[str], tuple[str, ...]] = {
    READ: (
        "roles/**/*",
        "playbooks/**/*",
        "plugins/**/*.py",
        "extensions/**/*",
        "lab/playbooks/**/*",
    ),
    SET: (
        "inventories/**/*",
        "molecule/*/*.yml",
        ".config/molecule/*.yml",
        "docs/*.md",
        "README.md",
    ),
}


def test_every_variable_is_listed_and_none_that_nobody_uses() -> None:
    found = {
        name
        for pattern, globs in PLACES.items()
        for glob in globs
        for path in ROOT.glob(glob)
        if path.is_file() and path.suffix != ".pyc"
        for groups in pattern.findall(path.read_text(encoding="utf-8"))
        for name in ([groups] if isinstance(groups, str) else groups)
        if name and not name.startswith(FOREIGN_PREFIX)
    }
    assert found == set(VARIABLES)
