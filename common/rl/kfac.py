"""Kronecker-factored natural gradient for fleets (Martens & Grosse 2015; Wu et al. 2017), synchronous.

A layer y = x W + b has, with x~ = (x, 1) and g = d ln p / dy of one sample, the Fisher block

    F = E[x~ x~' (x) g g'] ~ A (x) G,    A = E[x~ x~'], G = E[g g'],

moving averages over updates. With eigenvalues a, c and eigenvectors U, V of A and G the natural gradient of D = d loss / d
W~ is

    v = U ((U' D V) / (a c' + damping)) V'.

A layer that is used several times in one pass has several pairs (x, g): its factors are their sums. Gains and biases of
layer normalisations, and free log standard deviations, have the diagonal block E[(d ln p / d theta)^2] instead. The step is
scaled so that its predicted divergence stays below `clip_kl`, and goes through momentum:

    nu = min(1, sqrt(clip_kl / (lr^2 sum v D))),    m <- momentum m + nu v,    theta <- theta - lr (1 - momentum) m.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..flows.networks import LayerNorm, Linear


class Kfac:
    """Optimises the `Linear` and `LayerNorm` layers of a module and, where it has one, its `log_std`. All blocks keep rows
    apart; a member may own several rows. Eigenvectors are taken every `interval` steps, from step `cold` on; before it the
    steps follow the plain gradient."""

    def __init__(
        self,
        module: nn.Module,
        members: int,
        momentum: float,
        decay: float,
        damping: float,
        clip_kl: float,
        interval: int = 1,
        cold: int = 0,
    ) -> None:
        self.members, self.momentum, self.decay = members, momentum, decay
        self.damping, self.clip_kl, self.interval, self.cold = damping, clip_kl, interval, cold
        self.layers = [layer for layer in module.modules() if isinstance(layer, Linear | LayerNorm)]
        self.free = getattr(module, "log_std", None)
        self.steps = 0
        self.averages: dict[Any, list[Tensor]] = {}  # block -> moving averages
        self.bases: dict[Any, list[Tensor]] = {}  # layer -> eigenvalues and eigenvectors of A, then those of G
        self.speeds = {i: [torch.zeros_like(p)] for i, p in enumerate(self.parameters())}
        self.seen: list[list] = []  # (input, output) of each use, layer by layer, of the last pass under `watch`

    def parameters(self) -> list[nn.Parameter]:
        """Weights and biases, gains and biases, layer by layer; then log_std."""
        pairs = [(layer.weight if isinstance(layer, Linear) else layer.gain, layer.bias) for layer in self.layers]
        return [p for pair in pairs for p in pair] + ([] if self.free is None else [self.free])

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """Inside it, every use of a layer is kept for `learn`."""
        self.seen = [[] for _ in self.layers]

        def note(uses):
            def hook(layer, inputs, output):
                uses.append((inputs[0], output))
                return output.clone()  # an activation in place must not overwrite what was noted

            return hook

        hooks = [layer.register_forward_hook(note(uses)) for layer, uses in zip(self.layers, self.seen, strict=True)]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def learn(self, log_prob: Tensor, log_std: Tensor | None = None) -> None:
        """Take in the factors of a forward pass under `watch`. log_prob: [members, n], not averaged; `log_std`: the tensor
        [members, n, ...] through which the module's free `log_std` reached every sample."""
        outputs = [output for uses in self.seen for _, output in uses]
        wanted: list[Any] = outputs + ([] if self.free is None else [log_std])
        gradients = iter(torch.autograd.grad(log_prob.sum(), wanted, retain_graph=True))
        with torch.no_grad():
            for i, (layer, uses) in enumerate(zip(self.layers, self.seen, strict=True)):
                pairs = [(x, next(gradients)) for x, _ in uses]
                self._average(i, self._factors(layer, pairs))
            if self.free is not None:
                self._average("free", [next(gradients).square().mean(1, keepdim=True)])
        self.seen = []

    @staticmethod
    def _factors(layer, pairs):
        if isinstance(layer, LayerNorm):
            gain, bias = 0.0, 0.0
            for x, g in pairs:
                centred = x - x.mean(-1, keepdim=True)
                normalised = centred * torch.rsqrt(centred.square().mean(-1, keepdim=True) + layer.eps)
                gain = gain + (g * normalised).square().mean(1, keepdim=True)
                bias = bias + g.square().mean(1, keepdim=True)
            return [gain, bias]
        inside, outside = 0.0, 0.0
        for x, g in pairs:
            wide = torch.cat([x, x.new_ones(*x.shape[:-1], 1)], -1)
            inside = inside + wide.mT @ wide / x.shape[1]
            outside = outside + g.mT @ g / x.shape[1]
        return [inside, outside]

    def _average(self, block, factors):
        old = self.averages.get(block)
        if old is None:
            self.averages[block] = factors  # the first average is the first estimate, not one drawn towards zero
        else:
            self.averages[block] = [torch.lerp(f, o, self.decay) for o, f in zip(old, factors, strict=True)]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], rate: Tensor | float) -> None:
        """One step down `gradients` (of `parameters`), with learning rates `rate` [members] or a scalar."""
        if self.steps >= self.cold and (self.steps % self.interval == 0 or not self.bases):
            self._decompose()
        directions = self._precondition(gradients) if self.bases else gradients
        rate = torch.as_tensor(rate, dtype=gradients[0].dtype, device=gradients[0].device).expand(self.members)
        predicted = sum((v * g).reshape(self.members, -1).sum(-1) for v, g in zip(directions, gradients, strict=True))
        scale = (self.clip_kl / (rate.square() * predicted).clamp(min=1e-30)).sqrt().clamp(max=1.0)
        for i, (parameter, v) in enumerate(zip(self.parameters(), directions, strict=True)):
            (speed,) = self.speeds[i]
            speed.mul_(self.momentum).add_(v * self._spread(scale, v))
            parameter.sub_(speed * self._spread(rate * (1 - self.momentum), v))
        self.steps += 1

    def _spread(self, x, like):
        """[members] -> a shape that multiplies rows."""
        return x.repeat_interleave(len(like) // self.members).view(-1, *[1] * (like.dim() - 1))

    def _decompose(self):
        for i, layer in enumerate(self.layers):
            if isinstance(layer, Linear):
                self.bases[i] = [part for factor in self.averages[i] for part in eigen(factor)]

    def _precondition(self, gradients):
        natural, rest = [], list(gradients)
        for i, layer in enumerate(self.layers):
            first, bias = rest.pop(0), rest.pop(0)
            if isinstance(layer, Linear):
                a, u, c, v = self.bases[i]
                wide = u.mT @ torch.cat([first, bias.unsqueeze(1)], 1) @ v
                scaled = wide / (a.clamp(min=0).unsqueeze(-1) * c.clamp(min=0).unsqueeze(-2) + self.damping)
                whole = u @ scaled @ v.mT
                natural += [whole[:, :-1], whole[:, -1]]
            else:
                natural += [g / (f + self.damping) for g, f in zip((first, bias), self.averages[i], strict=True)]
        if self.free is not None:
            natural.append(rest.pop(0) / (self.averages["free"][0] + self.damping))
        return natural

    # Checkpoints

    def _tables(self):
        return {"speed": self.speeds, "average": self.averages, "basis": self.bases}

    def state_dict(self) -> dict[str, Tensor]:
        """{"kind.block.place": tensor}, and the count of steps."""
        parts = [(kind, block, xs) for kind, table in self._tables().items() for block, xs in table.items()]
        tensors = {f"{kind}.{block}.{k}": x for kind, block, xs in parts for k, x in enumerate(xs)}
        return tensors | {"steps": torch.tensor(self.steps)}

    def load_state_dict(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `state_dict`."""
        self.steps, device = int(tensors["steps"]), self.layers[0].bias.device
        for kind, table in self._tables().items():
            table.clear()
            for name in sorted(name for name in tensors if name.startswith(f"{kind}.")):
                _, block, _ = name.split(".")
                table.setdefault(int(block) if block.isdigit() else block, []).append(tensors[name].to(device))


def eigen(factor: Tensor) -> tuple[Tensor, Tensor]:
    """(eigenvalues, eigenvectors) of symmetric matrices [rows, n, n]. A member that diverged gets those of the identity: the
    decomposition refuses NaN, which would end the others' runs too."""
    sound = torch.isfinite(factor).all(-1).all(-1)[:, None, None]
    identity = torch.eye(factor.shape[-1], dtype=factor.dtype, device=factor.device)
    return torch.linalg.eigh(torch.where(sound, factor, identity))
