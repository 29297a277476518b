"""For all tests of trainings: one thread; and a place for the runs of those that ask for it."""

from tests.helpers.fixtures import one_thread, runs

__all__ = ["one_thread", "runs"]
