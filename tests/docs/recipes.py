"""The recipes of `docs/recipes.md`, and a tiny GAN in float64 to run them on."""

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from gncompanion.tools import paths

PAGE = (paths.root() / "docs" / "recipes.md").read_text(encoding="utf-8")
RECIPES = {
    section.splitlines()[0]: code
    for section in PAGE.split("\n## ")[1:]
    for code in re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
}

Losses = Callable[[nn.Module, Tensor, Tensor], Tensor]


class Critic(nn.Module):
    """A small critic of 8 × 8 pictures, by projection where there are labels; with features and logits."""

    def __init__(self, n_classes: int | None, beside: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 4, stride=2, padding=1), nn.LeakyReLU(0.2), nn.Flatten())
        self.out = nn.Linear(64, 1)
        self.classes = nn.Linear(64, n_classes or 1) if beside else None
        self.embed = None if n_classes is None else nn.Embedding(n_classes, 64)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Any:
        h = self.body(x)
        if self.classes is not None:
            return self.out(h), (h, self.classes(h))
        return self.out(h) if y is None else self.out(h) + (self.embed(y) * h).sum(1, keepdim=True)


def world(
    dtype: torch.dtype = torch.float64, batches: int = 4, n_classes: int | None = None, beside: bool = False
) -> dict[str, Any]:
    """Fresh networks and data, the same at every call."""
    torch.manual_seed(0)
    critic = Critic(n_classes, beside)
    generator = nn.Sequential(nn.Linear(128, 64), nn.Tanh(), nn.Unflatten(1, (1, 8, 8)))
    d_optimizer, g_optimizer = (
        torch.optim.SGD(net.to(dtype).parameters(), 0.1) for net in (critic, generator)
    )
    real = torch.randn(batches, 6, 1, 8, 8, dtype=dtype)
    y = torch.randint(n_classes or 1, (batches, 6))
    made = {"critic": critic, "generator": generator, "batches": list(real)}
    labelled = list(zip(real, y, strict=True))
    return made | {"d_optimizer": d_optimizer, "g_optimizer": g_optimizer, "labelled_batches": labelled}


def run(title: str, **options: Any) -> dict[str, Any]:
    """Run a recipe; returns its variables."""
    names = world(**options)
    torch.manual_seed(1)
    exec(compile(RECIPES[title], title, "exec"), names)
    return names


def by_hand(d_loss: Callable[..., Tensor], g_loss: Losses | None = None, **options: Any) -> dict[str, Any]:
    """The same loop with other losses of (critic, real, fake): those that differentiate twice."""
    names = world(**options)
    critic, generator = names["critic"], names["generator"]
    torch.manual_seed(1)
    for step, real in enumerate(names["batches"]):
        fake = generator(torch.randn(len(real), 128))
        loss = d_loss(critic, real, fake.detach(), step)
        names["d_optimizer"].zero_grad(), loss.backward(), names["d_optimizer"].step()
        if g_loss is not None:
            loss = g_loss(critic, real, fake)
            names["g_optimizer"].zero_grad(), loss.backward(), names["g_optimizer"].step()
    return names


def weights(names: dict[str, Any], player: str = "critic") -> Tensor:
    found = (weight.detach() for weight in names[player].parameters())
    return torch.cat([(w.full_tensor() if isinstance(w, DTensor) else w).flatten() for w in found])


def norms(critic: Callable[..., Tensor], x: Tensor, *labels: Tensor) -> tuple[Tensor, Tensor]:
    """f and ‖∇f‖ by double backpropagation; x keeps its own graph."""
    x = x if x.requires_grad else x.clone().requires_grad_()
    f = critic(x, *labels)
    (g,) = torch.autograd.grad(f.sum(), x, create_graph=True)
    return f, g.flatten(1).norm(dim=1).view_as(f)


def normalized(critic: Callable[..., Tensor], x: Tensor, *labels: Tensor) -> Tensor:
    f, n = norms(critic, x, *labels)
    return f / (n + f.abs())
