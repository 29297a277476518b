"""Executed copies: what a notebook made of a parameter file, readable where nobody can run it for hours.

notebooks/middle/09_photographs.yml      parameters
notebooks/middle/09_photographs.ipynb    the executed notebook, with the digest of these and its commit
"""

import hashlib
import json
from typing import Any

from gncompanion.notebook.plan import Job
from gncompanion.notebook.provenance import provenance
from gncompanion.tools.files import write

__all__ = ["file_digest", "keep_copy"]


def keep_copy(job: Job) -> None:
    """Put the executed notebook beside its parameter file, without what papermill notes of this machine.

    Args:
        job: A job of the middle scale that has succeeded.
    """
    content = json.loads(job.executed.read_text(encoding="utf-8"))
    for cell in content["cells"]:
        cell["metadata"] = {name: cell["metadata"][name] for name in ("tags",) if cell["metadata"].get(name)}
        cell.pop("id", None)
    content["metadata"] = {
        "gncompanion": _origin(job),
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    content["nbformat_minor"] = 4  # cells without identifiers: the same run gives the same bytes
    file = job.notebook.parent / job.scale / f"{job.name}.ipynb"
    write(file, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def file_digest(content: bytes) -> str:
    """Compute the SHA-256 of a file's content, 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def _origin(job: Job) -> dict[str, Any]:
    parameters = (job.notebook.parent / job.scale / f"{job.name}.yml").read_bytes()
    made = provenance(job.notebook.stem)
    return {
        "notebook": job.notebook.name,
        "parameters": f"{job.name}.yml",
        "parameters_digest": file_digest(parameters),
        "commit": made["commit"],
        "dirty": made["dirty"],
    }
