"""A secret is hidden in each form in which a tool may show it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.koprogo.observability.plugins.module_utils._mask import MASK, Masker


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
