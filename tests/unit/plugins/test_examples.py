# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each plugin's EXAMPLES are what it takes: a module's by its argument spec, a filter's by its signature."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import jinja2.nodes
import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

ROOT = Path(__file__).parents[3]
COLLECTION = "koprogo.observability"
MODULES = sorted(path.stem for path in ROOT.glob("plugins/modules/*.py"))
FILTERS = sorted(path.stem for path in ROOT.glob("plugins/filter/*.yml"))
_CHECKS = (
    "mutually_exclusive", "required_together", "required_one_of", "required_if", "required_by",
)  # fmt: skip


def plugin(kind: str, name: str) -> Any:
    return importlib.import_module(f"ansible_collections.{COLLECTION}.plugins.{kind}.{name}")


class _Made(Exception):  # noqa: N818 - no error: a module's AnsibleModule, and no more is wanted of it
    pass


def validator_of(module: Any) -> ArgumentSpecValidator:
    """What AnsibleModule checks a task's options with."""
    made: dict[str, Any] = {}

    def make(**arguments: Any) -> None:
        made.update(arguments)
        raise _Made

    with pytest.MonkeyPatch.context() as patch, pytest.raises(_Made):
        made_of = "AnsibleModule" if hasattr(module, "AnsibleModule") else "ActingModule"
        patch.setattr(module, made_of, make)
        module.main()
    checks = {key: made[key] for key in _CHECKS if key in made}
    return ArgumentSpecValidator(made["argument_spec"], **checks)


def tasks_of(text: str, name: str) -> Iterator[dict[str, Any]]:
    """The options of each task that calls a module."""
    for task in yaml.safe_load(text):
        for key, options in task.items():
            if key == f"{COLLECTION}.{name}":
                yield options or {}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_takes_its_examples(name: str) -> None:
    module = plugin("modules", name)
    tasks = list(tasks_of(module.EXAMPLES, name))
    assert tasks, "no example calls it"
    for options in tasks:
        assert validator_of(module).validate(options).error_messages == [], options


def test_an_example_that_is_wrong_is_found() -> None:
    validator = validator_of(plugin("modules", "remediation_ledger"))
    for options in ({"stat": "read"}, {"state": "closed"}, {"state": "open"}, {"limit": "many"}):
        assert validator.validate(options).error_messages


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_takes_its_examples(name: str) -> None:
    text = yaml.safe_load((ROOT / f"plugins/filter/{name}.yml").read_text("utf-8"))["EXAMPLES"]
    known: dict[str, Any] = {}
    for path in ROOT.glob("plugins/filter/*.py"):
        known |= plugin("filter", path.stem).FilterModule().filters()
    tree = jinja2.Environment(autoescape=True).parse(text)
    calls = [
        call
        for call in tree.find_all(jinja2.nodes.Filter)
        if call.name.startswith(f"{COLLECTION}.")
    ]
    assert f"{COLLECTION}.{name}" in [call.name for call in calls]
    for call in calls:
        signature = inspect.signature(known[call.name.removeprefix(f"{COLLECTION}.")])
        signature.bind(call.node, *call.args, **{str(pair.key): pair.value for pair in call.kwargs})
