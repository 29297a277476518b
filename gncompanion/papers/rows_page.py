"""Every row beside its official configuration, as a page of the documentation: docs/rows.md.

notebooks/full/NN_*.yml, official.FAMILIES ──page()──> Markdown
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gncompanion.papers.official import CONSISTENCY, FAMILIES, family_of
from gncompanion.papers.rows import Row, read
from gncompanion.papers.tables import row_files

__all__ = ["page", "said"]

HEAD = """\
# The papers' rows and the official configurations

Row by row, what the official configuration says, where, and what our parameter file in
`notebooks/full/` says. This page is made from those files and from
`gncompanion/papers/official.py`; a test keeps it in step:

    python -c "from gncompanion.papers.rows_page import page; print(page(), end='')" > docs/rows.md

**Best and last.** The official code of GN-GAN, AutoGAN and E2GAN judges the generator every few
thousand steps and reports the checkpoint with the lowest FID: a minimum over some forty draws,
chosen by the metric that it is then reported in. `gncompanion evaluate` judges at the same steps
(`judged_every`) and keeps both, and `gncompanion table` prints both: the last is the honest number,
the best is the one to hold against the printed.

**Training mode.** When the tables were made, the authors' code put the generator into evaluation
mode before it drew samples (FG @ 96c8f63, `train_gan.py`); the release does not, and neither does
either of them for images of 128 and 256 pixels or for BigGAN. Each row follows the code of its
table's time.

**Two rows of SN-GAN.** `sn-gan-reimplemented` and `sn-gan-cr` are the authors' own baselines:
critics that sum over space, without a last bias, from Xavier's law, with the hinge loss on the CNN
too and half of GN-GAN's steps. `sn-gan` and `sn-gan-cr-control` are the same-network controls:
GN-GAN's networks, loss, steps and rates, with spectral normalization in place of gradient
normalization. The scale matters to SN and not to GN: a sum over 8 x 8 places is 64 times their
mean.

**Data.** CelebA-HQ is split by the number in a file's name (1.jpg and 00001.jpg alike), and names
that are no numbers, gaps and doubles are refused. LSUN's images are squashed to squares, as the
official code does.
"""


def said(row: Row, setting: str) -> Any:
    """Read off a row what it says of a setting of `OfficialRows`.

    Args:
        row: The row, with one method.
        setting: A field's name, or one of consistency regularization's options.

    Returns:
        The value, as plain values.
    """
    (method,) = row.methods.values()
    if setting in ("constraint", "loss"):
        return method[setting]
    if setting in CONSISTENCY:
        return method["constraint_options"]["cr"][setting]
    for part in (row.schedule, row.protocol):
        if hasattr(part, setting):
            value = getattr(part, setting)
            return list(value) if isinstance(value, tuple) else value
    return getattr(row, setting)


def page() -> str:
    """Lay out every row beside its official configuration, as docs/rows.md has it.

    Returns:
        The page, in Markdown.
    """
    lines = [HEAD]
    controls, rows = [], [(file.stem, read(file)) for file in row_files()]
    for family in FAMILIES:
        own = [(name, row) for name, row in rows if family_of(name) is family]
        lines += [f"\n## {', '.join(f'`{name}`' for name, _ in own)}\n", f"Official: {family.source}.\n"]
        lines += ["| setting | official | ours |", "|---|---|---|"]
        for setting, official in family.settings.items():
            ours = _shown(said(own[0][1], setting))
            if setting in family.deviations:
                ours += f", **deviates**: {family.deviations[setting]}"
            lines.append(f"| {setting} | {_shown(official)} | {ours} |")
        lines += ["", *(f"- {remark}." for remark in family.remarks)]
    controls = [name for name, _ in rows if family_of(name) is None]
    lines += ["\n## Controls of ours, with no official configuration\n"]
    lines += [f"- `{name}`" for name in controls]
    return "\n".join(lines) + "\n"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_shown(one)}" for name, one in value.items()) or "–"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
