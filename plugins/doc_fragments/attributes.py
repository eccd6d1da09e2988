# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Attributes that modules of the collection share."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation fragments; a module names one by ``koprogo.observability.attributes``."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check mode and tell what it would change, without changing it.
  diff_mode:
    description: Shows what changes, or would change, when C(--diff) is given.
  idempotent:
    description: A second run with the same options and nothing else changed does nothing.
"""

    # A module that has an action plugin of the same name.
    ACTION = r"""
options: {}
attributes:
  action:
    description: A part of the work is done on the control node, by an action plugin.
"""

    # A module that only reads.
    INFO = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check mode and tell what it would change, without changing it.
    support: full
    details:
      - This module reads only.
  diff_mode:
    description: Shows what changes, or would change, when C(--diff) is given.
    support: N/A
    details:
      - This module reads only.
  idempotent:
    description: A second run with the same options and nothing else changed does nothing.
    support: full
    details:
      - This module reads only.
"""
