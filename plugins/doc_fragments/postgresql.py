# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of modules that ask a PostgreSQL cluster on the same host."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation fragment; a module names it by ``koprogo.observability.postgresql``."""

    DOCUMENTATION = r"""
options:
  database:
    description: The database to connect to. Tables and statements are those of this database.
    type: str
    default: postgres
  socket:
    description: Directory of the server's unix socket.
    type: path
    default: /var/run/postgresql
  port:
    description: The server's port, which names the socket.
    type: int
    default: 5432
  superuser:
    description:
      - The server's superuser and operating system user.
      - It has slots of its own (C(superuser_reserved_connections)) when all others are taken.
    type: str
    default: postgres
  statement_timeout:
    description: How many seconds one question may take in the server, from 0.1 to 3600.
    type: float
    default: 10.0
"""
