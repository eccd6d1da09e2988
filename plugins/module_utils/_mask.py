# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Keep secrets out of every message, difference and result."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterable
from typing import Any

__all__ = ["MASK", "Masker"]

MASK = "********"

# A line of a multi-line secret (a PEM key) is masked on its own from this length on;
# shorter ones would blank out unrelated text.
_SHORTEST_LINE = 8


class Masker:
    """Replaces secrets in text, also where a tool shows them quoted, encoded or line by line."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Prepare the forms of each secret; empty ones are ignored."""
        forms: set[str] = set()
        for secret in secrets:
            if not secret or not secret.strip():
                continue
            forms.add(secret)
            forms.add(secret.strip())
            forms.add(json.dumps(secret)[1:-1])
            forms.add(json.dumps(secret, ensure_ascii=False)[1:-1])
            forms.add(secret.replace("'", "''"))
            forms.add(urllib.parse.quote(secret, safe=""))
            forms.add(urllib.parse.quote(secret))
            forms.add(urllib.parse.quote_plus(secret))
            forms.update(
                line.strip() for line in secret.splitlines() if len(line.strip()) >= _SHORTEST_LINE
            )
        # The longest first: a secret may contain another one.
        self._forms = sorted(forms, key=lambda form: (-len(form), form))

    def text(self, text: str) -> str:
        """Return the text with every form of every secret replaced."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, MASK)
        return text

    def data(self, value: Any) -> Any:
        """Return a copy of nested lists and dicts with every string in it masked."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.data(key): self.data(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.data(item) for item in value]
        return value
