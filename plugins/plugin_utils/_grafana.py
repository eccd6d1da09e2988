# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Grafana takes for a password.

This file is private to the collection.
"""

from __future__ import annotations

__all__ = ["password_problem"]

_SHORTEST = 5


def password_problem(password: str) -> str:
    """Why Grafana can't be given this password for its administrator; empty if there is no reason."""
    where = "grafana_admin_password"
    if not password:
        return f"{where}: expected a password, found nothing"
    if len(password) < _SHORTEST:
        return f"{where}: expected at least {_SHORTEST} characters, found fewer"
    if len(password.splitlines()) > 1:
        return f"{where}: expected one line, found several"
    return ""
