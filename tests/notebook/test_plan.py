"""What is run: some notebooks or all, each with parameters that it has; what does not exist is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gncompanion.notebook.plan import plan
from gncompanion.tools import paths

TAG = {"tags": ["parameters"]}


@pytest.fixture
def checkout(make_checkout: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    cell = ("n: int = 3  # how many; in [1, 9]", TAG)
    folder = make_checkout(nb90_one=[cell], nb91_two=[cell], nb92_stuck=[("y: int = 1  # another", TAG)])
    (folder / "notebooks/full/90_big.yml").write_text("n: 8\n")
    (folder / "notebooks/middle").mkdir()
    (folder / "notebooks/middle/91_some.yml").write_text("n: 5\n")
    monkeypatch.setattr(paths, "notebooks", lambda: folder / "notebooks")
    return folder


@pytest.mark.usefixtures("checkout")
class TestPlan:
    def test_all_notebooks_by_default(self) -> None:
        assert [job.name for job in plan()] == ["90_one", "91_two", "92_stuck"]

    def test_some_by_number_or_name_once_and_in_order(self) -> None:
        assert [job.name for job in plan(["91_two", "90", "91"])] == ["90_one", "91_two"]

    def test_an_unknown_notebook_is_refused(self) -> None:
        with pytest.raises(
            ValueError, match=r"no notebook '4' \(valid: 90, 90_one, 91, 91_two, 92, 92_stuck\)"
        ):
            plan(["90", "4"])

    def test_a_parameter_goes_to_the_notebooks_that_have_it(self) -> None:
        jobs = plan(parameters={"n": 4, "y": 2})
        assert [job.parameters for job in jobs] == [{"n": 4}, {"n": 4}, {"y": 2}]

    def test_a_parameter_of_none_of_them_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"a parameter 'nn', did you mean 'n'\? \(valid: n, y\)"):
            plan(parameters={"n": 4, "nn": 5})
        with pytest.raises(ValueError, match="a parameter 'y'"):
            plan(["90"], parameters={"y": 2})

    def test_the_middle_scale_has_files_of_its_own_and_runs_that_last(self) -> None:
        (job,) = plan(middle=True)
        assert (job.name, job.parameters, job.scale, job.runs) == (
            "91_some",
            {"n": 5},
            "middle",
            paths.runs(),
        )
        with pytest.raises(ValueError, match=r"no notebooks/middle/NN_\*\.yml for 90_one"):
            plan(["90"], middle=True)
        with pytest.raises(ValueError, match="choose one scale: full or middle"):
            plan(full=True, middle=True)

    def test_full_runs_once_for_each_parameter_file(self) -> None:
        jobs = plan(full=True)
        assert [(job.name, job.notebook.stem, job.parameters) for job in jobs] == [
            ("90_big", "90_one", {"n": 8})
        ]
        assert plan(full=True, parameters={"n": 2})[0].parameters == {"n": 2}

    def test_small_runs_train_anew_and_full_ones_resume(self) -> None:
        assert plan(["90"])[0].runs == paths.root() / "build/runs/90_one"
        assert plan(full=True)[0].runs == paths.runs()

    def test_full_without_a_parameter_file_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"no notebooks/full/NN_\*\.yml for 91_two"):
            plan(["91"], full=True)

    def test_a_parameter_files_names_are_checked_too(self, checkout: Path) -> None:
        file = checkout / "notebooks/full/91_bad.yml"
        file.write_text("m: 8\n")
        with pytest.raises(ValueError, match="91_bad: 91_two has no parameter 'm'"):
            plan(full=True)

    def test_a_value_is_checked_before_anything_runs(self, checkout: Path) -> None:
        for value in ("0", 10, "x", "010", None):
            with pytest.raises(ValueError, match=r"90_one: n=.* must be an integer from 1 to 9, such as 3"):
                plan(["90"], parameters={"n": value})
        file = checkout / "notebooks/full/91_bad.yml"
        for content, message in (
            ("n: 0\n", "91_bad: n=0 must be an integer from 1 to 9"),
            ("n: 1\nn: 2\n", "91_bad.yml is not YAML: line 2: 'n' is given twice, first in line 1"),
            ("- n\n", "91_bad.yml must hold a mapping"),
        ):
            file.write_text(content)
            with pytest.raises(ValueError, match=message):
                plan(full=True)

    def test_text_is_read_as_the_notebook_declares_it(self) -> None:
        assert [job.parameters for job in plan(["90"], parameters={"n": "4"})] == [{"n": 4}]

    def test_what_runs_leave_behind_can_lie_elsewhere(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GNCOMPANION_BUILD", str(tmp_path))
        (job,) = plan(["90"])
        assert job.executed == tmp_path / "notebooks/90_one.ipynb"
        assert (job.staging, job.runs) == (tmp_path / "figures/90_one", tmp_path / "runs/90_one")

    def test_no_notebooks_are_no_success(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(paths, "notebooks", lambda: tmp_path)
        with pytest.raises(ValueError, match="there are no notebooks"):
            plan()
