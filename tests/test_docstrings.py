"""The examples in docstrings are run, and print what they say."""

import doctest
import importlib
import pkgutil

import pytest

import gncompanion

MODULES = [module.name for module in pkgutil.walk_packages(gncompanion.__path__, "gncompanion.")]
EXAMPLES = {
    name: [found for found in doctest.DocTestFinder().find(importlib.import_module(name)) if found.examples]
    for name in MODULES
    if not name.endswith("__main__")
}
FRONT_DOOR = {
    "gncompanion.input_gradient.function.value_and_input_gradient",
    "gncompanion.input_gradient.function.gradient_norm",
    "gncompanion.constraints.gradient_norm.GradientNorm",
}


@pytest.mark.parametrize(
    "test", [test for tests in EXAMPLES.values() for test in tests], ids=lambda t: t.name
)
def test_an_example_prints_what_it_says(test: doctest.DocTest) -> None:
    assert doctest.DocTestRunner().run(test).failed == 0


def test_the_front_door_has_examples() -> None:
    assert {test.name for tests in EXAMPLES.values() for test in tests} >= FRONT_DOOR
