"""A role's templates as a host gets them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import jinja2
import yaml
from ansible.plugins.filter.core import FilterModule

__all__ = ["program", "rendered", "tasks", "variables"]

ROLES = Path(__file__).parents[3] / "roles"


def rendered(role: str, template: str, **values: Any) -> str:
    """The text of a template, with Ansible's settings. A variable that is not given is an error."""
    environment = jinja2.Environment(
        autoescape=False,  # noqa: S701 - no HTML
        trim_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= FilterModule().filters()
    text = (ROLES / role / "templates" / template).read_text(encoding="utf-8")
    return environment.from_string(text).render(ansible_managed="Ansible managed", **values)


def program(role: str, template: str, **values: Any) -> ModuleType:
    """A program in Python that a role brings, loaded and not run."""
    module = ModuleType(f"{role}_{Path(template).stem}")
    exec(compile(rendered(role, template, **values), template, "exec"), vars(module))  # noqa: S102
    return module


def variables(role: str) -> dict[str, Any]:
    """What a role's C(vars) say, before templating."""
    found: dict[str, Any] = yaml.safe_load((ROLES / role / "vars/main.yml").read_text("utf-8"))
    return found


def tasks(role: str, file: str = "main.yml") -> list[dict[str, Any]]:
    """A role's tasks in their order, without the blocks around them."""

    def flat(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        found = []
        for entry in entries:
            found += flat(entry["block"]) if "block" in entry else [entry]
        return found

    return flat(yaml.safe_load((ROLES / role / "tasks" / file).read_text("utf-8")))
