"""`pytest --nbval` finds its patterns from whatever folder it is called in."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gncompanion.tools import paths
from tests.conftest import notebook_json


@pytest.mark.slow
def test_the_patterns_are_found_from_another_folder(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    (checkout / "notebooks").mkdir(parents=True)
    (checkout / "tests").mkdir()
    for name in ("conftest.py", "pyproject.toml", "tests/nbval_sanitize.cfg"):
        shutil.copy(paths.root() / name, checkout / name)
    notebook = checkout / "notebooks" / "00.ipynb"
    printed = {"name": "stdout", "output_type": "stream", "text": ["<object object at 0x7f0123456789>\n"]}
    content = notebook_json("print(object())").replace('"outputs": []', f'"outputs": [{json.dumps(printed)}]')
    notebook.write_text(content.replace('"execution_count": null', '"execution_count": 1'))
    command = [sys.executable, "-m", "pytest", "--nbval", "-q", "-p", "no:cacheprovider", str(notebook)]
    done = subprocess.run(command, cwd=notebook.parent, capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
