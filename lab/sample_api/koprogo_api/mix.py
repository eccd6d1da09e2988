# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the traffic generator asks, how often, and as whom. Pure and reproducible from a seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["CLIENTS", "MIX", "Step", "choose", "client_for", "percentile", "shares"]


@dataclass(frozen=True)
class Step:
    """One kind of request; `weight` is its share of the traffic relative to the others."""

    name: str
    weight: float
    slow: bool = False
    fails: bool = False


MIX: tuple[Step, ...] = (
    Step("buildings", 24),
    Step("building", 8),
    Step("expenses", 24),
    Step("expense_create", 2),
    Step("expense_validate", 2),
    Step("payments", 14),
    Step("payment_pay", 2),
    Step("users", 6),
    Step("user_create", 0.05),
    Step("login", 5),
    Step("login_failed", 3, fails=True),
    Step("report", 3),
    # Above the second of the SlowApi alert: well below one request in a hundred.
    Step("report_full", 0.4, slow=True),
    Step("unknown", 0.8, fails=True),
)

# Addresses reserved for documentation (RFC 5737, RFC 3849): nobody's, so a ban harms nobody.
CLIENTS: tuple[str, ...] = tuple(
    [f"192.0.2.{n}" for n in range(10, 40)]
    + [f"198.51.100.{n}" for n in range(10, 30)]
    + [f"2001:db8::{n:x}" for n in range(16, 26)]
)

AGENTS: tuple[str, ...] = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15",
    "KoproGo-Mobile/2.4 (Android 14)",
    "koprogo-cli/1.1",
)


def choose(rng: random.Random, mix: Sequence[Step] = MIX) -> Step:
    """Draw one step according to the weights."""
    return rng.choices(mix, weights=[step.weight for step in mix])[0]


def client_for(rng: random.Random) -> tuple[str, str]:
    """Draw a client: address and user agent. The same address always has the same agent."""
    number = rng.randrange(len(CLIENTS))
    return CLIENTS[number], AGENTS[number % len(AGENTS)]


def shares(mix: Sequence[Step] = MIX) -> dict[str, float]:
    """The part of the traffic of each step, 0 to 1."""
    total = sum(step.weight for step in mix)
    return {step.name: step.weight / total for step in mix}


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest-rank percentile; `share` from 0 to 1. 0.0 for no values."""
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"share: expected 0 to 1, found {share}")
    if not values:
        return 0.0
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * round(share * 1_000_000) // 1_000_000))
    return ordered[rank - 1]
