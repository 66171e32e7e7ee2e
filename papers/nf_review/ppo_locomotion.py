"""PPO with a flow or a Gaussian (`ppo_flow.py`) on robots, which it may see through sensors with noise (Section 3.1.1).

A sensor reads s + sigma d e, e ~ N(0, I), new in every step, where d is the running standard deviation of past readings: of
a normalised observation the noise has deviation sigma. Policy, V and the normaliser know readings alone. sigma =
`observation_noise`; at 0 nothing is drawn.
"""

from common.rl.randomness import normal
from papers.nf_review import ppo_flow


class Learner(ppo_flow.Learner):
    """A fleet of PPO learners with a flow or a Gaussian."""

    def acting_draws(self, rng):
        drawn = super().acting_draws(rng)
        if not self.config.observation_noise:
            return drawn
        return drawn | normal(rng, self.config.batch_steps + 1, self.observations, names=("sensor",))

    def actor(self, draws):
        if not self.config.observation_noise:
            return super().actor(draws)
        draws = dict(draws)
        deviation = self.config.observation_noise * self.normaliser.std().float().cpu().numpy()
        self.noise = deviation * draws.pop("sensor")  # [members, steps + 1, observations]
        act = super().actor(draws)
        return lambda step, obs: act(step, obs + self.noise[:, step])

    def update(self, rollout, draws):
        """As PPO's, of what the sensors read. The last state of an episode and the first of the next share their noise; they
        meet in no term."""
        if self.config.observation_noise:
            read = {"obs": rollout.obs + self.noise[:, :-1], "next_obs": rollout.next_obs + self.noise[:, 1:]}
            rollout = type(rollout)(**vars(rollout) | read)
        return super().update(rollout, draws)
