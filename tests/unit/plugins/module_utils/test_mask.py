"""A secret is hidden in each form in which a tool may show it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.koprogo.observability.plugins.module_utils._mask import (
    MASK,
    Masker,
    redacted,
    secret_values,
)


@pytest.mark.parametrize(
    ("secret", "text", "expected"),
    [
        ("s3cret", "password: s3cret", f"password: {MASK}"),
        ('a"b', r'{"p": "a\"b"}', f'{{"p": "{MASK}"}}'),
        ("it's", "'it''s'", f"'{MASK}'"),
        ("p@ss/word", "postgres://u:p%40ss%2Fword@h", f"postgres://u:{MASK}@h"),
        ("s3cret\n", "is s3cret.", f"is {MASK}."),
        ("line-one-of-it\nshort", "found line-one-of-it", f"found {MASK}"),
        ("ä", r"\u00e4", MASK),
        ("", "nothing", "nothing"),
        (" ", "a b", "a b"),
    ],
)
def test_forms(secret: str, text: str, expected: str) -> None:
    assert Masker([secret]).text(text) == expected


def test_the_longer_of_two_secrets_goes_first() -> None:
    assert Masker(["abc", "abcdef"]).text("abcdef") == MASK


def test_nested_data() -> None:
    data = {"k-x1x": ["x1x", {"a": ("b x1x", 1, None)}]}
    assert Masker(["x1x"]).data(data) == {f"k-{MASK}": [MASK, {"a": [f"b {MASK}", 1, None]}]}


@given(secret=st.text(min_size=1).filter(lambda text: bool(text.strip()) and "*" not in text))
def test_no_secret_survives(secret: str) -> None:
    assert secret not in Masker([secret]).text(f"before {secret} after")


CONFIG = """\
remote_write:
- basic_auth:
    password: old-pass
    username: koprogo
  url: https://metrics.example.org/push
- url: https://user:in-url@metrics.example.org/push
  authorization:
    type: Bearer
    credentials: 'quoted one'
  oauth2:
    client_id: id
    client_secret: |
      first line
      second line
    token_url: https://login.example.org/token
  basic_auth:
    password_file: /etc/secret/file
  http_headers:
    X-Api:
      secrets:
      - listed
      values: [shown]
{"api_key": "in \\"json", "name": "shown"}
empty_password: ""
use_token: true
ROUTING_KEY=in-ini
"""
VALUES = {
    "old-pass",
    "in-url",
    "quoted one",
    "first line",
    "second line",
    "listed",
    'in \\"json',
    "in-ini",
}


def test_secrets_are_known_by_their_place() -> None:
    assert secret_values(CONFIG) == VALUES


def test_a_key_is_known_whatever_its_option_is_called() -> None:
    pem = "-----BEGIN EC PRIVATE KEY-----\n  MHcCAQEEIAbcdefgh\n  -----END EC PRIVATE KEY-----"
    config = f"""\
tls_config:
  key: |
  {pem}
headers:
  X-Api-Key: abc123
  accept: text/plain
"""
    assert secret_values(config) == {pem, "abc123"}
    assert Masker(secret_values(config)).text("MHcCAQEEIAbcdefgh") == MASK
    shown = redacted(config, "new", ())
    assert "MHc" not in shown and "abc123" not in shown
    assert "accept: text/plain" in shown


def test_a_difference_shows_that_a_secret_differs_and_not_which() -> None:
    new = CONFIG.replace("old-pass", "new-pass")
    same = secret_values(CONFIG) & secret_values(new)
    before, after = redacted(CONFIG, "old", same), redacted(new, "new", same)
    assert not any(value in before + after for value in VALUES | {"new-pass"})
    changed = [
        pair
        for pair in zip(before.splitlines(), after.splitlines(), strict=True)
        if len({*pair}) > 1
    ]
    assert changed == [(f"    password: {MASK} (old)", f"    password: {MASK} (new)")]
    shown = (
        "koprogo",
        "type: Bearer",
        "/etc/secret/file",
        "token_url: https://login",
        "[shown]",
        "use_token: true",
    )
    assert all(words in before for words in shown)
    assert redacted("a: b\nurl: http://h:9090/x\n", "old", ()) == "a: b\nurl: http://h:9090/x\n"


@given(text=st.text())
def test_text_without_secrets_stays_as_it_is(text: str) -> None:
    if not secret_values(text):
        assert redacted(text, "old", ()) == text
