# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of modules whose actions pass the guard of the host's ledger."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation fragment; a module names it by ``koprogo.observability.guard``."""

    DOCUMENTATION = r"""
options:
  alert:
    description: The alert because of which it is done; written to the ledger.
    type: str
    default: ''
  evidence_sha256:
    description:
      - The digest of the evidence that was saved before, 64 hexadecimal digits.
      - Without it the digest of what the module itself saw is written to the ledger.
    type: str
  run_by:
    description: Who runs it, for the ledger; the user who signed in if empty.
    type: str
    default: ''
  automatic:
    description: Whether no human started it. A destructive action is refused then.
    type: bool
    default: false
  verdict_follows:
    description:
      - Whether M(koprogo.observability.remediation_ledger) will tell what came of it, as a verdict. Until
        then a run that helped by its own account is inconclusive.
    type: bool
    default: false
  cool_down:
    description:
      - Seconds between the end of a run of this action on this host and the next, at least 30.
      - Without it 120 for a safe action, 300 for a lossy and 3600 for a destructive one.
    type: float
  budget:
    description:
      - Runs of this action on this host within O(budget_window), from 1 to 20.
      - Without it 5 for a safe action, 4 for a lossy and 1 for a destructive one.
    type: int
  budget_window:
    description:
      - Seconds that O(budget) counts, at least 600.
      - Without it an hour for a safe action, six hours for a lossy and a day for a destructive one.
    type: float
  breaker_after:
    description:
      - Runs in a row without effect after which the action is refused until a human closes the breaker
        with M(koprogo.observability.remediation_ledger), from 1 to 5.
      - Without it 3, and 1 for a destructive action.
    type: int
  ledger:
    description: The ledger's path on the host; C(/var/lib/koprogo/remediation/ledger.jsonl) without it.
    type: path
"""
