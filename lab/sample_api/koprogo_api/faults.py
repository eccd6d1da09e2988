# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults that can be switched on while the API runs: what may be asked, and how it is read.

The control file is JSON, written by root. It is bounded: no value in it can ask for more than the
limits below, and an unreadable file means no fault at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields

__all__ = [
    "Errors",
    "FaultError",
    "Faults",
    "Hang",
    "Latency",
    "Leak",
    "merge",
    "parse_assignments",
    "parse_faults",
]

MAX_LEAK_MB = 1024
MAX_LATENCY_SECONDS = 60.0


class FaultError(ValueError):
    """A fault was described wrongly."""


@dataclass(frozen=True)
class Errors:
    """Answer `rate` (0 to 1) of the API's requests with `status` instead of serving them."""

    rate: float = 1.0
    status: int = 500

    def __post_init__(self) -> None:
        _within("errors.rate", self.rate, 0.0, 1.0)
        _within("errors.status", self.status, 500, 504)


@dataclass(frozen=True)
class Latency:
    """Delay `rate` of the API's requests by `seconds`, in the application or inside the database."""

    seconds: float = 1.5
    rate: float = 1.0
    where: str = "application"

    def __post_init__(self) -> None:
        _within("latency.seconds", self.seconds, 0.0, MAX_LATENCY_SECONDS)
        _within("latency.rate", self.rate, 0.0, 1.0)
        if self.where not in ("application", "database"):
            raise FaultError(
                f"latency.where: expected application or database, found {self.where!r}"
            )


@dataclass(frozen=True)
class Hang:
    """Stop the event loop: the port is open, the process runs, nothing is answered."""


@dataclass(frozen=True)
class Leak:
    """Take `mb_per_second` more memory each second, up to `mb` MiB; given back when switched off."""

    mb: int = 200
    mb_per_second: int = 20

    def __post_init__(self) -> None:
        _within("leak.mb", self.mb, 1, MAX_LEAK_MB)
        _within("leak.mb_per_second", self.mb_per_second, 1, MAX_LEAK_MB)


@dataclass(frozen=True)
class Faults:
    """All that is switched on. `persist`: a restart of the API changes nothing.

    Without it a restart cures the API, as it would cure a real hang or leak.
    """

    errors: Errors | None = None
    latency: Latency | None = None
    hang: Hang | None = None
    leak: Leak | None = None
    persist: bool = False

    def active(self) -> list[str]:
        """Names of the faults that are on."""
        return [name for name in _KINDS if getattr(self, name) is not None]

    def to_json(self) -> str:
        """The control file's content; a fault that is off has no key."""
        raw = {key: value for key, value in asdict(self).items() if value is not None}
        return json.dumps(raw, sort_keys=True) + "\n"


_KINDS: dict[str, type[Errors] | type[Latency] | type[Hang] | type[Leak]] = {
    "errors": Errors,
    "latency": Latency,
    "hang": Hang,
    "leak": Leak,
}


def _within(name: str, value: object, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise FaultError(f"{name}: expected a number from {low:g} to {high:g}, found {value!r}")


def _build(kind: str, options: object) -> Errors | Latency | Hang | Leak:
    if not isinstance(options, Mapping):
        raise FaultError(f"{kind}: expected an object of options, found {options!r}")
    known = {field.name for field in fields(_KINDS[kind])}
    unknown = sorted(set(options) - known)
    if unknown:
        raise FaultError(f"{kind}: unknown option {unknown[0]!r}, expected one of {sorted(known)}")
    return _KINDS[kind](**options)


def parse_faults(text: str) -> Faults:
    """Read the control file. Empty text means no fault; anything wrong raises FaultError."""
    if not text.strip():
        return Faults()
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise FaultError(f"control file: expected JSON, found {error}") from None
    if not isinstance(raw, dict):
        raise FaultError(f"control file: expected an object, found {type(raw).__name__}")
    unknown = sorted(set(raw) - set(_KINDS) - {"persist"})
    if unknown:
        raise FaultError(f"unknown fault {unknown[0]!r}, expected one of {sorted(_KINDS)}")
    persist = raw.pop("persist", False)
    if not isinstance(persist, bool):
        raise FaultError(f"persist: expected true or false, found {persist!r}")
    built = {kind: _build(kind, options) for kind, options in raw.items()}
    return Faults(**built, persist=persist)  # type: ignore[arg-type]


def parse_assignments(pairs: Sequence[str]) -> dict[str, object]:
    """Turn `rate=0.5 status=503` of a command line into typed options."""
    options: dict[str, object] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise FaultError(f"expected name=value, found {pair!r}")
        try:
            options[name] = json.loads(value)
        except ValueError:
            options[name] = value
    return options


def merge(
    current: Faults, kind: str, options: Mapping[str, object] | None, *, persist: bool
) -> Faults:
    """Switch one fault on (`options`) or off (`None`), leaving the others as they are."""
    if kind not in _KINDS:
        raise FaultError(f"unknown fault {kind!r}, expected one of {sorted(_KINDS)}")
    raw: dict[str, object] = json.loads(current.to_json())
    raw.pop(kind, None)
    if options is not None:
        raw[kind] = dict(options)
    raw["persist"] = persist
    return parse_faults(json.dumps(raw))
