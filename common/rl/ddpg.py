"""Deep deterministic policy gradients for fleets (DDPG; Lillicrap et al. 2016).

Critic Q with target Q', deterministic policy pi with target pi'. One update on a batch of transitions:

    y    = r + gamma (1 - terminated) Q'(s', pi'(s'))
    J_Q  = mean_batch (Q(s, a) - y)^2
    J_pi = -mean_batch Q(s, pi(s))
    Q' <- (1 - tau) Q' + tau Q,   pi' <- (1 - tau) pi' + tau pi

which is TD3 without its three additions: `critics` = 1, `policy_delay` = 1, `target_noise` = 0 are its defaults.

Details that differ from the first publication, as in most later code: exploration noise is Gaussian and independent in
time, not an Ornstein-Uhlenbeck process; hidden layers are 2x256, the critic sees the action from its first layer on;
there is no weight decay and no batch normalisation.
"""

from . import td3


class Learner(td3.Learner):
    """A fleet of DDPG learners, one member per seed."""
