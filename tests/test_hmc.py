"""The Hamiltonian policy's learner against its equations."""

import re

import numpy as np
import pytest
import torch

from common.errors import UserError
from common.lab.plan import catalog
from common.settings import resolve
from papers.mcmc_po import gaps, hmc, sac_coupling
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
        self.c, self.tau, h = made.config, max(made.config.beta, made.config.temperature), made.hamiltonian.transition
        self.updates = 0
        self.policy, self.prior = copied(made.policy.base.network, 0), copied(made.policy.base.network, 0)
        self.critics = torch.nn.ModuleList(copied(made.critics.network, row) for row in range(2))
        self.targets = torch.nn.ModuleList(copied(made.targets.network, row) for row in range(2))
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
        potential = -(value / self.tau + prior)
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
        return -(value - self.tau * ratio - self.tau / 2 * rho.square().sum(-1)).mean()

    def following(self, b, d):
        """What the critics' target bootstraps from."""
        obs, noise = b.next_obs[0], d["next_noise"]
        if self.c.target == "base":
            base = self.normal(self.policy, obs)
            return torch.min(*q(self.targets, obs, torch.tanh(base.mean + base.stddev * noise))).detach()
        u, rho, ratio = self.chain(self.targets, obs, noise, d["next_momentum"])
        value = torch.min(*q(self.targets, obs, torch.tanh(u)))
        if self.c.target == "soft":
            value = value - self.tau * (ratio + (rho.square() - d["next_momentum"].square()).sum(-1) / 2)
        return value.detach()

    def update(self, b, draws, scale):
        """scale: the root mean square of gradients that the gate's networks were shown before."""
        d, self.scale = {name: x[0] for name, x in draws.items()}, scale
        y = b.reward[0] + 0.99 * (1 - b.terminated[0]) * self.following(b, d)
        step(self.critic_optimiser, sum(torch.nn.functional.mse_loss(v, y) for v in q(self.critics, b.obs[0], b.action[0])))
        if self.updates % self.c.snapshot_every == 0:
            self.prior.load_state_dict(self.policy.state_dict())
        self.updates += 1
        step(self.policy_optimiser, self.loss(b.obs[0], d["noise"], d["momentum"]))
        step(self.h_optimiser, self.loss(b.obs[0], d["transition_noise"], d["transition_momentum"]))
        track(self.targets, self.critics, self.c.target_rate)


@pytest.mark.parametrize("beta", [0.2, 0.02], ids=["beta", "floor"])
@pytest.mark.parametrize("target", ["chain", "base", "soft"])
def test_updates_are_those_of_the_equations(beta, target):
    """Twelve, over three snapshots, with targets that are far from the critics and move: a chain on the wrong critics, a
    snapshot that stays, another target or temperature would be seen. Also shows that the critics' gradient may be held
    constant inside a chain: the reference does not hold it."""
    settings = {"snapshot_every": 5, "target_rate": 0.5, "learning_rate": 2e-3, "transition_learning_rate": 1e-3}
    made = learner(leapfrog_steps=3, pid=False, beta=beta, target=target, **settings)
    generator = torch.Generator().manual_seed(0)
    for parameter in made.targets.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    h, reference = made.hamiltonian.transition, Reference(made)
    for number in range(12):
        batch, draws = batch_of(generator), draws_of(made, number)
        scale = h.gate.mean_square[0].sqrt().clone()
        made.update(batch, draws)
        reference.update(batch, draws, scale)
    for ours, theirs in (
        (made.critics.network, reference.critics[0]),
        (made.policy.base.network, reference.policy),
        (made.hamiltonian.prior.network, reference.prior),
        (h.gate.sigma, reference.sigma),
        (h.gate.implicit, reference.implicit),
        (made.targets.network, reference.targets[0]),
    ):
        for layer in (0, 2):
            torch.testing.assert_close(ours[layer].weight[0], theirs[layer].weight.T, rtol=0, atol=1e-4)
    torch.testing.assert_close(h.logit[0, 0], reference.logit, rtol=0, atol=1e-4)


@pytest.mark.parametrize("every, moves", [("step", [1, 2, 3, 4, 5, 6]), ("snapshot", [3, 6])])
def test_beta_moves_at_every_step_or_before_a_snapshot(every, moves):
    """With "snapshot" by the distance that the policy then has from the snapshot about to be replaced."""
    made = learner(leapfrog_steps=1, snapshot_every=3, pid_every=every)
    generator, moved, beta = torch.Generator().manual_seed(0), [], made.hamiltonian.pid.beta.clone()
    for number in range(1, 7):
        made.update(batch_of(generator), draws_of(made, number))
        if not torch.equal(made.hamiltonian.pid.beta, beta):
            moved.append(number)
        beta = made.hamiltonian.pid.beta.clone()
    assert moved == moves


def test_the_share_of_ln_sigma_at_its_floor():
    made = learner(pid=False)
    made.update(batch_of(torch.Generator().manual_seed(0)), draws_of(made, 0))
    assert made.hamiltonian.meter.take()["prior_at_floor"] == [0.0]
    last = made.policy.base.network[-1]
    last.weight.data.zero_()
    last.bias.data[..., ACTIONS:] = -9.0
    last.bias.data[..., ACTIONS] = 0.0  # one of the entries stays above
    made.hamiltonian.snapshot()
    made.update(batch_of(torch.Generator().manual_seed(0)), draws_of(made, 0))
    assert made.hamiltonian.meter.take()["prior_at_floor"] == [pytest.approx(1 - 1 / ACTIONS)]


def slope_of(made, beta, log_std):
    """dJ/dmu over dQ/du of a policy N(0, sigma) that is its own snapshot, on the critic Q = sum(a)."""
    policy = made.hamiltonian
    last = made.policy.base.network[-1]
    last.weight.data.zero_()
    last.bias.data[..., ACTIONS:] = log_std
    policy.snapshot()
    policy.pid.beta.fill_(beta)
    generator = torch.Generator().manual_seed(2)
    noise, momentum = torch.randn(2, 1, 4096, ACTIONS, generator=generator)
    obs = torch.zeros(1, 4096, OBSERVATIONS)
    chain = policy.chain(obs, lambda action: (action.sum(-1), torch.ones_like(action)), noise, momentum)
    (gradient,) = torch.autograd.grad(chain.objective().sum(), last.bias)
    return float(gradient[..., :ACTIONS].mean())


@pytest.mark.parametrize("log_std", [-1.5, -2.0, -2.5])
@pytest.mark.parametrize("beta", [0.15, 0.05, 0.025, 0.0])
def test_the_policy_climbs_q_at_every_multiplier(beta, log_std):
    """Five steps of 0.05 turn a chain by half a period at ln sigma = -2.5: a_K moves against a_0. At equal temperatures
    of objective and potential the KL term makes up for it; with beta in the objective the slope is -0.8 at beta = 0."""
    made = hmc.Learner(HMC(**{**SMALL, "temperature": 0.05, "gate": "plain"}), [7], OBSERVATIONS, ACTIONS)
    assert 0.7 < slope_of(made, beta, log_std) < 1.2


def test_without_its_chain_a_policy_acts_with_its_mean_and_in_evaluation_no_momentum_moves_it():
    """`without_chain` is tanh(mu); the evaluation's chain starts there with rho_0 = 0, and moves."""
    made, obs = learner(), torch.randn(1, 64, OBSERVATIONS, generator=torch.Generator().manual_seed(3))
    mean = made.policy.base(obs).mean.detach()
    assert torch.equal(made.act(obs, ablate="without_chain"), torch.tanh(mean))
    still = made.chain(made.critics, obs, torch.zeros_like(mean), torch.zeros_like(mean))
    assert torch.equal(still.states[0][0], mean) and not still.states[0][1].any()
    assert torch.equal(made.act(obs), still.action.detach()) and not torch.equal(still.action.detach(), torch.tanh(mean))


def test_the_chains_gain_of_the_bound_is_the_bound_after_it_less_before_it():
    """By the bound of `gaps`, with theta = theta_t and rho_0 in the distance: L(K steps) - L(0 steps)."""
    made = learner(pid=False)
    generator = torch.Generator().manual_seed(4)
    batch, draws = batch_of(generator), draws_of(made, 0)
    policy, critic = made.hamiltonian, made.critic(made.critics, batch.obs)
    with torch.no_grad():
        after, before = (policy.chain(batch.obs, critic, draws["noise"], draws["momentum"], steps=k) for k in (5, 0))
    gain = gaps.bound(after, policy.temperature) - gaps.bound(before, policy.temperature)
    policy._observe(after)
    assert float(gain) == pytest.approx(policy.meter.take()["bound_gain"][0], rel=1e-4) and abs(float(gain)) > 1e-4


def test_ascent_reaches_the_optimum_of_a_quadratic():
    """Q = -3 |a - a*|^2 near 0, prior N(0, 1): the best mean lies where the ascent ends, above the start."""
    made = learner(pid=False, temperature=0.1, beta=0.1)
    batch = batch_of(torch.Generator().manual_seed(5))
    made.seen = batch
    goal = 0.3
    made.critic = lambda critics, obs: lambda a: (-3 * (a - goal).square().sum(-1), -6 * (a - goal))
    rows = {(row["how"], row["size"]): row["bound"] for row in gaps.gap_rows(made)[0]}
    assert [size for how, size in rows if how == "chain"] == [0, 1, 3, 4, 5, 10]
    assert rows["ascent", gaps.ASCENT_STEPS] > rows["chain", 0] + 0.05


def test_the_mean_of_the_critics_is_their_mean():
    made = learner(pessimism="mean")
    obs, action = torch.randn(1, 8, OBSERVATIONS), torch.rand(1, 8, ACTIONS)
    value, slope = made.critic(made.critics, obs)(action.requires_grad_())
    torch.testing.assert_close(value, made.critics(obs, action).mean(1))
    (expected,) = torch.autograd.grad(made.critics(obs, action).mean(1).sum(), action)
    torch.testing.assert_close(slope, expected)


def test_the_gates_inputs_follow_the_gradients():
    made = learner()
    before = made.hamiltonian.transition.gate.mean_square.clone()
    made.update(batch_of(torch.Generator().manual_seed(0)), draws_of(made, 0))
    assert not torch.equal(made.hamiltonian.transition.gate.mean_square, before)


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
