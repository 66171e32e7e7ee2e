"""Laws of the Hamiltonian transition, in float64: what the paper says of it, and where that ends."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import ks_2samp

from common.flows.distributions import DiagonalGaussian
from common.rl import iterations
from common.rl.journal import MemoryJournal
from papers.mcmc_po import exact, studies, toys
from papers.mcmc_po.config import HMC, Toys, TrustRegion
from papers.mcmc_po.leapfrog import Transition, leapfrog, trajectory
from papers.mcmc_po.pid import PID
from papers.mcmc_po.policy import Chain, HamiltonianPolicy, Meter, Potential, outside

D, STATES = 2, 3


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


def wavy(action):
    """A smooth critic and its gradient."""
    value = torch.sin(3 * action).sum(-1) + action.prod(-1)
    return value, 3 * torch.cos(3 * action) + action.flip(-1)


def potential(batch, critic=wavy, temperature=0.5):
    zero = torch.zeros(1, batch, D)
    return Potential(DiagonalGaussian(zero + 0.2, zero - 0.3), critic, torch.full((1, 1), temperature))


def transition(**settings):
    """A chain whose gate is random, and matters."""
    made = Transition([np.random.default_rng(0)], HMC(**settings), D, STATES)
    return exact.jittered(made, np.random.default_rng(1), 0.7) if made.gate is not None else made


def start(batch):
    return torch.randn(1, batch, D), torch.randn(1, batch, D), torch.randn(1, batch, STATES)


# Section 3.2 and 4.2: volume, reversibility, energy


@pytest.mark.parametrize("gate", ["gated", "plain", "implicit"])
@pytest.mark.parametrize("limit", [0.3, 1e6])
def test_the_jacobian_is_one(gate, limit):
    h = transition(gate=gate, kick_limit=limit, step_size=0.3)
    for _ in range(4):
        u, rho, state = start(1)
        here = potential(1)

        def chain(x, y, here=here, state=state):
            *_, (u, rho) = h.path(x.view(1, 1, D), y.view(1, 1, D), here, state)
            return u.flatten(), rho.flatten()

        assert abs(exact.log_volume(chain)(u.flatten(), rho.flatten())) < 1e-10


@pytest.mark.parametrize("gate", ["gated", "plain", "implicit"])
def test_flipping_the_momentum_reverses_a_chain(gate):
    h, (u, rho, state), here = transition(gate=gate), start(64), potential(64)

    def force(x):
        gradient = here.gradient(x)
        return gradient if h.gate is None else h.gate(gradient, here.action, state)

    assert exact.reversal_error(u, rho, h.step, force, 5) < 1e-8


def test_the_first_steps_of_a_chain_are_equations_13():
    (u, rho, _), here, eps = start(8), potential(8), 0.1
    half = rho - eps / 2 * here.gradient(u)
    there = u + eps * half
    expected = there, half - eps / 2 * here.gradient(there)
    found = leapfrog(u, rho, torch.full((1, 1, D), eps), here.gradient, 1)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_gradient_is_the_potentials():
    here = potential(8)
    u = torch.randn(1, 8, D, requires_grad=True)
    ours = here.gradient(u)
    (theirs,) = torch.autograd.grad(here.energy(torch.zeros_like(u)).sum(), u)
    torch.testing.assert_close(ours, theirs)


def test_energy_drifts_with_the_square_of_the_step():
    (u, rho, _), here = start(256), potential(256)
    errors = [exact.drift(u, rho, eps, here, 1.0) for eps in (0.1, 0.05, 0.025)]
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1) and errors[1] / errors[2] == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize("gate", ["gated", "plain"])
@pytest.mark.parametrize("config", [HMC, Toys])
def test_the_narrowest_policys_chain_keeps_its_energy_below_the_threshold(config, gate):
    """theta = theta_t and a flat Q: what D measures is the energy error alone, and so it is all that a controller could act
    on. At the lower clamp of ln sigma it stays below what D may be; at SAC's it would be hundreds of times as large."""

    def flat(action):
        return action.new_zeros(action.shape[:2]), torch.zeros_like(action)

    def error(log_std):
        h = Transition([np.random.default_rng(0)], config(gate=gate), D, 0).requires_grad_(False)
        prior = DiagonalGaussian(torch.zeros(1, 20_000, D), torch.full((1, 20_000, D), log_std))
        here = Potential(prior, flat, torch.full((1, 1), 0.2))
        u, log_prob = prior.rsample_and_log_prob(torch.randn(1, 20_000, D))
        chain = Chain(h.path(u, torch.randn(1, 20_000, D), here, u[..., :0]), here, log_prob)
        torch.testing.assert_close(chain.distances(), chain.energy - chain.first_energy)
        return float(chain.distances().mean()), float(outside(chain.kicks, config().kick_limit))

    (kept, few), (lost, many) = error(config().log_std_low), error(-5.0)
    assert 0 < kept < config().threshold * D and lost > 100 * config().threshold * D
    assert few < 0.15 and many > 0.85  # the shares of clamped kicks tell the two apart


def test_sigma_one_is_plain_and_zero_is_implicit():
    (u, rho, state), here = start(8), potential(8)
    ends = {}
    for gate, bias in (("gated", 50.0), ("plain", None), ("gated", -50.0), ("implicit", None)):
        h = transition(gate=gate)
        if bias is not None:
            h.gate.sigma[-1].weight.data.zero_()
            h.gate.sigma[-1].bias.data.fill_(bias)
        if bias == -50.0:
            h.gate.implicit.load_state_dict(transition(gate="implicit").gate.implicit.state_dict())
        ends[gate, bias] = list(h.path(u, rho, here, state))[-1][0]
    torch.testing.assert_close(ends["gated", 50.0], ends["plain", None])
    torch.testing.assert_close(ends["gated", -50.0], ends["implicit", None])


# Identities of the distance and of the bound


def policy(**settings):
    base = toys.GaussianNetwork([np.random.default_rng(2)], STATES, [8], D, (-5, 2))
    optimiser = torch.optim.Adam(base.parameters())
    made = HamiltonianPolicy(HMC(**settings), [np.random.default_rng(0)], base, optimiser, D, STATES)
    if made.transition.gate is not None:
        made.transition = exact.jittered(made.transition, np.random.default_rng(1))
    return made


@pytest.mark.parametrize("gate", ["gated", "plain"])
def test_distance_at_the_snapshot_is_the_gain_in_q_and_the_energy_error(gate):
    """theta = theta_t: D = (Q(a_K) - Q(a_0)) / tau + H_K - H_0, sample by sample. A threshold on D caps the gain."""
    made = policy(gate=gate)
    chain = made.chain(torch.randn(1, 64, STATES), wavy, torch.randn(1, 64, D), torch.randn(1, 64, D))
    gain = (chain.value - chain.first_value) / made.temperature
    torch.testing.assert_close(chain.distances(), gain.detach() + chain.energy - chain.first_energy)


@pytest.mark.parametrize("gate", ["gated", "plain"])
def test_a_chain_adds_to_the_bound_what_it_loses_in_energy(gate):
    """At any theta; so exact dynamics, which lose none, add nothing."""
    made = policy(gate=gate)
    for parameter in made.base.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    state, noise, momentum = torch.randn(1, 64, STATES), torch.randn(1, 64, D), torch.randn(1, 64, D)
    ends = [made.chain(state, wavy, noise, momentum, steps) for steps in (5, 0)]
    bounds = [chain.value - made.temperature * chain.distances() for chain in ends]
    expected = made.temperature * (ends[0].first_energy - ends[0].energy)
    torch.testing.assert_close((bounds[0] - bounds[1]).detach(), expected)


def test_plain_chains_with_small_steps_leave_the_bound_alone():
    gains = []
    for step in (0.1, 0.05, 0.025):
        made = policy(gate="plain", step_size=step, leapfrog_steps=round(0.5 / step), kick_limit=1e6)
        chain = made.chain(torch.zeros(1, 4096, STATES), wavy, torch.randn(1, 4096, D), torch.randn(1, 4096, D))
        gains.append(float((chain.first_energy - chain.energy).abs().mean()))
    assert gains[0] / gains[2] == pytest.approx(16, rel=0.25)


# Section 3.3: posteriors that are known


def gaussian():
    """Precision I + A: the prior is N(0, I), Q the rest. (critic, sampler)."""
    a = torch.tensor([[1.5, 0.8], [0.8, 0.9]])

    def critic(action):
        u = torch.atanh(action)
        return -0.5 * (u @ a * u).sum(-1), -(u @ a) / (1 - action.square())

    def sample(n):
        root = torch.linalg.cholesky(torch.linalg.inv(torch.eye(2) + a))
        return torch.randn(1, n, 2) @ root.T

    return critic, sample


def banana(b=1.5, c=2.0):
    """N(u; 0, I) exp(-c (u_2 - b u_1^2)^2), sampled by its marginal of u_1 and the Gaussian u_2 given u_1."""

    def critic(action):
        u = torch.atanh(action)
        off = u[..., 1] - b * u[..., 0].square()
        slope = torch.stack([4 * b * c * off * u[..., 0], -2 * c * off], -1)
        return -c * off.square(), slope / (1 - action.square())

    def sample(n):
        axis = torch.linspace(-4, 4, 20_001)
        mass = (-axis.square() / 2 - c / (1 + 2 * c) * b**2 * axis**4).exp()
        first = axis[torch.multinomial(mass, n, replacement=True)]
        mean = 2 * c * b * first.square() / (1 + 2 * c)
        return torch.stack([first, mean + torch.randn(n) / math.sqrt(1 + 2 * c)], -1).unsqueeze(0)

    return critic, sample


def known(critic, batch):
    zero = torch.zeros(1, batch, D)
    return Potential(DiagonalGaussian(zero, zero), critic, torch.ones(1, 1))


def p_value(a, b):
    """Kolmogorov-Smirnov over four projections, Bonferroni-corrected."""
    views = [lambda u: u[0, :, 0], lambda u: u[0, :, 1], lambda u: u[0].sum(-1), lambda u: u[0].square().sum(-1)]
    return min(1.0, 4 * min(ks_2samp(view(a).detach(), view(b).detach()).pvalue for view in views))


TARGETS = {"gaussian": gaussian, "banana": banana}


@pytest.mark.parametrize("target", TARGETS)
def test_corrected_chains_sample_the_exact_posterior(target):
    critic, sample = TARGETS[target]()
    u, n = torch.randn(1, 4000, D) * 0.3 + 0.5, 4000
    for _ in range(40):
        u = exact.kernel(u, torch.randn(1, n, D), 0.3, known(critic, n), 5, torch.rand(1, n))
    assert p_value(u, sample(n)) > 1e-3


@pytest.mark.parametrize("target", TARGETS)
def test_only_the_corrected_kernel_leaves_the_posterior_as_it_is(target):
    critic, sample = TARGETS[target]()
    n, reference = 8000, sample(8000)
    h = transition(gate="gated", step_size=0.25, kick_limit=1e6)
    found = {}
    for name in ("corrected", "coarse", "gated"):
        u = sample(n)
        for _ in range(10):
            here, momentum = known(critic, n), torch.randn(1, n, D)
            if name == "gated":
                *_, (u, _) = h.path(u, momentum, here, torch.zeros(1, n, STATES))
                u = u.detach()
            else:
                step = 0.3 if name == "corrected" else 0.6
                u = exact.kernel(u, momentum, step, here, 5, torch.rand(1, n) if name == "corrected" else None)
            u = u.nan_to_num(6.0).clamp(-6, 6)  # a chain that diverges ends at the edge
        found[name] = p_value(u, reference)
    assert found["corrected"] > 1e-3 and found["gated"] < 1e-6 and found["coarse"] < 1e-6, found


def test_the_divergence_falls_under_the_corrected_kernel_and_may_rise_without_correction():
    critic, sample = banana()
    n = 40_000

    def log_density(points):
        here = known(critic, points.shape[1])
        here.gradient(points)
        return -here.energy(torch.zeros(1))

    grid = exact.Grid(log_density, cells=30)
    u, before = torch.randn(1, n, D) * 0.4 - 0.3, math.inf
    for _ in range(4):
        now = float(grid.divergence(u))
        assert now < before + 0.01
        before = now
        u = exact.kernel(u, torch.randn(1, n, D), 0.2, known(critic, n), 5, torch.rand(1, n))
    u = sample(n)
    fresh = float(grid.divergence(u))
    for _ in range(3):
        u = exact.kernel(u, torch.randn(1, n, D), 0.45, known(critic, n), 5).nan_to_num(6.0).clamp(-6, 6)
    assert abs(fresh) < 0.02 and float(grid.divergence(u)) > fresh + 0.05


def test_a_grid_knows_a_gaussian():
    """ln Z and KL in closed form."""

    def log_density(points):
        return -0.5 * (points / 0.8).square().sum(-1)

    grid = exact.Grid(log_density)
    assert float(grid.log_evidence) == pytest.approx(math.log(2 * math.pi * 0.64), abs=1e-4)
    rng = np.random.default_rng(0)
    same, other = grid.sample(rng, 100_000), torch.randn(1, 100_000, 2) * 0.5
    assert abs(float(grid.divergence(same))) < 5e-3
    assert float(grid.divergence(other)) == pytest.approx(2 * (math.log(0.8 / 0.5) + 0.5 * 0.25 / 0.64 - 0.5), rel=0.05)


# Section 4.1: the controller


def test_controller_is_the_papers_formula():
    c = TrustRegion(smoothing=0.0, beta=0.1)
    pid = PID(1, c, 0.2)
    integral, previous = 0.1 / 0.005, 0.5
    for d in (0.5, 0.3, 0.1, 0.7):
        pid.update(torch.tensor([d]))
        integral = max(integral + d - 0.2, 0)
        expected = max(0.05 * (d - 0.2) + 0.005 * integral + 0.01 * (d - previous), 0)
        previous = d
        torch.testing.assert_close(pid.beta, torch.tensor([expected]))


def test_the_integral_does_not_wind_up_and_beta_keeps_its_range():
    pid = PID(1, TrustRegion(smoothing=0.0, beta_cap=2.0), 0.2)
    for _ in range(20_000):
        pid.update(torch.tensor([100.0]))
    assert pid.beta.item() == 2.0
    for _ in range(5):  # a bounded integral is worked off at once
        pid.update(torch.tensor([-100.0]))
    assert pid.beta.item() < 2.0
    for _ in range(10):
        pid.update(torch.tensor([-1000.0]))
    assert pid.beta.item() == 0.0 and pid.integral.item() == 0.0


def test_the_controller_holds_a_distance_that_falls_with_beta():
    pid = PID(2, TrustRegion(), 0.3)
    for _ in range(20_000):
        pid.update(torch.tensor([1.0, 1.5]) / (1 + pid.beta))
    torch.testing.assert_close(pid.distance, torch.full((2,), 0.3), rtol=0.02, atol=0)


def test_one_members_nan_leaves_the_others_alone():
    pid = PID(2, TrustRegion(), 0.3)
    for d in (0.5, math.nan, 0.5, 0.5):
        pid.update(torch.tensor([d, 0.5]))
    assert torch.isfinite(pid.beta[1]) and pid.distance[1] == 0.5


def test_a_fixed_beta_stays_and_the_potential_has_a_floor():
    made = policy(pid=False, beta=0.0, temperature=0.05)
    assert made.temperature.item() == 0.05
    made.pid.update(torch.tensor([5.0]))
    assert made.pid.beta.item() == 0.0


# The bandit


def test_bandits_gradient_is_its_derivative():
    angle = torch.rand(1, 16) * 6
    q = toys.Bandit(torch.stack([angle.cos(), angle.sin()], -1))
    action = (torch.rand(1, 16, 2) * 2 - 1).requires_grad_()
    value, slope = q(action)
    torch.testing.assert_close(torch.autograd.grad(value.sum(), action)[0], slope)
    assert value.max() <= 0


def test_the_bandit_learns_and_keeps_the_laws():
    torch.set_default_dtype(torch.float32)
    journal = MemoryJournal(1)
    iterations.run(toys.Learner, Toys(total_steps=40, evaluate_every=20, samples=200, contexts=4), [5], journal)
    found = {r[1:3]: r[3] for r in journal.records}
    assert found[40, "kl"] < found[20, "kl"] and found[40, "gap"] > 0
    laws = {row["law"]: row["value"] for row in journal.tables["laws"][0][1]}
    assert max(laws["jacobian_trained"], laws["jacobian_random"], laws["reversal_gated"], laws["bound_identity"]) < 1e-8
    assert laws["energy_order"] == pytest.approx(2, abs=0.1)
    for table, rows in {"lengths": 6, "kernels": 42, "density": 1600, "trajectories": 296}.items():
        assert len(journal.tables[table][0][1]) == rows
    paths = pd.DataFrame(journal.tables["trajectories"][0][1])
    assert paths.groupby("kind")["k"].max().to_dict() == {"plain": 30, "trained": 5}
    plain = paths[paths["kind"] == "plain"].groupby("chain")["energy"]
    assert (plain.max() - plain.min()).max() < 0.3, "a path of small steps nearly keeps its energy"
    masses = [row["log_mass"] for row in journal.tables["density"][0][1]]
    assert max(masses) < 0 and min(masses) == pytest.approx(max(masses) - 12)
    assert sum(math.exp(x) for x in masses) == pytest.approx(1, abs=0.02)
    places = sorted({row["u1"] for row in journal.tables["density"][0][1]})
    assert len(places) == 40 and places == pytest.approx([-x for x in reversed(places)])  # centres of cells about 0


def test_the_gates_scale_follows_the_mean_square_of_gradients():
    gate = Transition([np.random.default_rng(0)], HMC(), 2, 3).gate
    gate.observe(torch.tensor([[[3.0, 0.5], [-3.0, -0.5]]], dtype=gate.mean_square.dtype))
    torch.testing.assert_close(gate.mean_square[0, 0].double(), torch.tensor([1 + 0.01 * 8, 1 - 0.01 * 0.75]).double())


def test_samples_of_a_density_that_is_none_are_none():
    grid = exact.Grid.__new__(exact.Grid)
    grid.points, grid.reach = torch.zeros(4, 2), 1.0
    grid.fine = torch.log(torch.tensor([[0.1, float("nan"), 0.4, 0.2], [0.25, 0.25, 0.25, 0.25]]))
    drawn = grid.sample(np.random.default_rng(0), 3)
    assert torch.isnan(drawn[0]).all() and torch.isfinite(drawn[1]).all()


def test_a_meter_gives_means_and_the_root_of_the_mean_square():
    meter = Meter(("beta", "distance_error_squared"), 2)
    for beta, square in (([1.0, 2.0], [1.0, 0.0]), ([3.0, 4.0], [7.0, 0.02])):
        meter.add(beta=torch.tensor(beta), distance_error_squared=torch.tensor(square))
    taken = meter.take()
    assert taken["beta"] == [2.0, 3.0] and taken["distance_rms"] == pytest.approx([2.0, 0.1])
    assert math.isnan(meter.take()["beta"][0]), "and starts again"


def test_the_studies_kernels_are_corrected_where_they_say_so(monkeypatch):
    """Metropolis' correction takes uniform numbers."""
    asked = []
    monkeypatch.setattr(studies.exact, "kernel", lambda *arguments: asked.append(arguments[-1]) or arguments[0])
    learner = SimpleNamespace(potential=lambda state, member: None)
    u, uniform = torch.zeros(1, 3, 2), torch.rand(1, 3)
    for name in ("corrected", "plain"):
        studies._iterate(learner, 0, name, u, u, uniform, None)
    assert asked[0] is uniform and asked[1] is None


def test_a_chain_of_one_point_knows_both_of_its_ends():
    u, rho, _ = start(4)
    here = potential(4)
    chain = Chain(trajectory(u, rho, 0.1, here.gradient, 0), here, None)
    torch.testing.assert_close(chain.energy, chain.first_energy)
    torch.testing.assert_close(chain.value.detach(), chain.first_value)
