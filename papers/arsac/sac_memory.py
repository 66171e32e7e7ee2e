"""SAC that also observes its last actions: the control that has ARSAC's memory and no flow.

An observation is [s_t, a_t-n, ..., a_t-1], zeros before the episode's start. The policy sees all of it. The critics see the
state alone, as those of the authors' code, or with `critic_history` the actions too. With `critic_steps: released` Adam
steps twice per update, as in the authors' code. Everything else is `common/rl/sac.py`.
"""

import torch

from common.rl import sac
from common.rl.optimisers import give_gradients


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

    def step_critics(self, loss):
        """`released`: one Adam over both critics steps on the gradient of each in turn, with zeros for the other. Adam's
        steps hardly depend on a gradient's size, so each critic goes sqrt(2) times as far."""
        if self.config.critic_steps == "one":
            return super().step_critics(loss)
        parameters = list(self.critics.parameters())
        gradients = torch.autograd.grad(loss.sum(), parameters)
        for j in range(self.critics.count):
            own = torch.arange(len(gradients[0]), device=loss.device) % self.critics.count == j  # rows: member by member
            give_gradients(parameters, [g * own.view(-1, *[1] * (g.dim() - 1)) for g in gradients])
            self.critic_optimiser.step()
