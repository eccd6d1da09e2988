"""A role's templates and tasks as a host gets them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

__all__ = ["loaded", "program", "rendered", "tasks", "templated"]

ROLES = Path(__file__).parents[1] / "roles"


def rendered(role: str, template: str, **values: Any) -> str:
    """The text of a template, with the role's own variables and these."""
    text = (ROLES / role / "templates" / template).read_text(encoding="utf-8")
    made = templated(role, trust_as_template(text), ansible_managed="Ansible managed", **values)
    assert isinstance(made, str)
    return made


def program(role: str, template: str, **values: Any) -> ModuleType:
    """A program in Python that a role brings, loaded and not run."""
    module = ModuleType(f"{role}_{Path(template).stem}")
    text = rendered(role, template, **values)
    exec(compile(text, template, "exec"), vars(module))  # noqa: S102 - it is the role's own text
    return module


def loaded(role: str, file: str) -> Any:
    """A role's file of YAML as Ansible reads it, not templated yet."""
    return DataLoader().load_from_file(str(ROLES / role / file), trusted_as_template=True)


def templated(role: str, expression: Any, **values: Any) -> Any:
    """What Ansible makes of something in a role's tasks, with the role's own variables."""
    known = {**loaded(role, "defaults/main.yml"), **loaded(role, "vars/main.yml"), **values}
    return Templar(loader=DataLoader(), variables=known).template(expression)


def tasks(role: str, file: str = "main.yml") -> dict[str, dict[str, Any]]:
    """A role's tasks by name, in their order, without the blocks around them."""

    def flat(entries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for entry in entries:
            found |= flat(entry["block"]) if "block" in entry else {entry["name"]: entry}
        return found

    return flat(loaded(role, f"tasks/{file}"))
