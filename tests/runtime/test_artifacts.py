"""Artifacts: keys, atomic records, round trips."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from medsam_exp.runtime.artifacts import LostRecordError, StageArtifacts, stage_key, stored_digests
from medsam_exp.runtime.digests import FileDigests, text_digest, write_atomically
from medsam_exp.runtime.errors import UserError

BASE = {
    "stage": "saliency",
    "version": 1,
    "config": {"saliency": {"beta": 1.0}},
    "parents": {"finetune_clip": "abc"},
    "weights": {"clip": ["00"]},
}


@pytest.fixture
def artifacts(tmp_path: Path) -> StageArtifacts:
    return StageArtifacts(tmp_path, "coarse_mask", "k", {"a": "1" * 64, "b c%/": "2" * 64})


@pytest.mark.parametrize(
    "change",
    [
        {"stage": "other"},
        {"version": 2},
        {"config": {"saliency": {"beta": 1.5}}},
        {"parents": {"finetune_clip": "abd"}},
        {"weights": {"clip": ["01"]}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_key_changes_with_everything_that_decides_the_result(change: dict) -> None:
    assert stage_key(**BASE) != stage_key(**{**BASE, **change})


def test_key_does_not_depend_on_the_order_of_settings() -> None:
    one = stage_key(**{**BASE, "config": {"a": 1, "b": 2}})
    assert one == stage_key(**{**BASE, "config": {"b": 2, "a": 1}})


def test_mask_and_features_round_trip_without_loss(artifacts: StageArtifacts) -> None:
    generator = np.random.default_rng(0)
    mask = generator.random((7, 5)) > 0.5
    features = generator.random((7, 5), dtype=np.float32)
    artifacts.save("a", {"presence": 1.0}, mask)
    artifacts.save("b c%/", {}, features)
    from_files = StageArtifacts(artifacts.folder.parents[1], "coarse_mask", "k", {"a": "1" * 64})
    for reader in (artifacts, artifacts, from_files):
        found = reader.mask("a")
        np.testing.assert_array_equal(found, mask)
        found[:] = False  # the caller's own
    np.testing.assert_array_equal(artifacts.features("b c%/"), features)
    assert artifacts.features("b c%/").dtype == np.float32
    assert artifacts.info("a")["presence"] == 1.0


def test_facts_of_many_samples_are_those_of_each_in_the_given_order(tmp_path: Path) -> None:
    ids = [f"scan_{number}" for number in range(3000)]
    artifacts = StageArtifacts(tmp_path, "coarse_mask", "k", dict.fromkeys(ids, "1" * 64))
    with artifacts.gathered():
        for number, name in enumerate(ids[::-1]):
            artifacts.save(name, {"number": number})
    artifacts.save(ids[7], {"number": -1})
    assert list(artifacts.infos(ids)) == [artifacts.info(name) for name in ids]
    with pytest.raises(UserError, match="has no array of scan_0"):
        list(artifacts.mask_pngs(ids))


def test_a_record_is_there_whole_or_not_at_all(
    artifacts: StageArtifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifacts.save("a", {"first": 1}, np.ones((2, 2), bool))
    there = sorted(artifacts.folder.iterdir())
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    for sample_id in ("a", "b c%/"):
        with pytest.raises(KeyboardInterrupt):
            artifacts.save(sample_id, {"second": 2}, np.zeros((2, 2), bool))
    assert artifacts.pending(["a", "b c%/"]) == ("b c%/",)
    assert artifacts.info("a") == {"id": "a", "first": 1}
    assert artifacts.mask("a").all()
    assert sorted(artifacts.folder.iterdir()) == there, "no litter"


def test_what_is_not_there_is_said(artifacts: StageArtifacts) -> None:
    artifacts.save("a", {})
    with pytest.raises(UserError, match=r"k has no info of b c%/; run the command again"):
        artifacts.info("b c%/")
    with pytest.raises(UserError, match="has no array of a; "):
        artifacts.mask("a")


def test_the_last_record_of_a_sample_counts(tmp_path: Path) -> None:
    digests_of = dict.fromkeys("abc", "1" * 64)
    store = StageArtifacts(tmp_path, "s", "k", digests_of)
    store.save("a", {"turn": 0})
    assert store.info("a")["turn"] == 0
    with store.gathered():
        for turn in (1, 2):
            for name in ("a", "b"):
                store.save(name, {"turn": turn})
    store.save("b", {"turn": 3})
    for reader in (store, StageArtifacts(tmp_path, "s", "k", digests_of)):
        assert [reader.info(name)["turn"] for name in "ab"] == [2, 3]
        assert reader.pending("abc") == ("c",)


@pytest.mark.parametrize("now", [1, 10**18, 3 * 10**18], ids=["1970", "2001", "2065"])
def test_the_newest_record_counts_where_the_clock_jumps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: int
) -> None:
    """As `medsam-exp write-back --what saliency` asks, of a sample whose image has changed since."""
    for digest, clock in (("1" * 64, 2 * 10**18), ("2" * 64, now)):
        monkeypatch.setattr("time.time_ns", lambda clock=clock: clock)
        store = StageArtifacts(tmp_path, "s", "k", {"a": digest})
        store.save("a", {"clock": clock})
    assert stored_digests(store.folder) == {"a": ["1" * 12, "2" * 12]}


@pytest.mark.parametrize(
    "content",
    [b"", b"SQLite format 3\0", b"\0" * 20_000, slice(8192), slice(5000)],
    ids=["empty", "head only", "zeros", "pages cut", "cut within a page"],
)
def test_a_damaged_file_is_set_aside_and_what_it_held_is_pending(
    artifacts: StageArtifacts, content: bytes | slice
) -> None:
    artifacts.save("a", {}, np.random.default_rng(0).random((99, 99)).astype(np.float32))
    (file,) = artifacts.folder.iterdir()
    file.write_bytes(file.read_bytes()[content] if isinstance(content, slice) else content)
    again = StageArtifacts(artifacts.folder.parents[1], "coarse_mask", "k", {"a": "1" * 64})
    if not again.pending(["a"]):
        with pytest.raises(LostRecordError):
            again.features("a")
    assert again.pending(["a"]) == ("a",)
    assert [path.name for path in artifacts.folder.iterdir()] == [f"{file.name}.damaged"]


def test_a_store_that_may_not_be_written_can_be_read(artifacts: StageArtifacts) -> None:
    artifacts.save("a", {"fact": 1}, np.ones((2, 2), bool))
    (file,) = artifacts.folder.iterdir()
    file.chmod(0o400)
    artifacts.folder.chmod(0o500)
    try:
        again = StageArtifacts(artifacts.folder.parents[1], "coarse_mask", "k", {"a": "1" * 64})
        assert (again.pending(["a"]), again.info("a")["fact"], again.mask("a").all()) == ((), 1, True)
        assert list(artifacts.folder.iterdir()) == [file]
    finally:
        artifacts.folder.chmod(0o700)


def test_another_text_or_image_is_another_record(tmp_path: Path) -> None:
    before = StageArtifacts(
        tmp_path, "s", "k", {"a": text_digest("image", "text"), "b": text_digest("x", "t")}
    )
    before.save("a", {})
    before.save("b", {})
    after = StageArtifacts(
        tmp_path, "s", "k", {"a": text_digest("image", "TEXT"), "b": text_digest("x", "t")}
    )
    assert after.pending(["a", "b"]) == ("a",)


def test_failed_write_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["a" * 250 + ".json", "\N{CJK UNIFIED IDEOGRAPH-816B}" * 83 + ".json"])
def test_names_may_be_as_long_as_file_systems_allow(tmp_path: Path, name: str) -> None:
    write_atomically(tmp_path / name, b"new")
    assert (tmp_path / name).read_bytes() == b"new"


def test_file_digest_follows_content_and_survives_runs(tmp_path: Path) -> None:
    file, cache = tmp_path / "image.png", tmp_path / "digests.json"
    file.write_bytes(b"one")
    first = FileDigests(cache)
    one = first.of(file)
    first.save()
    again = FileDigests(cache)
    assert again.remembers(file)
    assert again.of(file) == one
    file.write_bytes(b"three")
    assert FileDigests(cache).of(file) != one


def test_digests_of_files_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    cache, files = tmp_path / "digests.json", [tmp_path / name for name in ("a.png", "b.png")]
    for file in files:
        file.write_bytes(b"one")
        digests = FileDigests(cache)
        digests.of(file)
        digests.save()
    assert len(json.loads(cache.read_bytes().partition(b"\n")[2])) == 2
    files[0].unlink()
    files[1].write_bytes(b"another")
    digests = FileDigests(cache)
    digests.of(files[1])
    digests.save()
    assert list(json.loads(cache.read_bytes().partition(b"\n")[2])) == [str(files[1].resolve())]


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda _: b"[]",
        lambda _: b"\xff",
        lambda content: content[: len(content) // 2],
        lambda content: content.replace(b"e", b"f", 1),
        lambda content: content[:9] + b"[" * 100_000,
    ],
    ids=["emptied", "list", "no text", "halved", "other digest", "deep"],
)
def test_damaged_digests_are_learnt_anew(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    file, cache = tmp_path / "image.png", tmp_path / "digests.json"
    file.write_bytes(b"one")
    digests = FileDigests(cache)
    digest = digests.of(file)
    digests.save()
    cache.write_bytes(damage(cache.read_bytes()))
    again = FileDigests(cache)
    assert not again.remembers(file)
    assert again.of(file) == digest
    again.save()
    assert FileDigests(cache).remembers(file)


def test_a_damaged_manifest_is_written_again(artifacts: StageArtifacts) -> None:
    description = {"stage": "coarse_mask", "config": {"sizes": (1, 2)}}
    assert not artifacts.has_manifest(description)
    artifacts.write_manifest(description, ["a"])
    assert artifacts.has_manifest(description)
    file = artifacts.folder / "manifest.json"
    for content in (b"", b"[]", file.read_bytes()[:-9], file.read_bytes().replace(b"coarse", b"coarsf")):
        file.write_bytes(content)
        assert not artifacts.has_manifest(description)


def test_text_digest_keeps_boundaries() -> None:
    assert text_digest("ab", "c") != text_digest("a", "bc")
