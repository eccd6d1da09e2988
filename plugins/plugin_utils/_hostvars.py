# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The variables of all hosts, each asked for once.

This file is private to the collection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

__all__ = ["HostVars", "remembered"]

HostVars = Mapping[str, Mapping[str, Any]]


class _Asked(Mapping[str, Any]):
    """A mapping that asks another one for each of its values once; ``kept`` is done to what is found."""

    def __init__(self, source: Mapping[str, Any], kept: Callable[[Any], Any]) -> None:
        self._source = source
        self._kept = kept
        self._found: dict[str, Any] = {}

    def __getitem__(self, key: str) -> Any:
        if key not in self._found:
            self._found[key] = self._kept(self._source[key])
        return self._found[key]

    def __contains__(self, key: object) -> bool:
        return key in self._found or key in self._source

    def __iter__(self) -> Iterator[str]:
        return iter(self._source)

    def __len__(self) -> int:
        return len(self._source)


def remembered(hostvars: Mapping[str, Any]) -> HostVars:
    """Ansible's C(hostvars), for as long as they do not change: while one task asks.

    Its own collect all of a host's variables anew for each question, and template what is asked for. Who
    looks through all hosts and components does that some hundred times.
    """
    return _Asked(hostvars, lambda one: _Asked(one, lambda value: value))
