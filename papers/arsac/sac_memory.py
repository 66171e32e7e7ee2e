"""SAC that also observes its last actions: the control that has ARSAC's memory and no flow.

An observation is [s_t, a_t-n, ..., a_t-1], zeros before the episode's start. The policy sees all of it. The critics see the
state alone, as those of the authors' code, or with `critic_history` the actions too. Everything else is `common/rl/sac.py`.
"""

from common.rl import sac


class Learner(sac.Learner):
    """A fleet of SAC learners that observe `history` past actions, one member per seed."""

    def __init__(self, config, seeds, observations, actions, device="cpu"):
        self.states = observations - config.history * actions
        self.seen_by_critics = observations if config.critic_history else self.states
        super().__init__(config, seeds, observations, actions, device)

    def build_critics(self, rngs, inputs):
        return super().build_critics(rngs, self.seen_by_critics)

    def values(self, critics, obs, action):
        return critics(obs[..., : self.seen_by_critics], action)
