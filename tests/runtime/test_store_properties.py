"""Properties of keys and of stored records, on values that nobody would think of."""

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from medsam_exp.runtime.artifacts import StageArtifacts, stage_key
from medsam_exp.runtime.digests import text_digest

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
CONFIG = st.dictionaries(st.text(max_size=5), PLAIN, max_size=3)
NAMES = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)


def shuffled(value: Any) -> Any:
    """The same content with each mapping's keys the other way round."""
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(value)}
    return [shuffled(part) for part in value] if isinstance(value, list) else value


@given(CONFIG)
def test_a_key_does_not_depend_on_the_order_of_keys(config: dict[str, Any]) -> None:
    key = stage_key("s", 1, config, {}, {})
    assert key == stage_key("s", 1, shuffled(config), {}, {})
    assert len(key) == 16


@given(CONFIG, CONFIG)
def test_other_configurations_have_other_keys(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one == other or stage_key("s", 1, one, {}, {}) != stage_key("s", 1, other, {}, {})


@given(st.lists(st.text(max_size=4), max_size=4), st.lists(st.text(max_size=4), max_size=4))
def test_a_digest_of_parts_tells_them_apart(one: list[str], other: list[str]) -> None:
    assert (text_digest(*one) == text_digest(*other)) == (one == other)


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(NAMES, CONFIG, min_size=1, max_size=6))
def test_records_read_as_they_were_written(infos: dict[str, dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        digests = {name: text_digest(name) for name in infos}
        writing = StageArtifacts(Path(folder), "s", "k", digests)
        with writing.gathered():
            for name, info in infos.items():
                writing.save(name, {"content": info})
        reading = StageArtifacts(Path(folder), "s", "k", digests)
        assert not reading.pending(list(infos))
        assert {name: reading.info(name)["content"] for name in infos} == infos
