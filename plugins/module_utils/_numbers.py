# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Numbers in options: Ansible takes C(nan) and C(inf) for a float, and a wait of C(nan) never ends."""

from __future__ import annotations

from ansible_collections.koprogo.observability.plugins.module_utils._errors import InputError

__all__ = ["DAY", "within"]

#: The longest that any option lets a module wait, in seconds.
DAY = 86_400


def within(name: str, value: float, lowest: float, highest: float) -> None:
    """InputError unless an option's number is in its range; C(nan) is in none."""
    if not lowest <= value <= highest:
        raise InputError(
            f"{name}: expected from {lowest:.15g} to {highest:.15g}, found {value:.15g}."
        )
