# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""What a module did or would do, collected while it goes, and shown as a difference."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Outcome"]


@dataclass(kw_only=True)
class Outcome:
    """Changes by what they concern, in the order in which they came."""

    before: dict[str, str] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)
    files: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        """Whether anything changed or would change."""
        return bool(self.after or self.files)

    def change(self, what: str, before: str, after: str) -> None:
        """Note a change; a second one of the same thing keeps the first state before."""
        self.before.setdefault(what, before)
        self.after[what] = after

    def change_file(self, path: str, before: str, after: str) -> None:
        """Note a change of a text file."""
        self.files.append(
            {"before_header": path, "after_header": path, "before": before, "after": after}
        )

    def result(self, *, header: str) -> dict[str, Any]:
        """Return the keys of a module's result."""
        diff = list(self.files)
        if self.after:
            diff.insert(
                0,
                {
                    "before_header": header,
                    "after_header": header,
                    "before": "".join(f"{key}: {value}\n" for key, value in self.before.items()),
                    "after": "".join(f"{key}: {value}\n" for key, value in self.after.items()),
                },
            )
        return {
            "changed": self.changed,
            "notes": self.notes,
            "kept": self.kept,
            "diff": diff,
            **self.facts,
            **({"warnings": self.warnings} if self.warnings else {}),
        }
