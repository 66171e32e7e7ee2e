"""DQN with an ensemble (bootstrapped DQN; Osband et al. 2016).

K networks, each with a target of its own; an episode follows the one that it drew, an evaluation the vote of all. Every
network learns from every transition: what tells them apart is how they start. As in the code of Touati et al. 2018 they
share no layer.
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

    def elect(self, values):
        """The action with the most votes; of two with as many, the one that the first of their voters chose."""
        votes = values.argmax(-1)
        counts = (votes[:, :, None] == votes[:, None, :]).sum(-1)  # how many agree with each
        return votes[np.arange(len(votes)), counts.argmax(-1)]
