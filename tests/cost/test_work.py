"""Each part moves what it should, for every way to constrain a critic."""

import pytest
import torch
from torch import nn

from gncompanion.cost import PARTS, VARIANTS, count, parts
from tests.cost.conftest import PLANE


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_part_moves_what_it_should(
    variant: str, networks: tuple[nn.Module, nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gncompanion.cost.work.models.build", lambda *_, **__: networks)
    work, moves = parts(variant, **PLANE), {}
    for part, do in work.items():
        before = [torch.cat([p.detach().flatten() for p in net.parameters()]) for net in networks]
        do()
        after = [torch.cat([p.detach().flatten() for p in net.parameters()]) for net in networks]
        moves[part] = tuple(not torch.equal(*pair) for pair in zip(before, after, strict=True))
    generator, critic, neither = (True, False), (False, True), (False, False)
    assert moves == dict(zip(PARTS, (critic, neither, critic, generator), strict=True))


def test_an_unknown_variant_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown variant 'GN, primitiv', did you mean 'GN, primitive'\?"):
        count("GN, primitiv")
