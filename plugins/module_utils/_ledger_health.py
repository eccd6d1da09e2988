# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Whether a ledger is whole and was vouched for, so that what it does not say can be believed."""

from __future__ import annotations

from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._ledger_retention import gaps_of
from ansible_collections.koprogo.observability.plugins.module_utils._ledger_store import (
    Reading,
    Store,
)

__all__ = ["health_of"]


def health_of(store: Store, reading: Reading) -> dict[str, Any]:
    """Whether what was read can be trusted for a destructive action, and why not."""
    problems = []
    trusted_at, trusted = "", 0
    for entry in reading.entries:
        if entry.get("phase") == "ledger":
            trusted_at, trusted = str(entry.get("uid", "")), int(entry.get("seq", 0))
    if not reading.exists:
        problems.append("it does not exist")
    elif not trusted_at:
        problems.append("it was not made by provisioning: an earlier one may be lost")
    fine = store.damaged_before(trusted_at) if trusted_at else []
    damaged = [number for number in reading.damaged if number not in fine]
    gaps = gaps_of(reading.entries, since=trusted)
    if damaged:
        problems.append(f"damaged lines: {', '.join(map(str, damaged))}")
    elif gaps:
        problems.append(f"missing entries: {', '.join(gaps)}")
    if reading.end:
        problems.append(reading.end)
    return {
        "path": store.path,
        "trusted": not problems,
        "problems": problems,
        "damaged_lines": damaged,
        "missing_entries": gaps,
        "torn_bytes": reading.torn,
        "entries": len(reading.entries),
        "stored": reading.stored,
    }
