"""Latent-space policies: the laws of a level, what both levels compute, what they learn against known optima, and the files
that the second one stands on."""

import copy

import numpy as np
import pytest
import torch

from common.errors import UserError
from common.flows.distributions import DiagonalGaussian, FlowDistribution
from common.flows.transforms import Compose, Tanh
from common.rl import staged
from common.rl.inputs import Run
from common.rl.journal import MemoryJournal
from common.rl.randomness import Blocks
from common.rl.replay import Batch
from papers.nf_review import lsp, lsp_second
from papers.nf_review.config import LSP, LSPSecond
from tests.laws import *  # noqa: F403
from tests.laws import CONTEXT, EVENT, rngs

SMALL = {"base": "2x32", "critic": "2x32", "batch_size": 64}


def level(event=EVENT, observations=CONTEXT, deviation=0.3, members=3):
    return lsp.Level(rngs(members), observations, event, LSP(base="2x32", bias_deviation=deviation))


def gentle():
    """A level of scales at which a grid still resolves the density."""
    made = level()
    for coupling in made.flow.transforms:
        coupling.network[-1].weight.data *= 0.3
    return made


FAMILIES = {"a level": gentle, "two levels": lambda: Compose(gentle(), gentle())}


class Left(Run):
    """A run that left these arrays."""

    def __init__(self, seed, arrays, **settings):
        super().__init__({}, {"seed": seed, "base": "2x32", "couplings": 2} | settings, {})
        object.__setattr__(self, "arrays", arrays)

    def tensors(self, name):
        assert name == "policy"
        return {key: torch.as_tensor(x) for key, x in self.arrays.items()}


def firsts(learner):
    return {"first": [Left(seed, x) for seed, x in zip(learner.seeds, learner.files()["policy"], strict=True)]}


@pytest.fixture
def single():
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("event, kept", [(2, (1, 1)), (3, (1, 2)), (6, (3, 3)), (17, (8, 9))])
def test_the_first_coupling_keeps_half_of_the_entries_rounded_down(event, kept):
    flow, x, obs = level(event), torch.randn(3, 5, event), torch.randn(3, 5, CONTEXT)
    first, second = flow.flow.transforms
    assert (first.kept, second.kept) == kept
    embedded = flow.embedded(obs)
    moved = first(x, embedded)[0]
    assert torch.equal(moved[..., : kept[0]], x[..., : kept[0]]) and (moved != x).sum() == 15 * (event - kept[0])
    last = second(x, embedded)[0]
    assert torch.equal(last[..., event - kept[1] :], x[..., event - kept[1] :])
    assert (flow(x, obs)[0] != x).all()


def test_networks_have_the_shapes_and_the_start_of_the_original():
    flow = level(event=6, observations=17, deviation=1.0, members=60)
    assert [x.weight.shape[1:] for x in flow.embedding if hasattr(x, "weight")] == [(17, 32), (32, 32), (32, 12)]
    assert (flow.embedded(torch.randn(60, 9, 17)) >= 0).all()
    for coupling in flow.flow.transforms:
        enter, middle, leave = coupling.network
        assert enter.weight.shape == (120, 3 + 12, 6) and leave.weight.shape == (120, 6, 3)
        torch.testing.assert_close(middle(torch.tensor([0.5])), torch.tanh(torch.tensor([0.5])))
        for layer in (enter, leave):
            assert float(layer.bias.detach().std()) == pytest.approx(1, abs=0.12)
            assert layer.weight.abs().max() <= (6 / sum(layer.weight.shape[1:])) ** 0.5


def test_the_density_of_an_action_is_that_of_its_latent_and_the_jacobian():
    learner = lsp.Learner(LSP(**SMALL | {"bias_deviation": 0.3}), [3, 4], 5, 3)
    obs, h = torch.randn(2, 4, 5), torch.randn(2, 4, 3)
    action, log_prob = learner.distribution(obs).rsample_and_log_prob(h)
    full = torch.autograd.functional.jacobian(lambda h: learner.distribution(obs).rsample_and_log_prob(h)[0], h)
    normal = torch.distributions.Normal(0.0, 1.0)
    for m in range(2):
        for b in range(4):
            expected = normal.log_prob(h[m, b]).sum() - torch.linalg.slogdet(full[m, b, :, m, b])[1]
            torch.testing.assert_close(log_prob[m, b], expected)
    assert (action.abs() < 1).all()
    torch.testing.assert_close(learner.act(obs), learner.act(obs, {"noise": torch.zeros(2, 4, 3)}))
    torch.testing.assert_close(learner.act(obs), torch.tanh(learner.policy(0 * h, obs)[0]).detach())


def test_the_second_level_acts_through_the_first_of_its_seed_and_counts_its_density_relative_to_it():
    """ln pi(h_1) - ln N(h_1) is ln pi(a) - ln pi_0(a)."""
    settings = SMALL | {"bias_deviation": 0.3}
    first = lsp.Learner(LSP(**settings), [3, 4, 5], 5, 3)
    second = lsp_second.Learner(LSPSecond(**settings), [5, 3], 5, 3, "cpu", firsts(first))
    obs, h = torch.randn(2, 4, 5), torch.randn(2, 4, 3) / 4
    action, log_prob = second.distribution(obs).rsample_and_log_prob(h)
    own, log_det = second.policy(h, obs)
    normal = torch.distributions.Normal(0.0, 1.0)
    torch.testing.assert_close(log_prob, (normal.log_prob(h) - normal.log_prob(own)).sum(-1) - log_det)
    below = lsp.Learner(LSP(**settings), [5, 3], 5, 3)  # of the same seeds: the same weights
    alone = below.distribution(obs).log_prob(action)
    both = FlowDistribution(DiagonalGaussian(0 * h, 0 * h), Compose(second.policy, below.policy, Tanh()), obs)
    torch.testing.assert_close(log_prob, both.log_prob(action) - alone)
    torch.testing.assert_close(second.distribution(obs).log_prob(action), log_prob)
    for row, member in ((0, 2), (1, 0)):  # seeds 5 and 3
        x, states = own[row].expand(3, -1, -1), obs[row].expand(3, -1, -1)
        torch.testing.assert_close(action[row], torch.tanh(first.policy(x, states)[0][member]))
    with pytest.raises(UserError, match="seed 9 has no first level"):
        lsp_second.Learner(LSPSecond(**SMALL), [9], 5, 3, "cpu", firsts(first))


def test_properties_are_measured():
    """A level that loses what it says of its density, and one that loses a latent, are seen."""
    learner = lsp.Learner(LSP(**SMALL), [3, 4], 5, 3)
    obs = torch.randn(2, 16, 5)
    sound = learner.properties(obs)
    assert all(sound[name].shape == (2,) and sound[name].max() < 1e-9
               for name in ("inversion_error", "log_prob_error", "repeat_error"))  # fmt: skip
    saw = {"obs": [x.numpy() for x in obs]}
    assert set(learner.summarise(saw)) == set(sound) and len(learner.summarise(saw)["saturated"]) == 2

    class Wrong(lsp.Level):
        def forward(self, h, obs):
            x, log_det = super().forward(h, obs)
            return x, log_det + 0.25

        def inverse(self, x, obs):
            h, log_det = super().inverse(x, obs)
            return h + 0.5, log_det

    learner.policy.__class__ = Wrong
    found = learner.properties(obs)
    torch.testing.assert_close(found["log_prob_error"], torch.full((2,), 0.25))
    torch.testing.assert_close(found["inversion_error"], torch.full((2,), 0.5))


def trained(learner, slope, updates, seeds=(3,)):
    """The learner after updates on one-step problems: Q(s, a) = -c |a - slope s|^2."""
    rng = torch.Generator().manual_seed(0)
    blocks = Blocks(seeds, "update", 100, learner.update_draws)
    for update in range(updates):
        obs, action = (2 * torch.rand(1, 64, 2, generator=rng) - 1 for _ in range(2))
        reward = -2.5 * (action - slope * obs).square().sum(-1)
        draws = {k: torch.from_numpy(x) for k, x in blocks.at(update).items()}
        learner.update(Batch(obs, action, reward, torch.ones(1, 64), obs), draws)
    return learner


def spread(learner, slope):
    """Mean and deviation of samples about the best action, at 40 states."""
    rng = torch.Generator().manual_seed(1)
    obs = (2 * torch.rand(1, 40, 2, generator=rng) - 1).repeat_interleave(100, 1)
    gap = learner.act(obs, {"noise": torch.randn(1, 4000, 2, generator=rng)}) - slope * obs
    each = gap.view(40, 100, 2)
    return each.mean(1).abs().mean().item(), each.std(1).mean().item()


@pytest.mark.parametrize("policy", ["flow", "gaussian"])
def test_both_policies_find_the_optimum_of_a_problem_that_is_known(policy, single):
    """With temperature 0.2 the best policy is exp(Q / 0.2), here nearly N(s / 2, 0.2^2). A second level over the flow, for
    which -s / 2 is best, has the first one as its prior: the product of both densities is N(0, 0.2^2 / 2)."""
    settings = {"learning_rate": 3e-3, "policy": policy, "bias_deviation": 0.3}
    learner = trained(lsp.Learner(LSP(**SMALL | settings), [3], 2, 2), 0.5, 650)
    error, deviation = spread(learner, 0.5)
    assert error < 0.12 and deviation == pytest.approx(0.2, abs=0.05)
    if policy == "flow":
        frozen = copy.deepcopy(learner.policy.state_dict())
        second = lsp_second.Learner(LSPSecond(**SMALL | settings), [3], 2, 2, "cpu", firsts(learner))
        assert spread(second, 0.0)[0] > 0.2
        trained(second, -0.5, 650)
        error, deviation = spread(second, 0.0)
        assert error < 0.12 and deviation == pytest.approx(0.2 / 2**0.5, abs=0.03)
        kept = second.below.state_dict()
        assert all(torch.equal(kept[name], x) for name, x in frozen.items())


SHORT = {"env": "Hopper-v4", "base": "1x32", "critic": "1x32", "total_steps": 40, "warmup": 10, "update_after": 10,
         "batch_size": 8, "evaluate_every": 20, "evaluation_episodes": 1, "episode_steps": 10}  # fmt: skip


def test_a_run_leaves_the_trained_policy_of_members_that_live(single):
    made = []

    def build(*arguments):
        assert arguments[-1] == {"role": []}
        made.append(lsp.Learner(*arguments))
        made[0].policy.embedding[0].weight.data[0] = torch.nan
        return made[0]

    kept = MemoryJournal(2)
    staged.run(build, LSP(**SHORT), [3, 4], kept, "cpu", {"role": []})
    assert kept.divergences == [(0, 11)] and list(kept.produced) == [("policy", 1)]
    left = kept.produced["policy", 1]
    state = made[0].policy.state_dict()
    assert left.keys() == state.keys()
    assert np.array_equal(left["embedding.0.weight"], state["embedding.0.weight"][1:2])
    assert np.array_equal(left["flow.transforms.1.network.0.bias"], state["flow.transforms.1.network.0.bias"][2:4])


def test_a_run_that_goes_on_knows_who_had_diverged(single):
    journal = MemoryJournal(2)
    journal.resume = lambda: (7, {}, {"watched": [False, True]})
    leaving = staged.Leaving(journal, 2)
    assert leaving.resume()[0] == 7
    leaving.end(lsp.Learner(LSP(**SMALL), [3, 4], 5, 3))
    assert list(journal.produced) == [("policy", 1)]
