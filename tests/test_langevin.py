"""Langevin policies against eqs 6, 7, 9 and 10, and against TD3 and DDPG where they must agree with them."""

import math
from copy import deepcopy

import numpy as np
import pytest
import torch

from common.errors import UserError
from common.rl import ddpg, td3
from common.rl.config import DDPG, TD3
from common.rl.coverage import coverage
from common.settings import resolve
from papers.mcmc_po import langevin
from papers.mcmc_po.config import Langevin
from tests.test_td3 import ACTIONS, BATCH, OBSERVATIONS, batch_of, copied, draws_of, q, step, track

SMALL = {"base": "1x32", "critic": "1x32", "batch_size": BATCH}
ON_DDPG = {name: getattr(DDPG(), name) for name in ("critics", "policy_delay", "target_noise", "target_rate")}
ON_DDPG |= {name: getattr(DDPG(), name) for name in ("learning_rate", "critic_learning_rate")}


def learner(seeds=(7,), **settings):
    made = langevin.Learner(Langevin(**{**SMALL, **settings}), list(seeds), OBSERVATIONS, ACTIONS)
    generator = torch.Generator().manual_seed(1)
    for parameter in made.transition.parameters():  # networks that matter
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return made


@pytest.mark.parametrize("module, config, on", [(td3, TD3, {}), (ddpg, DDPG, ON_DDPG)])
def test_without_steps_and_multiplier_it_is_the_plain_algorithm(module, config, on):
    ours = learner(chain_steps=0, pid=False, beta=0.0, **on)
    theirs = module.Learner(config(**SMALL), [7], OBSERVATIONS, ACTIONS)
    generator = torch.Generator().manual_seed(0)
    for number in range(6):
        batch, draws = batch_of(generator), draws_of(theirs, number)
        ours.update(batch, draws)
        theirs.update(batch, draws)
    for name in ("policy", "critics", "policy_target", "targets"):
        for a, b in zip(getattr(ours, name).parameters(), getattr(theirs, name).parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def ascent(made, obs, a, centre):
    """grad V of eq. 6, V differentiated as it stands."""
    a = a.detach().requires_grad_()
    value = made.critics(obs, a)[:, 0] / max(made.config.beta, made.config.temperature)
    distance = ((a - centre).square().sum(-1) + 1e-6).sqrt()
    return torch.autograd.grad((value - distance).sum(), a)[0]


def test_noisy_chain_is_equation_7():
    made = learner(kind="noisy", chain_steps=2, kick_limit=1e6)
    obs, xi = torch.randn(1, 5, OBSERVATIONS), torch.randn(1, 5, 2, ACTIONS)
    centre = made.anchor(obs) + 0.1
    a = start = made.policy(obs).detach()
    for k in range(2):
        step, noise = 0.5 * torch.sigmoid(made.transition.logit[k]), made.transition.log_noise.exp()
        a = (a + step / 2 * ascent(made, obs, a, centre) + noise * xi[:, :, k]).clamp(-1, 1)
    found, value, first, _ = made.chain(made.critics, obs, start, centre, xi)
    torch.testing.assert_close(found, a)
    torch.testing.assert_close(value, made.critics(obs, a)[:, 0])
    torch.testing.assert_close(first, made.critics(obs, start)[:, 0])


def test_flow_is_equation_9():
    made = learner(chain_steps=3, kick_limit=1e6)
    h, obs = made.transition, torch.randn(1, 5, OBSERVATIONS)
    centre = made.anchor(obs) + 0.1
    a = start = made.policy(obs).detach()
    for k in range(3):
        m = torch.tensor([0.0, 1.0] if k % 2 == 0 else [1.0, 0.0])
        eps, n, kept = 0.5 * torch.sigmoid(h.logit[k]), 1 - m, m * a
        inner = a + eps**2 / 2 * ascent(made, obs, a, centre) + eps * h.drift[k](kept).exp()
        y = kept + n * (inner * h.log_scale[k](kept).exp() + h.shift[k](kept))
        assert torch.equal(y[..., m.bool()], a[..., m.bool()])  # the kept half stays
        a = y.clamp(-1, 1)
    torch.testing.assert_close(made.chain(made.critics, obs, start, centre)[0], a)


class Reference:
    """One member of TD3 with the noisy chain, written from eqs 6, 7, 10 and 11 with torch.nn; V is differentiated twice."""

    def __init__(self, made):
        self.c, self.tau, self.iterations = made.config, max(made.config.beta, made.config.temperature), 0
        self.policy = copied(made.policy.network, 0, squash=True)
        self.anchor, self.policy_target = deepcopy(self.policy), copied(made.policy_target.network, 0, squash=True)
        self.critics = torch.nn.ModuleList(copied(made.critics.network, row) for row in range(2))
        self.targets = torch.nn.ModuleList(copied(made.targets.network, row) for row in range(2))
        self.logits = [x.detach().flatten()[0].clone().requires_grad_() for x in made.transition.logit]
        self.log_noise = made.transition.log_noise.detach().flatten()[0].clone().requires_grad_()
        self.policy_optimiser = torch.optim.Adam(self.policy.parameters(), lr=self.c.learning_rate)
        self.critic_optimiser = torch.optim.Adam(self.critics.parameters(), lr=self.c.critic_learning_rate)
        self.h_optimiser = torch.optim.Adam([*self.logits, self.log_noise], lr=self.c.transition_learning_rate)

    def far(self, a, centre):
        return ((a - centre).square().sum(-1) + 1e-6).sqrt()

    def chain(self, critics, obs, a, centre, xi):
        a = a if a.requires_grad else a.requires_grad_()
        for k, logit in enumerate(self.logits):
            v = q(critics, obs, a)[0] / self.tau - self.far(a, centre)
            (slope,) = torch.autograd.grad(v.sum(), a, create_graph=True)
            kick = (0.25 * torch.sigmoid(logit) * slope).clamp(-self.c.kick_limit, self.c.kick_limit)
            moved = a + kick + self.log_noise.exp() * xi[:, k]
            a = moved + (moved.clamp(-1, 1) - moved).detach()
        return a

    def loss(self, obs, xi):
        centre = self.anchor(obs).detach()
        a = self.chain(self.critics, obs, self.policy(obs), centre, xi)
        return -(q(self.critics, obs, a)[0] - self.c.beta * self.far(a, centre)).mean()

    def update(self, b, draws):
        d = {name: x[0] for name, x in draws.items()}
        obs, following = b.obs[0], b.next_obs[0]
        start, centre = self.policy_target(following).detach(), self.anchor(following).detach()
        a = self.chain(self.targets, following, start, centre, d["next_xi"]).detach()
        a = (a + (0.2 * d["target_noise"]).clamp(-0.5, 0.5)).clamp(-1, 1)
        y = b.reward[0] + 0.99 * (1 - b.terminated[0]) * torch.min(*q(self.targets, following, a)).detach()
        step(self.critic_optimiser, sum(torch.nn.functional.mse_loss(v, y) for v in q(self.critics, obs, b.action[0])))
        if self.iterations % self.c.snapshot_every == 0:
            self.anchor.load_state_dict(self.policy.state_dict())
        self.iterations += 1
        step(self.policy_optimiser, self.loss(obs, d["xi"]))
        step(self.h_optimiser, self.loss(obs, d["transition_xi"]))
        track(self.targets, self.critics, self.c.target_rate)
        track(self.policy_target, self.policy, self.c.target_rate)


def test_updates_are_those_of_the_equations():
    """Twelve, over three snapshots, with beta > 0 and targets that are far from critics and policy: the sign of eq. 10's
    penalty, a chain on the wrong critics or about the wrong centre, or one noise for both steps would be seen."""
    settings = {"snapshot_every": 5, "target_rate": 0.5, "policy_delay": 1, "learning_rate": 2e-3, "beta": 0.3}
    settings |= {"step_size": 0.4, "kick_limit": 0.5, "critic_learning_rate": 5e-3}
    made = learner(kind="noisy", chain_steps=2, pid=False, transition_learning_rate=1e-2, **settings)
    generator = torch.Generator().manual_seed(0)
    for parameter in (*made.targets.parameters(), *made.policy_target.parameters()):
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    reference = Reference(made)
    for number in range(12):
        batch, draws = batch_of(generator), draws_of(made, number)
        made.update(batch, draws)
        reference.update(batch, draws)
    for ours, theirs in (
        (made.policy.network, reference.policy),
        (made.anchor.network, reference.anchor),
        (made.critics.network, reference.critics[0]),
        (made.targets.network, reference.targets[0]),
        (made.policy_target.network, reference.policy_target),
    ):
        for layer in (0, 2):
            torch.testing.assert_close(ours[layer].weight[0], theirs[layer].weight.T, rtol=0, atol=1e-4)
    torch.testing.assert_close(made.transition.log_noise.flatten()[0], reference.log_noise, rtol=0, atol=1e-4)
    torch.testing.assert_close(made.transition.logit.flatten(), torch.stack(reference.logits), rtol=0, atol=1e-4)


def test_the_spread_of_states_grows_with_a_dilation():
    """By ln 2 where all states move twice as far apart, per dimension; a member at a time."""
    obs = torch.randn(2, 500, 3, generator=torch.Generator().manual_seed(0))
    near, far = coverage(obs), coverage(2 * obs)
    assert [b - a for a, b in zip(near, far, strict=True)] == pytest.approx([math.log(2)] * 2, abs=1e-4)


def test_the_spread_of_states_is_that_of_third_neighbours():
    """0, 1, 3, 7, 15: the third nearest are 7, 6, 4, 7 and 14 away."""
    found = coverage(torch.tensor([[[0.0], [1.0], [3.0], [7.0], [15.0]]]))
    assert found == pytest.approx([math.log(7 * 6 * 4 * 7 * 14) / 5], abs=1e-5)


@pytest.mark.parametrize("kind", ["noisy", "flow"])
def test_a_frozen_transition_climbs_the_critic(kind):
    """The sign: without noise and with small steps a chain gains in V, and so in Q."""
    config = Langevin(**SMALL, kind=kind, step_size=0.01 if kind == "noisy" else 0.1, beta=0.2)
    made = langevin.Learner(config, [7], OBSERVATIONS, ACTIONS)
    obs = torch.randn(1, 256, OBSERVATIONS)
    _, value, first, _ = made.chain(made.critics, obs, made.policy(obs) * 0.5, made.policy(obs) * 0.5)
    assert (value - first).mean() > 0


def steep(critics, obs):
    """A critic whose gradient is 10 in every entry of the action."""
    return lambda action: (10 * action.sum(-1), torch.full_like(action, 10.0))


@pytest.mark.parametrize("on", [{}, ON_DDPG], ids=["td3", "ddpg"])
@pytest.mark.parametrize("kind, clamped", [("noisy", 1.0), ("flow", 0.0)])
def test_a_steep_critic_neither_saturates_actions_nor_silences_the_policy(kind, clamped, on):
    """|Q'| = 10, divided by tau = 0.2. Kicks of the noisy chain are clamped, so that K = 5 of them move an action by 0.5 at
    most; at a bound the clip passes the gradient on."""
    made = langevin.Learner(Langevin(**SMALL, kind=kind, **on), [7], OBSERVATIONS, ACTIONS)
    made.critic, obs = steep, torch.randn(1, 64, OBSERVATIONS)
    centre = made.anchor(obs)
    for bias, at_bound in ((0.0, False), (3.0, True)):
        made.policy.network[-1].bias.data.fill_(bias)
        start = made.policy(obs)
        action, _, _, steps = made.chain(made.critics, obs, start, centre)
        assert float(langevin.outside([kick for kick, _ in steps], made.config.kick_limit)) == clamped
        assert (action.abs() <= 1).all() and (action - start).abs().max() <= 0.5 + 1e-6
        assert (float(langevin.outside([moved for _, moved in steps], 1.0)) > 0.3) == at_bound
        loss, noted = made.loss(obs, centre, None)
        gradients = torch.autograd.grad(loss.sum(), list(made.policy.parameters()))
        assert all(gradient.abs().max() > 1e-3 for gradient in gradients)
        assert noted["value_gain"] > 0


def test_the_clip_passes_gradients_straight_through():
    x = torch.tensor([-3.0, -1.0, 0.2, 1.37, 9.0], requires_grad=True)
    assert torch.equal(langevin.clipped(x), x.clamp(-1, 1))
    assert torch.equal(torch.autograd.grad(langevin.clipped(x).sum(), x)[0], torch.ones(5))


@pytest.mark.parametrize("settings", [
    {"kind": "noisy"}, {"kind": "flow"}, {"kind": "flow", "learn_transition": False}, {"pid": False},
    {"kind": "noisy", **ON_DDPG}, {"kind": "flow", **ON_DDPG}, {"chain_steps": 0},
])  # fmt: skip
def test_every_variant_learns_and_records(settings):
    made = learner((4, 5), **settings)
    before = [p.detach().clone() for p in made.transition.parameters()]
    generator = torch.Generator().manual_seed(0)
    for number in range(4):
        batch = batch_of(generator, 2)
        made.update(batch, draws_of(made, number, (4, 5)))
    moved = [not torch.equal(p, b) for p, b in zip(made.transition.parameters(), before, strict=True)]
    assert any(moved) == bool(made.config.learn_transition and made.config.chain_steps)
    summary = made.summarise({name: list(x.numpy()) for name, x in made.inspect(batch.obs).items()})
    assert {*langevin.METRICS, "distance_rms", "saturated"} - set(summary) == {"distance_error_squared"}
    assert all(len(values) == 2 and np.isfinite(values).all() for values in summary.values())


def test_distance_is_measured_from_the_last_snapshot():
    made = learner(pid=False, snapshot_every=100, policy_delay=1, chain_steps=0)
    generator = torch.Generator().manual_seed(0)
    found = []
    for number in range(3):
        made.update(batch_of(generator), draws_of(made, number))
        found.append(made.meter.take()["distance"][0])
    assert found[0] == pytest.approx(1e-3, rel=1e-4) and found[0] < min(found[1:])
    assert made.pid.threshold == pytest.approx(0.1 * math.sqrt(ACTIONS))


def test_bad_settings_are_one_clear_line():
    for values, line in (
        ({"chain_steps": -1}, "chain_steps = -1 is out of range"),
        ({"step_size": float("inf")}, "step_size = inf must be finite"),
        ({"step_size": 0.6}, "step_size = 0.6 must lie below largest_step = 0.5"),
        ({"derivative": -1.0}, "derivative = -1.0 is out of range"),
    ):
        with pytest.raises(UserError, match=line.replace(".", r"\.")):
            resolve(Langevin, values, "langevin.yaml")


@pytest.mark.parametrize("every, moves", [("step", [1, 2, 3, 4, 5, 6]), ("snapshot", [3, 6])])
def test_beta_moves_at_every_step_or_before_a_snapshot(every, moves):
    made, moved = learner(snapshot_every=3, pid_every=every, policy_delay=1), []
    beta = made.pid.beta.clone()
    for number in range(1, 7):
        made.update(batch_of(torch.Generator().manual_seed(number)), draws_of(made, number))
        if not torch.equal(made.pid.beta, beta):
            moved.append(number)
        beta = made.pid.beta.clone()
    assert moved == moves
