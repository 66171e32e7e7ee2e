"""The off-policy loop and its evaluations against loops written by hand."""

import numpy as np
import pytest
import torch

from common.rl import off_policy, sac
from common.rl.config import SAC
from common.rl.evaluation import Evaluator
from common.rl.journal import MemoryJournal
from common.rl.randomness import reset_seed
from common.rl.simulators import Environment
from papers.arsac import arsac
from papers.arsac.config import ARSAC

SHORT = {"base": "1x32", "critic": "1x32", "batch_size": 8, "update_after": 1000, "evaluation_episodes": 2}


class Kept(MemoryJournal):
    """A journal that keeps the learner."""

    def end(self, learner, replay=None):
        self.learner = learner


def trained(module, config):
    """(rows of the first member's transitions, [obs, action, reward, terminated, age], and the learner) of a short run."""
    journal = Kept(1)
    off_policy.run(module.Learner, config, [7], journal)
    return np.concatenate(journal.rows[0]), journal.learner


def test_a_time_limit_is_stored_as_no_termination_and_a_fall_as_one():
    """HalfCheetah ends by its limit alone, here after 5 steps; a Hopper that acts at random falls."""
    limited = SAC(env="HalfCheetah-v4", episode_steps=5, total_steps=60, warmup=59, evaluate_every=60, **SHORT)
    rows, _ = trained(sac, limited)
    steps = rows[rows[:, -1] >= 0]
    assert steps[:, -1].max() == 4 and not steps[:, -2].any()
    falls = SAC(env="Hopper-v4", total_steps=200, warmup=199, evaluate_every=200, **SHORT)
    rows, _ = trained(sac, falls)
    steps = rows[rows[:, -1] >= 0]
    ends = np.flatnonzero(np.diff(steps[:, -1]) < 0)
    assert len(ends) > 3 and steps[ends, -2].all() and steps[:, -2].sum() == len(ends)


def test_training_acts_with_samples_of_the_policy():
    """After the warm-up and before any update, actions lie away from the policy's mode."""
    config = SAC(env="HalfCheetah-v4", total_steps=40, warmup=10, evaluate_every=40, episode_steps=50, **SHORT)
    rows, learner = trained(sac, config)
    obs, action = torch.from_numpy(rows[10:40, :17]).unsqueeze(0), torch.from_numpy(rows[10:40, 17:23])
    assert (action - learner.act(obs)[0]).abs().max(1).values.median() > 0.05


@pytest.mark.parametrize("module, config", [(sac, SAC), (arsac, ARSAC)])
def test_an_evaluation_is_the_episode_played_by_hand(module, config):
    """Returns are sums, histories move on, and what is inspected belongs to what was seen."""
    settings = config(env="HalfCheetah-v4", episode_steps=12, **SHORT)
    made = module.Learner(settings, [7], off_policy.environment(settings).observations, 6)
    generator = torch.Generator().manual_seed(0)
    for parameter in made.policy.parameters():  # a flow whose biases are zero is the identity at an empty history
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    [episodes] = Evaluator(lambda: off_policy.environment(settings), settings, [7], "cpu").play(made)
    memory = settings.history
    for number in range(2):
        env = Environment("HalfCheetah-v4", "bounded", episode_steps=12)
        state, past, total, traces = env.reset(reset_seed(7, "evaluate", number)), np.zeros((memory, 6), np.float32), 0.0, []
        for _ in range(12):
            obs = torch.from_numpy(np.concatenate([state, past.flatten()]))[None, None]
            action = made.act(obs)[0, 0].numpy()
            traces.append({name: x[0, 0].numpy() for name, x in made.inspect(obs).items()})
            state, reward, _, _ = env.step(action)
            past, total = np.concatenate([past, action[None]])[1:] if memory else past, total + reward
        assert episodes.returns[number] == pytest.approx(total, abs=1e-3) and episodes.lengths[number] == 12
        for name in traces[0]:
            np.testing.assert_allclose(
                episodes.traces[number][name], [trace[name] for trace in traces], rtol=1e-3, atol=1e-3
            )
