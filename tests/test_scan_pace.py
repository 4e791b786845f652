"""The rate a scan may go at and the time it still takes, by a clock that stands still unless it is moved."""

from __future__ import annotations

from baken.scan_pace import Pacer, Remaining, duration


class Clock:
    """Moves when someone sleeps."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        """The time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let it pass."""
        self.now += seconds


def seconds_for(sizes: list[int], files_per_second: float, bytes_per_second: float) -> float:
    clock = Clock()
    pacer = Pacer(files_per_second, bytes_per_second, now=clock, sleep=clock.sleep)
    started = clock()
    for size in sizes:
        pacer.wait(lambda: False)
        assert pacer.is_free()
        pacer.took(size)
    pacer.wait(lambda: False)
    return clock() - started


def test_files_and_bytes_a_second_are_bounds_and_the_stricter_one_counts():
    assert abs(seconds_for([10] * 100, 10, 0) - 10) < 0.2
    assert abs(seconds_for([1_000] * 100, 0, 5_000) - 20) < 0.4
    assert abs(seconds_for([1_000] * 100, 1_000, 5_000) - 20) < 0.4
    assert abs(seconds_for([1_000] * 100, 2, 500_000) - 50) < 0.6
    assert seconds_for([1_000] * 100, 0, 0) == 0


def test_time_without_files_is_not_made_up_for():
    clock = Clock()
    pacer = Pacer(10, 0, now=clock, sleep=clock.sleep)
    pacer.took(1)
    clock.sleep(3_600)
    started = clock()
    for _ in range(20):
        pacer.wait(lambda: False)
        pacer.took(1)
    assert clock() - started > 1.5


def test_whoever_waits_stops_when_asked():
    clock = Clock()
    pacer = Pacer(0.001, 0, now=clock, sleep=clock.sleep)
    pacer.took(1)
    pacer.wait(lambda: clock() > 1_003)
    assert clock() < 1_004


def test_the_time_that_is_left_is_unknown_until_there_is_a_total_and_a_rate():
    clock = Clock()
    remaining = Remaining(now=clock)
    assert remaining.seconds(1_000, 0) is None
    for _ in range(4):
        clock.sleep(1)
        remaining.saw(int(clock() - 1_000) * 10)
    assert remaining.seconds(1_000, 40) is None  # too soon
    for _ in range(6):
        clock.sleep(1)
        remaining.saw(int(clock() - 1_000) * 10)
    assert remaining.seconds(None, 100) is None  # not counted yet
    assert remaining.seconds(1_000, 100) == 90
    assert remaining.seconds(100, 100) == 0
    assert remaining.seconds(90, 100) == 0  # files came meanwhile


def test_the_rate_is_that_of_the_last_two_minutes():
    clock = Clock()
    remaining = Remaining(now=clock)
    done = 0
    for rate, seconds in ((100, 600), (10, 300)):
        for _ in range(seconds):
            clock.sleep(1)
            done += rate
            remaining.saw(done)
    assert remaining.files_per_second() == 10
    for _ in range(125):
        clock.sleep(1)
        remaining.saw(done)
    assert remaining.seconds(1 << 20, done) is None  # a scan that stands still ends never, not soon


def test_a_time_is_told_no_more_exactly_than_it_is_known():
    told = [duration(seconds) for seconds in (None, 0.4, 59.6, 200, 7_199, 7_500)]
    assert told == ["unknown", "0 s", "1 min 00 s", "3 min 20 s", "1 h 59 min", "2 h 05 min"]
