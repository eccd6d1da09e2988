# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters that judge certificates and signing requests on the control node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.koprogo.observability.plugins.plugin_utils import _certificates


def _need_library() -> None:
    if _certificates.MISSING is not None:
        raise AnsibleFilterError(
            "certificates: expected the Python library cryptography on the control node, found none "
            f"({_certificates.MISSING}); install it there, as requirements.txt does"
        )


def alternative_names(names: list[str]) -> list[str]:
    """See alternative_names.yml."""
    _need_library()
    try:
        found = [_certificates.alternative_name(str(name)) for name in names]
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error
    return list(dict.fromkeys(found))


def reissue_reasons(
    pem: str,
    *,
    names: list[str],
    fingerprint: str,
    authority: str,
    renew_before_days: int,
) -> list[str]:
    """See reissue_reasons.yml."""
    _need_library()
    return _certificates.reissue_reasons(
        str(pem),
        names=names,
        fingerprint=fingerprint,
        authority=str(authority),
        renew_before_days=renew_before_days,
    )


def checked_request(pem: str, *, common_name: str, names: list[str], fingerprint: str) -> str:
    """See checked_request.yml."""
    _need_library()
    problems = _certificates.request_problems(
        str(pem), common_name=common_name, names=names, fingerprint=fingerprint
    )
    if problems:
        raise AnsibleFilterError(
            f"signing request of {common_name}: expected one for {', '.join(names)} and nothing more; "
            + "; ".join(problems)
        )
    return str(pem)


def expiry_metrics(pem: str, authorities: str) -> str:
    """See expiry_metrics.yml."""
    _need_library()
    try:
        return _certificates.expiry_metrics(str(pem), str(authorities))
    except ValueError as error:
        raise AnsibleFilterError(f"expected certificates in PEM format: {error}") from error


class FilterModule:
    """The collection's certificate filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Map of filter names to functions."""
        return {
            "alternative_names": alternative_names,
            "checked_request": checked_request,
            "expiry_metrics": expiry_metrics,
            "reissue_reasons": reissue_reasons,
        }
