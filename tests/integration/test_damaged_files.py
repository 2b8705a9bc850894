"""Each file that a run leaves is damaged in each way: the same command ends well, with one sentence at most."""

from pathlib import Path

import pytest

from tests.chaos.damage import DAMAGES
from tests.chaos.run import SCENARIOS, Chaos, Scenario

STORED = Scenario("stored", (*SCENARIOS[0].words, "stages=[saliency,coarse_mask,sam_mask,evaluate]"))


@pytest.mark.parametrize("how", sorted(DAMAGES))
def test_whatever_file_is_damaged_the_same_command_gives_the_same_results(tmp_path: Path, how: str) -> None:
    rounds = list(Chaos(tmp_path, 0, (STORED,)).damages(how))
    assert len(rounds) > 20
    assert {done.kind: done.problems for done in rounds if done.problems} == {}
    sentences = {done.kind: done.said.count(" was damaged ") for done in rounds}
    assert max(sentences.values()) <= 1
