"""The review's four classes of policies: as many parameters, densities, the same actions however they are computed."""

import numpy as np
import pytest
import torch

from common.rl import acting
from common.rl.learner import tensors
from common.rl.optimisers import descend
from common.rl.randomness import draws
from papers.nf_review import acktr_policies, config, policies, ppo_policies, sac_policies, trpo_policies
from tests.samples import generator

CLASSES = ("gaussian", "mixture", "coupling", "spline")
ON_POLICY = {
    "trpo": (trpo_policies, config.TRPOPolicies),
    "acktr": (acktr_policies, config.ACKTRPolicies),
    "ppo": (ppo_policies, config.PPOPolicies),
}
ALGORITHMS = ON_POLICY | {"sac": (sac_policies, config.SACPolicies)}


def learner(algorithm, policy, observations=3, actions=2, seeds=(4, 5), **settings):
    module, settings_of = ALGORITHMS[algorithm]
    return module.Learner(settings_of(policy=policy, **settings), list(seeds), observations, actions)


def moved(policy, size=0.3):
    """Away from the start, where a flow is nearly the identity."""
    rng = generator(1)
    for parameter in policy.parameters():
        parameter.data += size * torch.from_numpy(rng.standard_normal(parameter.shape)).to(parameter.dtype)
    return policy


@pytest.mark.parametrize("size", [(17, 6), (11, 3)])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_classes_have_up_to_a_tenth_more_parameters_than_the_gaussian(algorithm, size):
    counts = [sum(p.numel() for p in learner(algorithm, kind, *size).policy.parameters()) for kind in CLASSES]
    assert all(counts[0] < count <= 1.1 * counts[0] for count in counts[1:])


@pytest.mark.parametrize("policy", CLASSES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_densities_integrate_to_one(algorithm, policy, double):
    """On a grid of two dimensions; squashed ones on the grid's image."""
    squashes = algorithm == "sac"
    settings = {"base": "2x32"} if squashes else {}
    made = moved(learner(algorithm, policy, **settings).policy.double(), 0.1 if squashes else 0.3)
    axis = torch.linspace(-12, 12, 601)
    grid = torch.cartesian_prod(axis, axis)
    obs = torch.from_numpy(generator(2).standard_normal((2, 1, 3))).expand(2, len(grid), 3)
    places = grid.tanh() if squashes else grid
    slope = (1 - places.square()).prod(-1) if squashes else 1.0
    with torch.no_grad():
        density = made(obs).log_prob(places.expand(2, -1, -1)).exp() * slope
    mass = torch.where(density.isfinite(), density, 0.0).sum(-1) * (axis[1] - axis[0]) ** 2
    np.testing.assert_allclose(mass, 1, rtol=0.02)


@pytest.mark.parametrize("policy", CLASSES)
@pytest.mark.parametrize("algorithm", ON_POLICY)
def test_what_acts_is_what_is_learnt(algorithm, policy):
    """The actor's actions are the distribution's samples of the same draws."""
    made = learner(algorithm, policy, batch_steps=64)
    moved(made.policy)
    drawn = draws([4, 5], "act", 0, made.acting_draws)
    obs = generator(3).standard_normal((2, 64, 3)).astype(np.float32)
    act = acting.actor(made.policy, drawn)
    with torch.no_grad():
        sampled = made.policy(torch.from_numpy(obs)).sample(made.policy.noise(tensors(drawn, "cpu")))
    np.testing.assert_allclose(np.stack([act(step, obs[:, step]) for step in range(64)], 1), sampled, atol=1e-4)


@pytest.mark.parametrize("policy", CLASSES)
def test_the_start_is_close_to_the_gaussians(policy):
    """Deviations near 1 and means near 0 in all states; a squashed one with the deviation of its network."""
    made = learner("ppo", policy, seeds=range(20))
    obs = torch.zeros(20, 2000, 3)
    sampled = made.policy(obs).sample()
    np.testing.assert_allclose(sampled.std((0, 1)), 1, atol=0.1)
    np.testing.assert_allclose(sampled.mean((0, 1)), 0, atol=0.1)


def test_a_mixtures_noise_chooses_components_evenly_and_its_sample_has_a_gradient(double):
    made = learner("sac", "mixture", components=3, seeds=[4])
    moved(made.policy)
    noise = torch.from_numpy(made.acting_draws(generator(5), 30_000)["noise"]).double().unsqueeze(0)
    assert noise.shape == (1, 30_000, 3)  # two actions and a choice
    base = made.policy.base(torch.zeros(1, 30_000, 3))
    standard = (base._rsample(noise).unsqueeze(-2) - base.mean) / base.log_std.exp()
    chosen = (standard - noise[..., None, :-1]).abs().amax(-1).argmin(-1)
    np.testing.assert_allclose(np.bincount(chosen[0].numpy(), minlength=3) / 30_000, 1 / 3, atol=0.01)
    # d/dtheta E[x] = mean of the components' gradients: what reaches each mean is a third.
    means = torch.zeros(1, 30_000, 3, 2, requires_grad=True)
    sample, log_prob = policies.OneNoise(means, torch.zeros_like(means)).rsample_and_log_prob(noise)
    (gradient,) = torch.autograd.grad(sample.sum() / 30_000, means)
    np.testing.assert_allclose(gradient.sum((0, 1)), 1 / 3, atol=0.01)
    assert log_prob.shape == (1, 30_000)


def test_soft_actor_critic_holds_two_goals_with_a_mixture():
    """One state, reward near +-0.5, no future, begun at the goals: J_pi's least value is -alpha ln of the integral of
    exp(r / alpha). A mixture comes near it; a Gaussian has one goal, and lacks alpha ln 2 of the entropy."""
    alpha, places = 0.1, torch.linspace(-1, 1, 4001)
    least = -alpha * np.log(2 * float((reward(places[:, None])[:, 0] / alpha).exp().mean()))
    above = {}
    for policy, bias in {"gaussian": [0.5, -2.0], "mixture": [0.5, -0.5, -2.0, -2.0]}.items():
        made = learner("sac", policy, 1, 1, seeds=range(4), base="2x32", critic="2x32", temperature=alpha, batch_size=128,
                       learning_rate=3e-3)  # fmt: skip
        made.policy.base.network[-1].bias.data[:] = torch.tensor(bias)
        made.values = lambda critics, obs, action: reward(action).squeeze(-1).unsqueeze(1)
        losses = []
        for step in range(400):
            drawn = tensors(draws(range(4), "update", step, lambda rng, made=made: made.update_draws(rng, 1)), "cpu")
            loss = made.policy_loss(Batched(torch.zeros(4, 128, 1)), drawn["noise"][:, 0])
            descend(made.policy_optimiser, loss)
            losses.append(loss.detach())
        above[policy] = torch.stack(losses[-100:]).mean(0) - least
    np.testing.assert_allclose(above["mixture"], 0, atol=0.02)
    np.testing.assert_allclose(above["gaussian"], alpha * np.log(2), atol=0.02)


class Batched:
    def __init__(self, obs):
        self.obs = obs


def reward(action):
    return torch.exp(-0.5 * ((action.abs() - 0.5) / 0.1) ** 2)
