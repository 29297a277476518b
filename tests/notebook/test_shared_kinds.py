"""What every notebook declares of its parameters: held for whatever it is given, and in papermill's help."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gncompanion.notebook.parameters import declared_kinds, declared_parameters
from gncompanion.papers.row_fields import FIELDS
from gncompanion.tools import paths
from gncompanion.tools.kinds import Flag, Kind, Maybe, Name, Real, Text, Whole
from gncompanion.tools.markup import read_yaml
from gncompanion.tools.nested_kinds import Options, Several
from tests.helpers.kinds import anything, as_text, refused_or_plain, tries, valid

NOTEBOOKS = sorted(paths.notebooks().glob("[0-9]*.ipynb"))
KINDS = {file.stem: declared_kinds(file) for file in NOTEBOOKS}
TAG = {"tags": ["parameters"]}

every_notebook = pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)


def _pairs(kinds: dict[str, Kind]) -> st.SearchStrategy[tuple[str, Any]]:
    """A name, and a value that is valid for it."""
    return st.sampled_from(sorted(kinds)).flatmap(lambda name: st.tuples(st.just(name), valid(kinds[name])))


@every_notebook
def test_the_defaults_and_the_full_runs_are_valid(file: Path) -> None:
    kinds, defaults = KINDS[file.stem], declared_parameters(file)
    assert kinds.keys() == defaults.keys()
    for name, kind in kinds.items():
        assert kind.take(name, defaults[name]) == defaults[name]
    for full in (file.parent / "full").glob(f"{file.stem[:2]}_*.yml"):
        for name, value in read_yaml(full).items():
            if not (name == "device" and value == "cuda"):  # which is not here, perhaps
                assert kinds[name].take(name, value) == value


@every_notebook
def test_papermills_help_says_what_is_valid(file: Path) -> None:
    import papermill

    printed = {name: about["help"] for name, about in papermill.inspect_notebook(file).items()}
    for name, kind in KINDS[file.stem].items():
        entry = kind.entry if isinstance(kind, Several) else kind.kind if isinstance(kind, Maybe) else kind
        if isinstance(entry, Whole | Real):
            assert printed[name][-1] in "])", f"{name}: {printed[name]}"


@pytest.mark.parametrize(("number", "lacking"), [("09", set()), ("12", {"data_title"})])
def test_rows_and_their_notebooks_say_the_same(number: str, lacking: set[str]) -> None:
    """Bounds and names are those of the rows, or narrower; the kinds of mappings are the rows' own."""
    (kinds,) = (kinds for name, kinds in KINDS.items() if name.startswith(number))
    assert set(kinds) == set(FIELDS) - lacking
    pairs = _pairs({name: kind for name, kind in kinds.items() if not isinstance(kind, Options)})

    @settings(tries, max_examples=200)
    @given(pair=pairs)
    def check(pair: tuple[str, Any]) -> None:
        name, value = pair
        assert FIELDS[name].take(name, value) == value

    check()


@every_notebook
def test_whatever_is_given_is_refused_in_one_line_or_plain(file: Path) -> None:
    kinds = KINDS[file.stem]

    @tries
    @given(name=st.sampled_from(sorted(kinds)), value=anything)
    def check(name: str, value: Any) -> None:
        refused_or_plain(kinds[name], name, value)

    check()


@every_notebook
def test_what_is_valid_may_also_come_as_text(file: Path) -> None:
    kinds = KINDS[file.stem]

    @tries
    @given(pair=_pairs(kinds))
    def check(pair: tuple[str, Any]) -> None:
        name, value = pair
        assert kinds[name].take(name, value) == value
        assert kinds[name].take(name, as_text(value)) == value
        assert json.loads(json.dumps(value)) == value

    check()


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("x: int = 3  # how many; in [1, 10**6]", Whole(1, 10**6, such_as=3)),
        ("x: float = 1e-2  # in (0, 1]", Real(0.0, 1.0, such_as=0.01, above=True)),
        ("x: float = 1.0  # a, b, in [1e-3, 2)", Real(1e-3, 2.0, such_as=1.0, below=True)),
        ("x: float = None  # in [0, 1)", Maybe(Real(0.0, 1.0, such_as=0.0, below=True))),
        ("x: str = 'a'  # which; in {a, b-c}", Name("a", ("a", "b-c"))),
        ("x: list[int] = [1, 2]  # each in [0, 9]", Several(Whole(0, 9, such_as=1), such_as=[1, 2])),
        ("x: list[int] = [1, 1]  # all in [0, 9]", Several(Whole(0, 9, such_as=1), [1, 1], repeats=True)),
        ("x: list[str] = [\n    'a',\n]  # each in {a, b}", Several(Name("a", ("a", "b")), such_as=["a"])),
        ("x: bool = False  # whether", Flag(such_as=False)),
        ("x: str = ''  # a source", Text()),
        ("x: dict = {}  # what is in [brackets] is no range here", Options()),
    ],
)
def test_a_line_of_the_cell_declares_one(line: str, kind: Kind, make_checkout: Callable[..., Path]) -> None:
    folder = make_checkout(nb04_theorem5=[(line, TAG)])
    assert declared_kinds(folder / "notebooks/04_theorem5.ipynb") == {"x": kind}


@pytest.mark.parametrize("ending", ["[1]", "[a, b]", "[1, ]"])
def test_a_range_that_cannot_be_read_is_named(ending: str, make_checkout: Callable[..., Path]) -> None:
    folder = make_checkout(nb04_theorem5=[(f"x: int = 3  # in {ending}", TAG)])
    with pytest.raises(ValueError, match=r"04_theorem5: x: 'in .*' is not understood"):
        declared_kinds(folder / "notebooks/04_theorem5.ipynb")
