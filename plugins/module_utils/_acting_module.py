# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""The module that acts on an alert: options that cannot be are refused by it, whoever notices them first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.koprogo.observability.plugins.module_utils._errors import InputError

__all__ = ["ActingModule"]


class ActingModule(AnsibleModule):
    """AnsibleModule, whose own check of the options ends as InputError does and not as a run that broke.

    ``explain`` says of the options as they were given what is wrong with them, empty if it does not know;
    then Ansible's own sentence stands.
    """

    def __init__(
        self, *, explain: Callable[[Mapping[str, Any]], str] | None = None, **arguments: Any
    ) -> None:
        """``arguments`` are those of AnsibleModule, which checks the options here."""
        self._explain = explain
        self._given: dict[str, Any] = {}
        self._made = False
        super().__init__(**arguments)
        self._made = True

    def _load_params(self) -> None:
        """Keep what was given: of what it cannot convert the check leaves out the rest."""
        super()._load_params()
        self._given = dict(self.params)

    def fail_json(self, msg: str, **result: Any) -> None:
        """End the module; before it is made nothing was touched, and that is a refusal."""
        if not self._made:
            said = self._explain(self._given) if self._explain else ""
            result |= InputError(said or msg).as_result()
            msg = result.pop("msg")
        super().fail_json(msg, **result)
