# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Password hashes of the sample users (PBKDF2, standard library)."""

from __future__ import annotations

import hashlib
import hmac

__all__ = ["hash_password", "verify_password"]

# Low on purpose: the lab has two cores, and a login must not look like a slow request.
ITERATIONS = 20_000


def hash_password(password: str, salt: str, iterations: int = ITERATIONS) -> str:
    """Return `pbkdf2_sha256$iterations$salt$hex`."""
    digest = hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), iterations).hex()
    return f"pbkdf2_sha256${iterations}${salt}${digest}"


def verify_password(password: str, stored: str) -> bool:
    """Compare in constant time; a malformed hash matches nothing."""
    parts = stored.split("$")
    if len(parts) != 4 or parts[0] != "pbkdf2_sha256" or not parts[1].isdigit():
        return False
    return hmac.compare_digest(hash_password(password, parts[2], int(parts[1])), stored)
