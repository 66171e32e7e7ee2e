"""Soft actor-critic with a Gaussian, a mixture or a flow (`policies.py`).

The gradient of a mixture passes through the sample of the component that was chosen; ln pi is that of the mixture.
"""

from common.rl import sac
from common.rl.randomness import normal
from papers.nf_review import policies


class Learner(sac.Learner):
    """A fleet of soft actor-critics with one of the four classes."""

    def build_policy(self, rngs):
        if self.config.policy == "gaussian":
            return super().build_policy(rngs)
        return policies.squashed(self.config, rngs, self.observations, self.actions)

    @property
    def noise(self):
        """Normal numbers that an action takes."""
        return self.actions + (self.config.policy == "mixture")

    def acting_draws(self, rng, size):
        return normal(rng, size, self.noise)

    def update_draws(self, rng, size):
        return normal(rng, size, self.config.batch_size, self.noise, names=("noise", "next_noise"))

    def inspect(self, obs):
        """The base distribution, [members, batch, actions], of a mixture those of all components side by side."""
        found = super().inspect(obs)
        if self.config.policy == "mixture":
            found = {name: x.flatten(-2) for name, x in found.items()}
        return found
