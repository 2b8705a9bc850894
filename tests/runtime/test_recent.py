from medsam_exp.runtime.recent import Recent


def test_what_was_not_asked_for_the_longest_is_forgotten_first() -> None:
    made: list[int] = []

    def of(number: int) -> int:
        return recent.of(number, lambda: made.append(number) or 10 * number)

    recent: Recent[int] = Recent(most=2)
    assert [of(number) for number in (1, 2, 1, 3, 1, 2)] == [10, 20, 10, 30, 10, 20]
    assert made == [1, 2, 3, 2]


def test_nothing_is_remembered_of_what_could_not_be_made() -> None:
    recent: Recent[float] = Recent(most=2)
    for divisor in (0, 2):
        try:
            assert recent.of("key", lambda divisor=divisor: 1 / divisor) == 0.5
        except ZeroDivisionError:
            assert divisor == 0
