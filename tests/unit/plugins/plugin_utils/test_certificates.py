"""The judgements about certificates, against certificates made here."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ansible_collections.koprogo.observability.plugins.plugin_utils._certificates import (
    alternative_name,
    authority_errors,
    expiry_metrics,
    key_file,
    key_fingerprint,
    option_errors,
    reissue_reasons,
    request_problems,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ["DNS:db1", "IP:192.0.2.7"]
SAN = x509.SubjectAlternativeName(
    [x509.DNSName("db1"), x509.IPAddress(ipaddress.ip_address("192.0.2.7"))]
)
Key = ec.EllipticCurvePrivateKey


def new_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def certificate(*, key: Key, signer: Key, issuer: str, days: int = 365, name: str = "db1") -> str:
    built = (
        x509.CertificateBuilder()
        .subject_name(subject(name))
        .issuer_name(subject(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=days))
        .add_extension(SAN, critical=False)
        .sign(signer, hashes.SHA256())
    )
    return built.public_bytes(Encoding.PEM).decode()


def request(
    key: Key, *extensions: x509.ExtensionType, name: str = "db1", signer: Key | None = None
) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject(name))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(signer or key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def fingerprint(pem: str) -> str:
    return key_fingerprint(x509.load_pem_x509_certificate(pem.encode()))


def shown(key: Key, encryption: KeySerializationEncryption | None = None) -> str:
    kept = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())
    return kept.decode()


@pytest.fixture(scope="module")
def pki() -> dict[str, Any]:
    host, ca = new_key(), new_key()
    authority = certificate(key=ca, signer=ca, issuer="ca", name="ca")
    return {
        "host": host,
        "ca": ca,
        "authority": authority,
        "pem": certificate(key=host, signer=ca, issuer="ca"),
    }


def reasons(pki: dict[str, Any], **changes: Any) -> list[str]:
    arguments = {
        "names": NAMES,
        "fingerprint": fingerprint(pki["pem"]),
        "authority": pki["authority"],
        "renew_before_days": 60,
        "now": NOW,
    }
    pem = changes.pop("pem", pki["pem"])
    return reissue_reasons(pem, **(arguments | changes))


def test_certificates_of_the_users_own_are_judged(pki: dict[str, Any]) -> None:
    own = {"pki_certificate": pki["pem"], "pki_ca_certificate": pki["authority"]}
    key = {"pki_private_key": shown(pki["host"])}
    assert option_errors({}) == option_errors(own) == option_errors(own | key) == []
    assert key_file({}) == key_file(own | key) == []
    assert [one["path"] for one in key_file(own)] == ["/var/lib/koprogo/pki/host.key"]
    for changes, expected in (
        ({"pki_ca_certificate": ""}, "pki_ca_certificate: expected the authorities of pki_cert"),
        ({"pki_ca_certificate": "x"}, "pki_ca_certificate: expected certificates in PEM format"),
        ({"pki_private_key": shown(pki["ca"])}, "pki_private_key: expected the key of pki_cert"),
        (
            {"pki_private_key": shown(pki["host"], BestAvailableEncryption(b"secret"))},
            "pki_private_key: expected an unencrypted key in PEM format",
        ),
    ):
        (error,) = option_errors(own | key | changes)
        assert error.startswith(expected)


def test_an_authority_that_hosts_trust_is_not_made_a_second_time(pki: dict[str, Any]) -> None:
    ca = pki["ca"]
    two = [certificate(key=ca, signer=ca, issuer="a", name=f"koprogo ca-{n}") for n in "12"]

    def errors(pem: str = "".join(two), **changes: Any) -> list[str]:
        usual = {"deployment": "koprogo", "names": ["2"], "kept": [], "directory": "/x/.pki"}
        return authority_errors(pem, **(usual | changes))

    (error,) = errors(kept=["1"])
    assert error.startswith("pki_directory: expected the authority '2' that this host trusts in /x")
    # It is here, or another one is wanted, or the host trusts another deployment's, or none that can be read.
    assert errors(kept=["2"]) == errors(names=["3"]) == errors(deployment="test") == []
    assert errors(pem="") == errors(pem="nothing of the kind") == []


def test_a_certificate_that_serves_is_kept(pki: dict[str, Any]) -> None:
    assert reasons(pki) == []
    assert reasons(pki, fingerprint="") == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"pem": ""}, "none was issued yet"),
        ({"pem": "-----BEGIN nonsense"}, "can't be read"),
        ({"fingerprint": "00"}, "another key"),
        ({"names": ["DNS:db1"]}, "IP:192.0.2.7"),
        ({"names": [*NAMES, "DNS:more"]}, "it is for"),
        ({"authority": ""}, "no authority"),
        ({"renew_before_days": 366}, "365.0 days"),
    ],
)
def test_each_reason_to_renew(pki: dict[str, Any], changes: dict[str, Any], expected: str) -> None:
    (reason,) = reasons(pki, **changes)
    assert expected in reason


def test_renewal_begins_exactly_at_the_limit(pki: dict[str, Any]) -> None:
    assert reasons(pki, renew_before_days=365) == []
    assert reasons(pki, renew_before_days=365, now=NOW + timedelta(seconds=1))


def test_another_authority_of_the_same_name_is_another(pki: dict[str, Any]) -> None:
    other = new_key()
    authority = certificate(key=other, signer=other, issuer="ca", name="ca")
    assert reasons(pki, authority=authority) == ["another authority signed it"]


USAGE = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
OTHER_SAN = x509.SubjectAlternativeName([x509.DNSName("mon1")])
SIGNING = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


@pytest.mark.parametrize(
    ("extensions", "name", "expected"),
    [
        ([SAN, USAGE, x509.BasicConstraints(ca=False, path_length=None)], "db1", []),
        ([SAN], "mon1", ["it is for subject 'CN=mon1'"]),
        ([OTHER_SAN], "db1", ["it is for DNS:mon1"]),
        ([], "db1", ["it is for nobody"]),
        (
            [SAN, x509.BasicConstraints(ca=True, path_length=None)],
            "db1",
            ["it asks to be an authority"],
        ),
        ([SAN, SIGNING], "db1", ["it asks to sign certificates"]),
        (
            [SAN, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])],
            "db1",
            ["it asks for other uses than TLS server and client"],
        ),
        (
            [SAN, x509.IssuerAlternativeName([x509.DNSName("x")])],
            "db1",
            ["it has the extension 2.5.29.18"],
        ),
    ],
)
def test_a_request_may_ask_for_its_own_host_only(
    pki: dict[str, Any], extensions: list[x509.ExtensionType], name: str, expected: list[str]
) -> None:
    pem = request(pki["host"], *extensions, name=name)
    assert (
        request_problems(pem, common_name="db1", names=NAMES, fingerprint=fingerprint(pki["pem"]))
        == expected
    )


def test_a_request_for_another_key_is_refused(pki: dict[str, Any]) -> None:
    pem = request(new_key(), SAN)
    problems = request_problems(
        pem, common_name="db1", names=NAMES, fingerprint=fingerprint(pki["pem"])
    )
    assert problems == ["it is for another key"]
    assert "can't be read" in request_problems("x", common_name="", names=[], fingerprint="")[0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("db1", "DNS:db1"),
        ("web_1.example.org", "DNS:web_1.example.org"),
        ("192.0.2.7", "IP:192.0.2.7"),
        ("2001:db8:0::1", "IP:2001:db8::1"),
    ],
)
def test_alternative_names(name: str, expected: str) -> None:
    assert alternative_name(name) == expected


@pytest.mark.parametrize("name", ["", "a b", "a,DNS:evil", "a\nb", "$ENV::x", "-a"])
def test_names_that_could_be_syntax_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected a host name or an IP address"):
        alternative_name(name)


def test_expiry_is_a_metric_for_each_certificate_once(pki: dict[str, Any]) -> None:
    text = expiry_metrics(pki["pem"], pki["authority"] + pki["authority"])
    end = int((NOW + timedelta(days=365)).timestamp())
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    assert samples == [
        f'koprogo_certificate_not_after_seconds{{certificate="host",subject="CN=db1"}} {end}',
        f'koprogo_certificate_not_after_seconds{{certificate="authority",subject="CN=ca"}} {end}',
    ]
