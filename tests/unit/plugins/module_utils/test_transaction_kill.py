"""Killed at any step, a transaction leaves the old set or the new one, and the next run heals."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.plugins.module_utils.transaction_lab import Host

# Thousands of small files: memory, where there is such a file system.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None

FOREIGN = {"foreign.conf": "theirs", "sub/foreign.conf": "theirs too"}

# Files by path, and links to them.
Linked = tuple[dict[str, str], dict[str, str]]

names = st.sampled_from(["a.yml", "b.yml", "sub/c.yml", "sub/deep/d.yml", "e.yml"])
texts = st.sampled_from(["one", "two", "three", ""])
sets = st.dictionaries(names, texts, min_size=1, max_size=5)
link_names = st.sampled_from(["demo.service.d/50.conf", "other.d/x.conf"])


def check_whole(host: Host, *allowed: Mapping[str, str]) -> None:
    """The active set is exactly one of these, and never lost a foreign file."""
    content = host.content()
    ours = {path: text for path, text in content.items() if path not in FOREIGN}
    assert ours in [dict(one) for one in allowed]
    if content:
        assert {path: text for path, text in content.items() if path in FOREIGN} in (FOREIGN, {})


def check_healed(host: Host, wanted: Mapping[str, str], links: Mapping[str, str]) -> None:
    """Nothing is left to do, nothing is left behind, and the daemon runs what is on the disk."""
    assert host.leftovers() == []
    ours = {path: text for path, text in host.content().items() if path not in FOREIGN}
    assert ours == dict(wanted)
    assert host.links() == set(links)
    folders = {path for path in host.systemd.rglob("*") if path.is_dir()}
    assert folders == {(host.systemd / link).parent for link in links}
    assert host.linked() == {link: wanted[target] for link, target in links.items()}
    assert host.memory()["loaded"] == host.content()
    assert host.memory()["through_links"] == host.linked()
    assert host.memory().get("active", "active") == "active"
    assert host.memory().get("units", {}) == host.linked()
    again = host.run(host.request(wanted, links=links))
    assert not again.changed
    assert host.manager is not None
    assert host.manager.calls == []


def set_up(host: Host, old: Mapping[str, str], links: Mapping[str, str], *, foreign: bool) -> None:
    if not old:
        return
    host.run(host.request(old, links=links))
    if foreign:
        for path, text in FOREIGN.items():
            file = host.base / "demo" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        host.run(host.request({**old, "extra": "x"}, links=links))
        host.run(host.request(old, links=links))


@st.composite
def linked_sets(draw: st.DrawFn) -> Linked:
    files = draw(sets)
    links = draw(st.dictionaries(link_names, st.sampled_from(sorted(files)), max_size=2))
    return files, links


@settings(max_examples=120, deadline=None)
@given(
    old=st.one_of(st.just(({}, {})), linked_sets()),
    new=linked_sets(),
    at=st.integers(0, 120),
    again_at=st.integers(0, 120),
    foreign=st.booleans(),
    back=st.booleans(),
    refused=st.booleans(),
)
# Killed in the rollback, and the next run before its exchange: the service is still owed a restart.
@example(
    old=({"a.yml": "one"}, {}),
    new=(
        dict.fromkeys(("a.yml", "b.yml", "sub/c.yml", "sub/deep/d.yml", "e.yml"), "one"),
        {"demo.service.d/50.conf": "a.yml", "other.d/x.conf": "a.yml"},
    ),
    at=83,
    again_at=56,
    foreign=False,
    back=False,
    refused=True,
)
# Killed while it writes its mark, and the next run while it clears up.
@example(
    old=({"a.yml": "one"}, {"demo.service.d/50.conf": "a.yml"}),
    new=({"a.yml": "one"}, {}),
    at=24,
    again_at=7,
    foreign=True,
    back=True,
    refused=False,
)
def test_old_or_new_and_the_next_run_heals(
    *,
    old: Linked,
    new: Linked,
    at: int,
    again_at: int,
    foreign: bool,
    back: bool,
    refused: bool,
) -> None:
    (old_files, old_links), (new_files, new_links) = old, new
    if refused:
        new_files = {**new_files, "z.yml": "refused"}
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        host = Host(Path(folder))
        set_up(host, old_files, old_links, foreign=foreign)
        request = host.request(new_files, links=new_links)
        host.run_and_die(request, at=at)
        check_whole(host, old_files, new_files)
        # The run that heals may be killed as well.
        died = host.run_and_die(request, at=again_at)
        check_whole(host, old_files, new_files)
        if refused and not died:
            check_whole(host, old_files)
        wanted, links = (new_files, new_links)
        if refused or (back and old_files):
            wanted, links = (old_files, old_links) if old_files else ({"only.yml": "x"}, {})
        host.run(host.request(wanted, links=links))
        check_healed(host, wanted, links)


OLD = {"a.yml": "one", "sub/c.yml": "two", "gone.yml": "x", "unit.conf": "u1"}
NEW = {"a.yml": "changed", "sub/c.yml": "two", "new/n.yml": "n", "unit.conf": "u2", "x.conf": "x"}
OLD_LINKS = {"demo.service.d/50.conf": "unit.conf", "gone.d/g.conf": "gone.yml"}
NEW_LINKS = {"demo.service.d/50.conf": "unit.conf", "new.d/n.conf": "new/n.yml"}
OTHER_LINKS = {"demo.service.d/50.conf": "a.yml", "gone.d/g.conf": "sub/c.yml"}
MOVED_LINKS = {"demo.service.d/50.conf": "x.conf"}


BAD = {**NEW, "bad.yml": "refused"}
NONE: Linked = ({}, {})


@pytest.mark.parametrize(
    ("old", "new", "healing"),
    [
        pytest.param((OLD, OLD_LINKS), (NEW, NEW_LINKS), (NEW, NEW_LINKS), id="change"),
        pytest.param((OLD, OLD_LINKS), (NEW, MOVED_LINKS), (OLD, OLD_LINKS), id="change-back"),
        pytest.param(NONE, (NEW, NEW_LINKS), (NEW, NEW_LINKS), id="first"),
        pytest.param((OLD, OLD_LINKS), (BAD, NEW_LINKS), (OLD, OLD_LINKS), id="rollback"),
        pytest.param(NONE, (BAD, NEW_LINKS), (NEW, NEW_LINKS), id="first-rollback"),
        pytest.param((OLD, {}), (OLD, OLD_LINKS), (OLD, OLD_LINKS), id="links-come"),
        pytest.param((OLD, OLD_LINKS), (OLD, OTHER_LINKS), (OLD, OTHER_LINKS), id="links-move"),
        pytest.param((OLD, OLD_LINKS), (OLD, OTHER_LINKS), (OLD, OLD_LINKS), id="links-move-back"),
        pytest.param((OLD, OLD_LINKS), NONE, (NEW, NEW_LINKS), id="absent"),
        pytest.param((OLD, OLD_LINKS), NONE, NONE, id="absent-twice"),
    ],
)
def test_every_single_step(old: Linked, new: Linked, healing: Linked) -> None:
    """Not a sample: each step of each kind of run, one after the other."""
    killed, step = True, 0
    while killed:
        with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
            killed = one_step(Host(Path(folder)), step, old, new, healing)
        step += 1
    assert step > 15


@pytest.mark.parametrize("files", [NEW, BAD])
def test_a_replaced_file_is_lost_at_no_step(files: dict[str, str]) -> None:
    killed, step = True, 0
    while killed:
        with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
            host = Host(Path(folder))
            path = host.systemd / "packaged.conf"
            path.write_text("packaged")
            options: dict[str, Any] = {
                "links": {path.name: "a.yml"},
                "replaces": {str(path): {"contents": ["packaged"], "advice": ""}},
            }
            killed = host.run_and_die(host.request(files, **options), at=step)
            # Before the exchange, and after a first set was taken back, the link leads nowhere.
            assert not path.exists() or path.read_text() in ("packaged", files["a.yml"])
            host.run_and_die(host.request({}), at=step % 7)
            host.run(host.request({}))
            assert not path.is_symlink()
            assert path.read_text() == "packaged"
            assert list(host.systemd.iterdir()) == [path]
        step += 1
    assert step > 15


def one_step(host: Host, step: int, old: Linked, new: Linked, healing: Linked) -> bool:
    """Kill ahead of one step, look, heal, look again; False if the run ended before it."""
    set_up(host, *old, foreign=bool(old[0]))
    killed = host.run_and_die(host.request(new[0], links=new[1]), at=step)
    check_whole(host, old[0], new[0])
    # Each link that leads to a file leads to one of a whole set; nobody reads what is not in place yet.
    for link, text in host.linked().items():
        assert Path(link).name.startswith(".") or text in {
            files[links[link]]
            for files, links in (old, new)
            if link in links and links[link] in files
        }
    host.run(host.request(healing[0], links=healing[1]))
    if healing[0]:
        check_healed(host, *healing)
        return killed
    assert host.content() == {}
    assert host.links() == set()
    assert not (host.base / "demo").is_symlink()
    assert host.leftovers() == []
    kept = list(host.base.glob("demo.kept-*"))
    assert len(kept) == 1
    assert (kept[0] / "sub" / "foreign.conf").read_text() == "theirs too"
    return killed
