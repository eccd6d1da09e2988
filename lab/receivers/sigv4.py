# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AWS signature version 4 of a request, checked as AWS does.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping

__all__ = ["signature_errors"]

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^/]+/(?P<scope>(?P<date>\d{8})/[a-z0-9-]+/sns/aws4_request), ?"
    r"SignedHeaders=(?P<headers>[a-z0-9;-]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _signature(scope: str, stamp: str, canonical: str, secret: str) -> str:
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, _sha256(canonical.encode())])
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def signature_errors(
    method: str, path: str, headers: Mapping[str, str], body: bytes, *, secret: str
) -> Iterator[str]:
    """What is wrong with the signature; without the secret only its form is judged."""
    found = _AUTHORIZATION.fullmatch(headers.get("Authorization", ""))
    stamp = headers.get("X-Amz-Date", "")
    if method != "POST" or not found or not stamp.startswith(found["date"]):
        yield "Authorization: expected a POST with an AWS signature of version 4"
        return
    if not secret:
        return
    signed = "".join(
        f"{name}:{' '.join(headers.get(name.title(), '').split())}\n"
        for name in found["headers"].split(";")
    )
    canonical = "\n".join([method, path, "", signed, found["headers"], _sha256(body)])
    if _signature(found["scope"], stamp, canonical, secret) != found["signature"]:
        yield "Authorization: the signature is not of this request and this secret"
