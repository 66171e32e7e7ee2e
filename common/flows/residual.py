"""Planar and radial flows (Rezende & Mohamed 2015): the identity and one bump, kept invertible.

The contract is that of `common.flows.transforms`; inputs are [members, batch, event]. Parameters are free, one set per
member; what invertibility asks of them holds by construction.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HALVINGS = 60  # of the bracket in which a planar flow's inverse lies: to float64's last digits


def solved(target: Tensor, slope: Tensor) -> Tensor:
    """a such that a + slope tanh(a) = target, slope > -1, by bisection; one step of Newton's gives it its gradient. Shapes
    broadcast."""
    with torch.no_grad():
        low, high = target - slope.abs(), target + slope.abs()
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            above = middle + slope * torch.tanh(middle) > target
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        root = (low + high) / 2
    bump = torch.tanh(root)
    rate = 1 + slope * (1 - bump.square())
    return root - (root + slope * bump - target) / rate.detach()


class Planar(nn.Module):
    """y = x + u^ tanh(w'x + b),    log_det = ln(1 + w'u^ (1 - t^2)) = ln(s (1 - t^2) + t^2),
    t = tanh(w'x + b),              s = softplus(w'u) = 1 + w'u^.

    u^ = u + (softplus(w'u) - 1 - w'u) w / |w|^2, so that w'u^ > -1, which is when it has an inverse (their Appendix A.1).
    That has no closed form: along w the scalar v = a + w'u^ tanh(a) is solved for a by bisection, and one step of Newton's
    gives the solution its gradient.

    The second form of log_det adds two numbers above 0, so that none is made as a small difference of large ones.
    Safe range: w'u > -80 in float32 (-700 in float64), below which s rounds to 0.

    w, u: [members, event], no w of length 0 (ValueError); b: [members].
    """

    def __init__(self, w: Tensor, u: Tensor, b: Tensor):
        super().__init__()
        if not bool((w != 0).any(-1).all()):
            raise ValueError("w = 0: a planar flow needs a direction for every member")
        self.w, self.u, self.b = (nn.Parameter(x) for x in (w.unsqueeze(1), u.unsqueeze(1), b.view(-1, 1)))

    def direction(self) -> tuple[Tensor, Tensor]:
        """u^, [members, 1, event], and w'u^, [members, 1]."""
        along = (self.w * self.u).sum(-1, keepdim=True)
        wanted = F.softplus(along) - 1
        return self.u + (wanted - along) * self.w / self.w.square().sum(-1, keepdim=True), wanted.squeeze(-1)

    def log_det(self, bump: Tensor) -> Tensor:
        """ln |det dy/dx| where tanh(w'x + b) is `bump`, [members, batch]."""
        slope = F.softplus((self.w * self.u).sum(-1))
        square = bump.square()
        return (slope * (1 - square) + square).log()

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        u, slope = self.direction()
        bump = torch.tanh((x * self.w).sum(-1) + self.b)
        return x + u * bump.unsqueeze(-1), self.log_det(bump)

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        u, slope = self.direction()
        bump = torch.tanh(solved((y * self.w).sum(-1) + self.b, slope))
        return y - u * bump.unsqueeze(-1), -self.log_det(bump)


class Radial(nn.Module):
    """y = x + g (x - c),  g = beta^ / (alpha + r),  r = |x - c|, in n dimensions:

        log_det = (n - 1) ln(1 + g) + ln(1 + g - g r / (alpha + r)).

    alpha = softplus(a) > 0 and beta^ = softplus(b) - alpha > -alpha, which is when it has an inverse (their Appendix A.2):
    r is the positive root of r^2 + (alpha + beta^ - |y - c|) r - alpha |y - c| = 0.

    c: [members, event]; a, b: [members].
    """

    def __init__(self, c: Tensor, a: Tensor, b: Tensor):
        super().__init__()
        self.c, self.a, self.b = nn.Parameter(c.unsqueeze(1)), nn.Parameter(a.view(-1, 1)), nn.Parameter(b.view(-1, 1))

    def shape(self) -> tuple[Tensor, Tensor]:
        """alpha and beta^, each [members, 1]."""
        alpha = F.softplus(self.a)
        return alpha, F.softplus(self.b) - alpha

    @staticmethod
    def log_det(events: int, alpha: Tensor, beta: Tensor, r: Tensor) -> Tensor:
        g = beta / (alpha + r)
        return (events - 1) * torch.log1p(g) + torch.log1p(g - g * r / (alpha + r))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        alpha, beta = self.shape()
        away = x - self.c
        r = away.norm(dim=-1)
        return x + (beta / (alpha + r)).unsqueeze(-1) * away, self.log_det(x.shape[-1], alpha, beta, r)

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        alpha, beta = self.shape()
        away = y - self.c
        distance = away.norm(dim=-1)
        half = (distance - alpha - beta) / 2
        r = half + (half.square() + alpha * distance).sqrt()
        shrunk = away / (1 + beta / (alpha + r)).unsqueeze(-1)
        return self.c + shrunk, -self.log_det(y.shape[-1], alpha, beta, r)
