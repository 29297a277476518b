"""Several runs of one GAN side by side, as one network whose groups never meet: many seeds at once.

    run r's channels are channels r·C … (r + 1)·C − 1 of every layer: convolutions of R groups
    each run draws its samples from its own stream, in the order of `gncompanion.training`

The runs are those of `Experiment`, with the same weights and samples, up to rounding (a test compares them),
for the Wasserstein loss, one critic step a generator step, a constant rate, the DCGAN's generator and the
critic of Theorem 5, under operator SN or GN. On small pictures a step is mostly calls, and ten runs in one
call cost what three or four cost one by one.

GN's critic step is two plain passes (notebook 06): one at x for f, its gradient g and the gates, and one with
these gates frozen at the foot x − f g / n², whose weight gradient, times n / (n + |f|)², is GN's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.grad import conv2d_input

from gncompanion.experiment import Experiment
from gncompanion.experiment.run import stream

__all__ = ["SideBySide"]

ITERATIONS = 10  # of operator SN, a forward


@dataclass
class _Layer:
    """One layer of all runs: what it does, and its parameters, run after run."""

    kind: nn.Module
    runs: int
    weight: Tensor | None = None
    bias: Tensor | None = None
    start: Tensor | None = None  # operator SN's vector, one for each run

    def __call__(self, h: Tensor, *, training: bool, gate: Tensor | None = None) -> Tensor:
        kind = self.kind
        if isinstance(kind, nn.LeakyReLU | nn.ReLU) and gate is not None:
            return h * gate
        if isinstance(kind, nn.Linear):
            rows = torch.einsum("nrf,rof->nro", h.view(len(h), self.runs, -1), self._normed(training))
            return (rows + self.bias).flatten(1)
        if isinstance(kind, nn.Conv2d):
            return F.conv2d(h, self._normed(training), self.bias, kind.stride, kind.padding, 1, self.runs)
        if isinstance(kind, nn.ConvTranspose2d):
            return F.conv_transpose2d(h, self.weight, self.bias, kind.stride, kind.padding, 0, self.runs)
        if isinstance(kind, nn.BatchNorm2d):
            return F.batch_norm(h, None, None, self.weight, self.bias, training=True, eps=kind.eps)
        if isinstance(kind, nn.Unflatten):
            wide, *size = kind.unflattened_size
            return h.view(len(h), self.runs * wide, *size)
        return kind(h)

    def _normed(self, training: bool) -> Tensor:
        """The weight as it is used: under operator SN, divided by each run's norm."""
        assert self.weight is not None
        if self.start is None:
            return self.weight
        if training:
            self._iterate()
        v = self.start.clone()
        norms = self._each(self._operate(v, self.weight)).norm(dim=1)
        shape = (-1, *[1] * (self.weight.ndim - 1))
        return self.weight / norms.repeat_interleave(len(self.weight) // self.runs).view(shape)

    def _each(self, h: Tensor) -> Tensor:
        return h.reshape(self.runs, -1)

    def _operate(self, v: Tensor, weight: Tensor) -> Tensor:
        if isinstance(self.kind, nn.Linear):
            return torch.einsum("rf,rof->ro", v, weight)
        return F.conv2d(v, weight, None, self.kind.stride, self.kind.padding, 1, self.runs)

    @torch.no_grad()
    def _iterate(self) -> None:
        assert self.start is not None
        assert self.weight is not None
        for _ in range(ITERATIONS):
            u = self._operate(self.start, self.weight)
            if isinstance(self.kind, nn.Linear):
                v = torch.einsum("ro,rof->rf", u, self.weight)
            else:
                how = (self.kind.stride, self.kind.padding, 1, self.runs)
                v = conv2d_input(self.start.shape, self.weight, u, *how)
            self.start = (self._each(v) / self._each(v).norm(dim=1, keepdim=True)).view_as(self.start)


def _stacked(tensors: Sequence[Tensor], kind: nn.Module) -> Tensor:
    join = torch.stack if isinstance(kind, nn.Linear) else torch.cat
    return join([tensor.detach() for tensor in tensors]).requires_grad_()


def _layer(modules: Sequence[Any]) -> _Layer:
    kind, runs = modules[0], len(modules)
    if not isinstance(kind, nn.Linear | nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d):
        return _Layer(kind, runs)
    bias = _stacked([module.bias for module in modules], kind)
    if not hasattr(kind, "parametrizations"):
        return _Layer(kind, runs, _stacked([module.weight for module in modules], kind), bias)
    norms = [module.parametrizations.weight for module in modules]
    axis = 0 if isinstance(kind, nn.Linear) else 1
    start = torch.cat([norm[0].v for norm in norms], dim=axis).clone()
    return _Layer(kind, runs, _stacked([norm.original for norm in norms], kind), bias, start)


def _leaves(network: nn.Module) -> list[nn.Module]:
    """The layers in order, without what wraps them."""
    return [
        module
        for name, module in network.named_modules()
        if not list(module.children()) or (hasattr(module, "parametrizations") and "parametriz" not in name)
        if "parametriz" not in name
    ]


def _through(layers: Sequence[_Layer], h: Tensor, gates: list[Tensor] | None = None) -> Tensor:
    kept = iter(gates or ())
    for layer in layers:
        kinked = isinstance(layer.kind, nn.LeakyReLU)
        h = layer(h, training=True, gate=next(kept, None) if kinked else None)
    return h


@dataclass
class SideBySide:
    """The trainings of several experiments that differ in their seeds alone.

    Args:
        experiments: The experiments.

    Attributes:
        step: Number of steps done.
    """

    experiments: Sequence[Experiment]
    step: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        players = [experiment.players() for experiment in self.experiments]
        first = self.experiments[0]
        self.schedule, self.runs, self.is_gn = first.schedule, len(players), first.constraint == "gn"
        self.data, self.z_dim = first._data, players[0].z_dim
        self.generator, self.critic = (
            [_layer(modules) for modules in zip(*map(_leaves, networks), strict=True)]
            for networks in ([p.generator for p in players], [p.critic for p in players])
        )
        seeds = [stream("training", experiment.seed) for experiment in self.experiments]
        self.random = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.adam = {
            name: torch.optim.Adam(_parameters(layers), rate, self.schedule.betas, fused=True)
            for name, layers, rate in (
                ("critic", self.critic, self.schedule.lr_critic),
                ("generator", self.generator, self.schedule.lr_generator),
            )
        }

    def train(self, steps: int) -> None:
        """Go on to a step; all runs together."""
        while self.step < steps:
            n = self.schedule.batch_critic
            real = torch.cat([self.data.sample(n, random)[0] for random in self.random], dim=1)
            with torch.no_grad():
                fake = self._generate(self._noise(n))
            self._descend("critic", self._critic_loss(torch.cat([real, fake])))
            fake = self._generate(self._noise(self.schedule.batch_generator))
            self._descend("generator", self._generator_loss(fake))
            self.step += 1

    def sample(self, z: Tensor) -> Tensor:
        """Generate from the same noise (N, z_dim) in all runs: (R, N, C, H, W)."""
        with torch.no_grad():
            return self.apart(self._generate(z.repeat(1, self.runs)))

    def measure(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the critics' scores and slopes at samples of their own: (R, N, C, H, W) -> (R, N) each."""
        joined = x.transpose(0, 1).flatten(1, 2)
        starts = [layer.start for layer in self.critic]
        f, _, n = self._plain(joined)
        for layer, start in zip(self.critic, starts, strict=True):
            layer.start = start
        if not self.is_gn:
            return f.T, n.T
        return (f / (n + f.abs())).T, (n / (n + f.abs())).square().T

    def apart(self, x: Tensor) -> Tensor:
        """Give each run its own samples: (N, R·C, H, W) -> (R, N, C, H, W)."""
        return x.view(len(x), self.runs, -1, *x.shape[2:]).transpose(0, 1)

    def _noise(self, n: int) -> Tensor:
        return torch.cat([torch.randn(n, self.z_dim, generator=random) for random in self.random], dim=1)

    def _generate(self, z: Tensor) -> Tensor:
        return _through(self.generator, z)

    def _plain(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """f (N, R), its input gradient, and that one's norms (N, R)."""
        x = x.detach().requires_grad_()
        f = _through(self.critic, x)
        (g,) = torch.autograd.grad(f.sum(), x)
        return f.detach(), g, torch.linalg.vector_norm(g.view(len(g), self.runs, -1), dim=2)

    def _critic_loss(self, x: Tensor) -> Tensor:
        half = len(x) // 2
        signs = torch.cat([-torch.ones(half, 1), torch.ones(half, 1)]) / half
        if not self.is_gn:
            return (signs * _through(self.critic, x)).sum()
        f, g, n = self._plain(x)
        gates = self._gates(x)
        wide = (f / n.square()).repeat_interleave(x.shape[1] // self.runs, dim=1)[..., None, None]
        at_foot = _through(self.critic, x - wide * g, gates)
        return (signs * n / (n + f.abs()).square() * at_foot).sum()

    @torch.no_grad()
    def _gates(self, h: Tensor) -> list[Tensor]:
        gates = []
        for layer in self.critic:
            if isinstance(layer.kind, nn.LeakyReLU):
                gates.append(torch.where(h > 0, 1.0, layer.kind.negative_slope))
            h = layer(h, training=False)
        return gates

    def _generator_loss(self, fake: Tensor) -> Tensor:
        """The loss, or under GN what has its gradient: n / (n + |f|)² times the critic's own."""
        f, g, n = self._plain(fake)
        if self.is_gn:
            shares = (n / (n + f.abs()).square()).repeat_interleave(fake.shape[1] // self.runs, dim=1)
            g = g * shares[..., None, None]
        return -(g * fake).sum() / len(fake)

    def _descend(self, name: str, loss: Tensor) -> None:
        self.adam[name].zero_grad(set_to_none=True)
        loss.backward()
        self.adam[name].step()


def _parameters(layers: Sequence[_Layer]) -> list[Tensor]:
    return [part for layer in layers for part in (layer.weight, layer.bias) if part is not None]
