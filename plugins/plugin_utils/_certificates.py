# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judgements about certificates and signing requests, made on the control node without a module run.

Every function is pure but for the clock, which tests can set.

This file is private to the collection.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from ansible_collections.koprogo.observability.plugins.plugin_utils._catalogue import role_vars

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_pem_private_key,
    )
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError as error:
    MISSING: ImportError | None = error
else:
    MISSING = None

__all__ = [
    "AUTHORITIES",
    "MISSING",
    "alternative_name",
    "authority_errors",
    "expiry_metrics",
    "key_file",
    "key_fingerprint",
    "option_errors",
    "reissue_reasons",
    "request_problems",
]

METRIC = "koprogo_certificate_not_after_seconds"
#: The authorities that a host trusts, on the host.
AUTHORITIES = "/etc/koprogo/pki/ca.crt"
# Inventory names may have underscores, which host names may not: checkers accept them.
_DNS_NAME = re.compile(r"(?:\*\.)?[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?")
_SECONDS_PER_DAY = 86_400


def alternative_name(name: str) -> str:
    """C(DNS:db1) or C(IP:192.0.2.1) for a name or address; ValueError for anything else."""
    try:
        return f"IP:{ipaddress.ip_address(name)}"
    except ValueError:
        if _DNS_NAME.fullmatch(name):
            return f"DNS:{name}"
        raise ValueError(f"'{name}': expected a host name or an IP address") from None


def key_fingerprint(certificate: x509.Certificate | x509.CertificateSigningRequest) -> str:
    """SHA-256 of the public key (DER, SubjectPublicKeyInfo) in hexadecimal."""
    der = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def _names(extensions: x509.Extensions) -> set[str]:
    try:
        found = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {f"IP:{n.value}" if isinstance(n, x509.IPAddress) else f"DNS:{n.value}" for n in found}


def _usages(extensions: x509.Extensions) -> set[x509.ObjectIdentifier]:
    try:
        return set(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return set()


def _issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def reissue_reasons(
    pem: str,
    *,
    names: Iterable[str],
    fingerprint: str,
    authority: str,
    renew_before_days: int,
    now: datetime | None = None,
) -> list[str]:
    """Why a host needs a new certificate, one phrase each; empty while the present one serves.

    pem: the certificate issued last, or an empty text.
    names: the alternative names it must carry, as from C(alternative_name).
    fingerprint: of the host's public key; an empty one isn't compared.
    authority: PEM of the authority that signs now.
    """
    if not pem.strip():
        return ["none was issued yet"]
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
    except ValueError as error:
        return [f"the present one can't be read: {error}"]
    reasons = []
    left = certificate.not_valid_after_utc - (now or datetime.now(UTC))
    if left < timedelta(days=renew_before_days):
        reasons.append(f"{left.total_seconds() / _SECONDS_PER_DAY:.1f} days of validity remain")
    if fingerprint and key_fingerprint(certificate) != fingerprint:
        reasons.append("the host has another key")
    if _names(certificate.extensions) != set(names):
        reasons.append(f"it is for {', '.join(sorted(_names(certificate.extensions))) or 'nobody'}")
    if not authority.strip():
        reasons.append("there is no authority yet")
    elif not _issued_by(certificate, x509.load_pem_x509_certificate(authority.encode())):
        reasons.append("another authority signed it")
    return reasons


def request_problems(
    pem: str, *, common_name: str, names: Iterable[str], fingerprint: str
) -> list[str]:
    """What a signing request asks for beyond what this host may have; empty when it may be signed.

    The host made it, so a host that was broken into could ask for another one's name.
    """
    try:
        request = x509.load_pem_x509_csr(pem.encode())
    except ValueError as error:
        return [f"it can't be read: {error}"]
    problems = []
    if not request.is_signature_valid:
        problems.append("its signature is wrong")
    if key_fingerprint(request) != fingerprint:
        problems.append("it is for another key")
    subject = [(a.oid, a.value) for a in request.subject]
    if subject != [(NameOID.COMMON_NAME, common_name)]:
        problems.append(f"it is for subject '{request.subject.rfc4514_string()}'")
    if _names(request.extensions) != set(names):
        problems.append(f"it is for {', '.join(sorted(_names(request.extensions))) or 'nobody'}")
    if not _usages(request.extensions) <= {
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.CLIENT_AUTH,
    }:
        problems.append("it asks for other uses than TLS server and client")
    known = (
        x509.SubjectAlternativeName,
        x509.ExtendedKeyUsage,
        x509.KeyUsage,
        x509.BasicConstraints,
    )
    for extension in request.extensions:
        value = extension.value
        if not isinstance(value, known):
            problems.append(f"it has the extension {extension.oid.dotted_string}")
        if isinstance(value, x509.BasicConstraints) and value.ca:
            problems.append("it asks to be an authority")
        if isinstance(value, x509.KeyUsage) and (value.key_cert_sign or value.crl_sign):
            problems.append("it asks to sign certificates")
    return problems


def _samples(kind: str, pems: str) -> list[str]:
    samples = []
    for certificate in x509.load_pem_x509_certificates(pems.encode()):
        name = certificate.subject.rfc4514_string().replace("\\", "\\\\").replace('"', '\\"')
        seconds = int(certificate.not_valid_after_utc.timestamp())
        samples.append(f'{METRIC}{{certificate="{kind}",subject="{name}"}} {seconds}')
    # The same certificate twice would be a duplicate sample, which fails the whole scrape.
    return list(dict.fromkeys(samples))


def _public_key(option: str, text: str) -> tuple[bytes, str]:
    """The public key of a certificate or private key in PEM format, and what is wrong with it."""
    try:
        if option == "pki_private_key":
            key = load_pem_private_key(text.encode(), None).public_key()
        else:
            key = x509.load_pem_x509_certificates(text.encode())[0].public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The error may show a part of the key.
        what = "an unencrypted key" if option == "pki_private_key" else "certificates"
        return b"", f"{option}: expected {what} in PEM format, found a text that can't be read"
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), ""


def option_errors(variables: Mapping[str, Any]) -> list[str]:
    """One sentence for each mistake in certificates of the user's own.

    variables: the host's C(pki_*), templated and of the right types. Whether the host has the key where
    C(pki_private_key) is empty, only the host can say.
    """
    names = ("pki_certificate", "pki_ca_certificate", "pki_private_key")
    texts = {name: str(variables.get(name) or "") for name in names}
    if not texts["pki_certificate"]:
        return []
    errors = []
    if not texts["pki_ca_certificate"].strip():
        errors.append(
            "pki_ca_certificate: expected the authorities of pki_certificate, found nothing"
        )
    if MISSING:
        return errors
    keys = {name: _public_key(name, text) for name, text in texts.items() if text.strip()}
    errors += [problem for _key, problem in keys.values() if problem]
    own = [keys[name][0] for name in ("pki_certificate", "pki_private_key") if name in keys]
    if all(own) and len(set(own)) > 1:
        errors.append("pki_private_key: expected the key of pki_certificate, found another one")
    return errors


def authority_errors(
    pem: str, *, deployment: str, names: Iterable[str], kept: Collection[str], directory: str
) -> list[str]:
    """One sentence where the authority that a host trusts is to be used on, and is kept somewhere else.

    A run without it would make another one of the same name, and hosts that have the one would refuse
    those that have the other.

    pem: the authorities that the host trusts, PEM, possibly empty.
    names: of the authorities that it is to trust; kept: of those in C(directory) on the control node.
    """
    if MISSING or not pem.strip():
        return []
    try:
        found = x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        # Nobody's authority: the run puts it right.
        return []
    trusted = {
        str(one.value)
        for certificate in found
        for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    }
    lost = [name for name in names if name not in kept and f"{deployment} ca-{name}" in trusted]
    return [
        f"pki_directory: expected the authority '{name}' that this host trusts in {directory} "
        f"(ca-{name}.key, ca-{name}.crt), found none; bring the folder from the control node that has it, "
        "or name a new authority with pki_authority"
        for name in lost
    ]


def key_file(variables: Mapping[str, Any]) -> list[dict[str, str]]:
    """The key that the host must have because it is given a certificate without one."""
    if not variables.get("pki_certificate") or variables.get("pki_private_key"):
        return []
    return [
        {
            "option": "pki_private_key",
            "expected": "the key of pki_certificate, which is not on the host either",
            "path": role_vars("pki")["__pki_key_file"],
        }
    ]


def expiry_metrics(host: str, authorities: str) -> str:
    """Text in Prometheus' exposition format: when the certificates end, in seconds since 1970."""
    lines: Sequence[str] = [
        f"# HELP {METRIC} When a certificate of this host ends, in seconds since 1970.",
        f"# TYPE {METRIC} gauge",
        *_samples("host", host),
        *_samples("authority", authorities),
    ]
    return "\n".join(lines) + "\n"
