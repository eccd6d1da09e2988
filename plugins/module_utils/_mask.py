# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Keep secrets out of every message, difference and result."""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Callable, Collection, Iterable
from typing import Any

__all__ = ["MASK", "Masker", "redacted", "secret_values"]

MASK = "********"

# Options that hold a secret in the configurations of Prometheus, Alertmanager, Loki, the Collector and their
# kin. One that ends in _file holds a path.
_KEY = (
    r"(?:[\w.-]*[_.-])?(?:password|passwd|passphrase|secrets?|tokens?|credentials|authorization"
    r"|(?:access|api|auth|private|routing|secret|service)[_-]key)"
)
# Alone on its line, as YAML and INI have it, or within a line, as JSON.
_LINE = re.compile(rf"""^(\s*(?:-\s+)?(["']?){_KEY}\2\s*[:=]\s*)(.*?)\s*$""", re.IGNORECASE)
_INLINE = re.compile(
    rf"""((["']){_KEY}\2\s*:\s*)("(?:[^"\\]|\\.)*"|'[^']*'|[^\s,\]}}"']+)""", re.IGNORECASE
)
# Whatever the option is called, TLS's C(key) or a file's whole content.
_PEM = re.compile(r"-----BEGIN ([A-Z ]*)PRIVATE KEY-----.*?-----END \1PRIVATE KEY-----", re.DOTALL)
_URL = re.compile(r"(://[^/\s:@'\"]*:)([^@\s/'\"]+)(?=@)")
_BLOCK = re.compile(r"[|>][+-]?\d?")
# What such an option says when it says nothing secret.
_PLAIN = {"", "true", "false", "null", "~", "{}", "[]", "<secret>"}

# A line of a multi-line secret (a PEM key) is masked on its own from this length on;
# shorter ones would blank out unrelated text.
_SHORTEST_LINE = 8


def _quoteless(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _rewritten(text: str, mask: Callable[[str], str]) -> str:
    """The text with what looks like a secret by its place replaced by what C(mask) makes of it."""
    lines = []
    text = _PEM.sub(lambda m: mask(m[0]), text)
    # Indentation of the option whose value goes on below it, and whether as a list.
    above, is_list = -1, False
    for line in text.splitlines(keepends=True):
        bare = line.strip()
        indent = len(line) - len(line.lstrip())
        item = bare.startswith("- ")
        if above >= 0 and bare and (item and indent >= above if is_list else indent > above):
            start = indent + 2 * is_list
            lines.append(f"{line[:start]}{mask(_quoteless(line[start:].strip()))}\n")
            continue
        if bare:
            above = -1
        match = _LINE.match(line)
        if match is None:
            shown = _INLINE.sub(lambda m: f"{m[1]}{mask(_quoteless(m[3]))}", line)
            lines.append(_URL.sub(lambda m: f"{m[1]}{mask(m[2])}", shown))
            continue
        value = match[3]
        if _BLOCK.fullmatch(value) or not value:
            above, is_list = indent, not value
            lines.append(line)
        elif _quoteless(value).lower() in _PLAIN:
            lines.append(line)
        else:
            lines.append(f"{match[1]}{mask(_quoteless(value))}{line[len(line.rstrip()) :]}")
    return "".join(lines)


def secret_values(text: str) -> set[str]:
    """What a configuration holds in options that are secret by their name, and in its URLs' passwords."""
    found: set[str] = set()

    def keep(value: str) -> str:
        found.add(value)
        return value

    _rewritten(text, keep)
    return found


def redacted(text: str, which: str, unchanged: Collection[str]) -> str:
    """A configuration for people to read; secrets that are not C(unchanged) say C(which) they are."""
    return _rewritten(text, lambda value: MASK if value in unchanged else f"{MASK} ({which})")


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
