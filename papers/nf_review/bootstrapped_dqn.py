"""DQN with bootstrapped heads (Osband et al. 2016).

K heads on one trunk, each with a target of its own; an episode follows the head that it drew, an evaluation the mean of all.
Every head learns from every transition, as on Osband et al.'s Atari: what tells them apart is how they start. The loss is
the mean over heads, so that the trunk has 1/K of the sum of their gradients.
"""

import numpy as np

from papers.nf_review import dqn


class Learner(dqn.Learner):
    """A fleet of bootstrapped DQN learners."""

    def __init__(self, config, seeds, *arguments):
        self.heads, self.head = config.heads, np.zeros(len(seeds), dtype=int)
        super().__init__(config, seeds, *arguments)

    def epsilon(self, episode):
        return np.zeros(len(episode))

    def episode_draws(self, rng, steps):
        return super().episode_draws(rng, steps) | {"head": rng.integers(self.config.heads)}

    def begin(self, member, draws):
        self.head[member] = draws.pop("head")
        super().begin(member, draws)

    def choose(self, values):
        return values[np.arange(len(values)), self.head].argmax(-1)
