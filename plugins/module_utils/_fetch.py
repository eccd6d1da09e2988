# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Bring a file to the host and prove that it is the expected one."""

from __future__ import annotations

import base64
import errno
import hashlib
import http.client
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any, BinaryIO

from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    InputError,
    KoprogoError,
    NoSpaceError,
)

__all__ = [
    "SourceError",
    "ask",
    "check_digest",
    "digest_of",
    "fetch",
    "is_url",
    "parse_sha256",
    "pick",
    "refuse_userinfo",
    "shown_url",
    "url_secrets",
]

_CHUNK = 1 << 20
_SCHEMES = ("https", "http", "file")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class SourceError(KoprogoError):
    """A file cannot be had, or is not the expected one; nothing was changed."""


def is_url(source: str) -> bool:
    """Whether the host fetches the source itself; otherwise it is a path on the control node."""
    return "://" in source


def pick(value: str | Mapping[str, str] | None, *, architecture: str, option: str) -> str:
    """Return the value for this architecture: a plain text is the same for all of them."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if not isinstance(value, Mapping):
        raise InputError(
            f"{option}: expected a text or a mapping by architecture, found {value!r}."
        )
    if architecture not in value:
        known = ", ".join(sorted(value)) or "none"
        raise InputError(
            f"{option}: expected an entry for this host's architecture {architecture}, found only {known}."
        )
    return str(value[architecture]).strip()


def parse_sha256(text: str, *, option: str) -> str:
    """Return the digest as 64 lower-case hexadecimal digits."""
    digest = text.strip().lower().removeprefix("sha256:")
    if not digest:
        raise InputError(
            f"{option}: expected the sha256 of the file, found nothing. "
            "A file without a checksum is never installed; compute it with sha256sum."
        )
    if not _SHA256.fullmatch(digest):
        raise InputError(f"{option}: expected 64 hexadecimal digits, found '{text}'.")
    return digest


def digest_of(file: BinaryIO) -> str:
    """Return the sha256 of an open file, and leave it at its beginning."""
    file.seek(0)
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()


def check_digest(found: str, *, expected: str, source: str) -> None:
    """Refuse a file that is not the expected one."""
    if found != expected:
        raise SourceError(
            f"{shown_url(source)}: expected sha256 {expected}, found {found}. Nothing was changed; "
            "give the right checksum, or the right file.",
            expected_sha256=expected,
            found_sha256=found,
        )


def shown_url(url: str) -> str:
    """Return the source without a user name, password or query: those may be secret."""
    if not is_url(url):
        return url
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urllib.parse.urlunsplit((parts.scheme, host, parts.path, "", ""))


def url_secrets(*urls: Any) -> set[str]:
    """What no output may show of these sources: passwords, and names that stand without one.

    A source may be a mapping by architecture, as in C(pick), or nothing.
    """
    found: set[str] = set()
    for one in urls:
        if isinstance(one, Mapping):
            found |= url_secrets(*one.values())
        elif isinstance(one, str) and is_url(one):
            user, _colon, password = _userinfo(one).partition(":")
            secret = password or user
            found |= {secret, urllib.parse.unquote(secret)} - {""}
    return found


def refuse_userinfo(url: str, *, option: str) -> None:
    """Refuse a repository's address with credentials: apt's sources are for everybody to read."""
    if is_url(url) and _userinfo(url):
        raise InputError(
            f"{option}: expected {shown_url(url)}, found it with a user name or password, which every user "
            "of the host could read in apt's sources. Put these into a file of mode 0600 in "
            "/etc/apt/auth.conf.d on the host (apt_auth.conf(5)) and leave them out here."
        )


def _userinfo(url: str) -> str:
    # Not urlsplit, which refuses some texts that are no URLs with an error of its own.
    return re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0].rpartition("@")[0]


def fetch(url: str, into: BinaryIO, *, stall: float = 30.0, total: float = 900.0) -> str:
    """Download into an open file and return the sha256 of what came.

    ``stall`` is how many seconds the other side may be silent, ``total`` how many the
    whole download may take. Proxies are those of the environment.
    """
    request = _request(url)
    deadline = time.monotonic() + total
    digest = hashlib.sha256()
    try:
        # The scheme was checked in _request.
        with urllib.request.build_opener().open(request, timeout=stall) as answer:
            expected = answer.headers.get("Content-Length")
            size = 0
            while chunk := answer.read(_CHUNK):
                if time.monotonic() > deadline:
                    raise SourceError(
                        f"{shown_url(url)}: the download took longer than {total:g} s."
                    )
                digest.update(chunk)
                into.write(chunk)
                size += len(chunk)
        into.flush()
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, OSError) as exc:
        if isinstance(exc, OSError) and exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpaceError(f"{shown_url(url)}: no space left for the download.") from exc
        raise SourceError(
            f"{shown_url(url)}: cannot be downloaded by this host: {_reason(exc)}. "
            "Give the address of a mirror that the host reaches, or a path on the control node.",
            reason=_reason(exc),
        ) from exc
    if expected is not None and expected.isdigit() and int(expected) != size:
        raise SourceError(
            f"{shown_url(url)}: expected {expected} bytes, the connection ended after {size}."
        )
    into.seek(0)
    return digest.hexdigest()


def ask(url: str, *, timeout: float) -> str:
    """Why the file could not be downloaded, as far as its first byte tells; empty if it could."""
    try:
        with urllib.request.build_opener().open(_request(url), timeout=timeout) as answer:
            answer.read(1)
        return ""
    except InputError as exc:
        return str(exc).rstrip(".")
    except (urllib.error.URLError, http.client.HTTPException, OSError) as exc:
        return _reason(exc)


def _request(url: str) -> urllib.request.Request:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in _SCHEMES:
        raise InputError(
            f"{shown_url(url)}: expected a scheme of {', '.join(_SCHEMES)}, found '{parts.scheme}'."
        )
    userinfo, _at, host = parts.netloc.rpartition("@")
    bare = urllib.parse.urlunsplit((parts.scheme, host, parts.path, parts.query, ""))
    request = urllib.request.Request(bare, headers={"User-Agent": "koprogo-observability"})  # noqa: S310
    if userinfo:
        token = base64.b64encode(urllib.parse.unquote(userinfo).encode()).decode()
        # Not sent on to another host by a redirect.
        request.add_unredirected_header("Authorization", f"Basic {token}")
    return request


def _reason(exc: BaseException) -> str:
    if isinstance(exc, urllib.error.HTTPError):
        return f"the server answered {exc.code} {exc.reason}"
    if isinstance(exc, urllib.error.URLError):
        reason = exc.reason
        return _reason(reason) if isinstance(reason, BaseException) else str(reason)
    if isinstance(exc, TimeoutError):
        return "the server did not answer in time"
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror
    return str(exc) or type(exc).__name__
