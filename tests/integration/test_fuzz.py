"""A slice of `make fuzz`: the valid input and a few damaged ones of every reader."""

import logging
from collections.abc import Sequence

import pytest

from tests.fuzz.guard import results
from tests.fuzz.readers import all_readers

COUNT = 4
_REFUSED = {"image gray.gif", "image gray.npy", "texts.xlsx"}
_REFUSED |= {"nnunet results", "learnt_from.json", "options"}
"""Readers whose first input is no valid one, as what they take is refused or is missing in part."""


@pytest.mark.filterwarnings("ignore")
def test_damaged_files_are_read_or_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)
    cases: Sequence = [(reader, number) for reader in all_readers() for number in range(COUNT)]
    found = list(zip(cases, results(cases, seed=7), strict=True))
    wrong = [
        f"{reader.name} {number}: {result}"
        for (reader, number), result in found
        if result.outcome not in {"valid", "refused"}
    ]
    assert not wrong


def test_most_readers_have_a_valid_input() -> None:
    readers = all_readers()
    made = [result.outcome for result in results([(reader, 0) for reader in readers], seed=0)]
    refused = {reader.name for reader, outcome in zip(readers, made, strict=True) if outcome != "valid"}
    assert refused == _REFUSED
