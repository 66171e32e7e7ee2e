"""The Hamiltonian policy's learner against its equations."""

import re

import numpy as np
import pytest
import torch

from common.errors import UserError
from common.lab.plan import catalog
from common.settings import resolve
from papers.mcmc_po import hmc, sac_coupling
from papers.mcmc_po.config import HMC, SACCoupling
from papers.mcmc_po.policy import METRICS
from tests.test_td3 import ACTIONS, BATCH, OBSERVATIONS, batch_of, copied, draws_of, q, step, track

SMALL = {"base": "1x32", "critic": "1x32", "batch_size": BATCH, "temperature": 0.1}


def learner(seeds=(7,), **settings):
    made = hmc.Learner(HMC(**{**SMALL, **settings}), list(seeds), OBSERVATIONS, ACTIONS)
    if made.hamiltonian.transition.gate is not None:
        generator = torch.Generator().manual_seed(1)
        for parameter in made.hamiltonian.transition.gate.parameters():  # a gate that matters
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    return made


class Reference:
    """One member, written from eqs 12 to 19 with torch.nn: the potential is differentiated as it stands, twice."""

    def __init__(self, made):
        self.c, self.beta, h = made.config, made.config.beta, made.hamiltonian.transition
        self.policy, self.prior = copied(made.policy.base.network, 0), copied(made.policy.base.network, 0)
        self.critics = torch.nn.ModuleList(copied(made.critics.network, row) for row in range(2))
        self.targets = torch.nn.ModuleList(copied(made.critics.network, row) for row in range(2))
        self.sigma, self.implicit = [self.tanhs(copied(net, 0)) for net in (h.gate.sigma, h.gate.implicit)]
        self.logit = h.logit.detach()[0, 0].clone().requires_grad_()
        self.policy_optimiser = torch.optim.Adam(self.policy.parameters(), lr=self.c.learning_rate)
        self.critic_optimiser = torch.optim.Adam(self.critics.parameters(), lr=self.c.learning_rate)
        self.h = [self.logit, *self.sigma.parameters(), *self.implicit.parameters()]
        self.h_optimiser = torch.optim.Adam(self.h, lr=self.c.transition_learning_rate)

    @staticmethod
    def tanhs(network):
        return torch.nn.Sequential(*[torch.nn.Tanh() if isinstance(x, torch.nn.ReLU) else x for x in network])

    def normal(self, network, obs):
        mean, log_std = network(obs).chunk(2, -1)
        return torch.distributions.Normal(mean, log_std.clamp(-2.5, 2).exp())

    def force(self, critics, obs, u):
        value = torch.min(*q(critics, obs, torch.tanh(u)))
        prior = self.normal(self.prior, obs).log_prob(u).sum(-1)
        potential = -(value / max(self.beta, 0.1) + prior)
        (g,) = torch.autograd.grad(potential.sum(), u, create_graph=True)
        x = torch.cat([g / self.scale, torch.tanh(u), obs], -1)
        sigma = torch.sigmoid(self.sigma(x))
        return sigma * g + (1 - sigma) * torch.tanh(self.implicit(x))

    def chain(self, critics, obs, noise, rho):
        base = self.normal(self.policy, obs)
        u = base.mean + base.stddev * noise
        log_prob, eps = base.log_prob(u).sum(-1), 0.5 * torch.sigmoid(self.logit)
        u = u if u.requires_grad else u.requires_grad_()
        for _ in range(self.c.leapfrog_steps):
            rho = rho - (eps * self.force(critics, obs, u)).clamp(-1, 1) / 2
            u = u + eps * rho
            rho = rho - (eps * self.force(critics, obs, u)).clamp(-1, 1) / 2
        return u, rho, log_prob - self.normal(self.prior, obs).log_prob(u).sum(-1)

    def loss(self, obs, noise, momentum):
        u, rho, ratio = self.chain(self.critics, obs, noise, momentum)
        value = torch.min(*q(self.critics, obs, torch.tanh(u)))
        return -(value - self.beta * ratio - self.beta / 2 * rho.square().sum(-1)).mean()

    def update(self, b, draws, scale):
        """scale: the root mean square of gradients that the gate's networks were shown before."""
        d, self.scale = {name: x[0] for name, x in draws.items()}, scale
        u = self.chain(self.targets, b.next_obs[0], d["next_noise"], d["next_momentum"])[0].detach()
        value = torch.min(*q(self.targets, b.next_obs[0], torch.tanh(u))).detach()
        y = b.reward[0] + 0.99 * (1 - b.terminated[0]) * value
        step(self.critic_optimiser, sum(torch.nn.functional.mse_loss(v, y) for v in q(self.critics, b.obs[0], b.action[0])))
        step(self.policy_optimiser, self.loss(b.obs[0], d["noise"], d["momentum"]))
        step(self.h_optimiser, self.loss(b.obs[0], d["transition_noise"], d["transition_momentum"]))
        track(self.targets, self.critics, self.c.target_rate)


def test_an_update_is_that_of_the_equations():
    """Also shows that the critics' gradient may be held constant inside a chain: the reference does not hold it."""
    made = learner(leapfrog_steps=3, transition_learning_rate=1e-3, pid=False)
    h, reference = made.hamiltonian.transition, Reference(made)
    generator = torch.Generator().manual_seed(0)
    for number in range(4):  # one step of Adam alone would tell no more than signs
        batch, draws = batch_of(generator), draws_of(made, number)
        scale = h.gate.mean_square[0].sqrt().clone()
        made.update(batch, draws)
        reference.update(batch, draws, scale)
    for ours, theirs in (
        (made.critics.network, reference.critics[0]),
        (made.policy.base.network, reference.policy),
        (h.gate.sigma, reference.sigma),
        (h.gate.implicit, reference.implicit),
        (made.targets.network, reference.targets[0]),
    ):
        for layer in (0, 2):
            torch.testing.assert_close(ours[layer].weight[0], theirs[layer].weight.T, rtol=0, atol=2e-5)
    torch.testing.assert_close(h.logit[0, 0], reference.logit, rtol=0, atol=2e-5)


def test_a_chain_takes_one_gradient_more_than_it_has_steps():
    for steps in (0, 1, 5):
        made, calls = learner(leapfrog_steps=steps), []
        critic = made.critic

        def counted(*arguments, critic=critic, calls=calls):
            inner = critic(*arguments)
            return lambda action: calls.append(1) or inner(action)

        made.critic = counted
        made.update(batch_of(torch.Generator().manual_seed(0)), draws_of(made, 0))
        chains = 3 if steps else 2  # the target's, theta's and, with anything to learn, h's
        assert len(calls) == chains * (steps + 1)


@pytest.mark.parametrize("settings", [
    {"leapfrog_steps": 0}, {"gate": "plain"}, {"gate": "implicit"}, {"gate_state": False}, {"alternation": "shared"},
    {"learn_transition": False}, {"pid": False}, {"pessimism": "mean"}, {"target": "base"}, {"target": "soft"},
    {"snapshot_every": 1}, {"integral": 0.0},
])  # fmt: skip
def test_every_variant_learns_and_records(settings):
    made = hmc.Learner(HMC(**{**SMALL, **settings}), [4, 5], OBSERVATIONS, ACTIONS)
    before = [p.detach().clone() for p in made.hamiltonian.transition.parameters()]
    generator = torch.Generator().manual_seed(0)
    for number in range(4):
        batch = batch_of(generator, 2)
        made.update(batch, draws_of(made, number, (4, 5)))
    moved = [not torch.equal(p, b) for p, b in zip(made.hamiltonian.transition.parameters(), before, strict=True)]
    learns = made.config.learn_transition and made.config.leapfrog_steps
    assert any(moved) == bool(learns)
    action = made.act(batch.obs)
    assert torch.isfinite(action).all() and (action.abs() <= 1).all()
    trace = {name: list(x.numpy()) for name, x in made.inspect(batch.obs).items()}
    summary = made.summarise(trace)
    assert {*METRICS, "distance_rms", "log_std"} - set(summary) == {"distance_error_squared"}
    assert all(len(values) == 2 and np.isfinite(values).all() for values in summary.values())
    rows = made.tables([])["gap"]
    assert [len(r) for r in rows] == [7, 7] and all(np.isfinite(row["bound"]) for row in rows[0])


def test_the_coupling_baseline_starts_as_sac_and_has_about_the_hamiltonian_policys_parameters():
    sizes = {}
    for name, module, config in (("hmc", hmc, HMC), ("coupling", sac_coupling, SACCoupling)):
        made = module.Learner(config(), [4], 11, 3)
        sizes[name] = sum(p.numel() for p in made.policy.parameters())
        if name == "hmc":
            sizes[name] += sum(p.numel() for p in made.hamiltonian.transition.parameters())
    assert abs(sizes["coupling"] / sizes["hmc"] - 1) < 0.01
    obs = torch.randn(1, 8, 11)
    torch.testing.assert_close(made.act(obs), torch.tanh(made.policy.base(obs).mean))
    made.update(type(batch_of(torch.Generator()))(*_wide_batch()), draws_of(made, 0, (4,)))
    assert torch.isfinite(made.act(obs)).all()


def _wide_batch():
    obs = torch.randn(1, 256, 11)
    return obs, torch.rand(1, 256, 3), torch.randn(1, 256), torch.zeros(1, 256), obs


@pytest.mark.parametrize("values, line", [
    ({"leapfrog_steps": -1}, "leapfrog_steps = -1 is out of range"),
    ({"step_size": float("nan")}, "step_size = nan must be finite"),
    ({"step_size": float("inf")}, "step_size = inf must be finite"),
    ({"step_size": 0.5}, "step_size = 0.5 must lie below largest_step = 0.5"),
    ({"step_size": -0.1}, "step_size = -0.1 is out of range"),
    ({"step_size": 0.2}, "step_size = 0.2 must lie below 2 exp(log_std_low) = 0.164: else chains diverge"),
    ({"log_std_low": -5.0}, "step_size = 0.05 must lie below 2 exp(log_std_low) = 0.0135: else chains diverge"),
    ({"proportional": -0.1}, "proportional = -0.1 is out of range"),
    ({"integral": -0.1}, "integral = -0.1 is out of range"),
    ({"derivative": -0.1}, "derivative = -0.1 is out of range"),
    ({"beta": 11.0}, "beta = 11.0 exceeds beta_cap = 10.0"),
    ({"temperature": 0.0}, "temperature = 0.0 is out of range"),
    ({"gate": "half"}, "gate = 'half' is not known"),
    ({"warmup": 1_000_000}, "warmup = 1000000 leaves no step"),
])  # fmt: skip
def test_bad_settings_are_one_clear_line(values, line):
    with pytest.raises(UserError, match=re.escape(line)) as error:
        resolve(HMC, values, "hmc.yaml")
    assert "\n" not in str(error.value)


def test_no_step_is_too_long_where_none_is_taken():
    assert resolve(HMC, {"leapfrog_steps": 0, "log_std_low": -5.0}, "hmc.yaml").log_std_low == -5


def test_settings_of_the_baselines_are_the_papers():
    for experiment in ("sac", "sac_auto", "td3", "hmc"):
        for cell in catalog.cells("mcmc_po", experiment, "paper").values():
            assert (cell.config.total_steps, cell.config.evaluate_every, cell.config.base) == (500_000, 5_000, "2x256")
    config = catalog.cells("mcmc_po", "hmc", "paper")["Hopper-v4-5"].config
    assert (config.log_std_low, config.log_std_high) == (-2.5, 2.0)
