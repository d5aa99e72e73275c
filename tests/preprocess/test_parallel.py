"""Work on all cores keeps its order, bounds its memory and passes failures on."""

import threading
import time

import pytest

from tasks.preprocess.parallel import cores, in_order


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_results_come_in_the_order_of_the_items(workers: int) -> None:
    def slow_first(number: int) -> int:
        time.sleep(0.002 * (number % 3 == 0))
        return number * number

    assert list(in_order(slow_first, range(60), workers)) == [n * n for n in range(60)]
    assert list(in_order(slow_first, [], workers)) == []


def test_items_are_taken_only_as_results_are_used() -> None:
    taken = []

    def items():
        for number in range(1000):
            taken.append(number)
            yield number

    results = in_order(str, items(), workers=2)
    for _ in range(10):
        next(results)
    assert len(taken) <= 10 + 4 * 2
    results.close()
    assert len(taken) <= 10 + 4 * 2


def test_a_failure_reaches_the_caller_and_stops_the_rest() -> None:
    done = []

    def fail_at_three(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        done.append(number)
        return number

    before = threading.active_count()
    with pytest.raises(ValueError, match="three"):
        list(in_order(fail_at_three, range(10_000), workers=2))
    assert len(done) < 100
    assert threading.active_count() == before


def test_there_is_at_least_one_core() -> None:
    assert cores() >= 1
