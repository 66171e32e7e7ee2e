"""Hamiltonian policy optimisation (Sections 3.2 and 4, Algorithms 1 and 2).

The policy is a tanh-Gaussian improved by K gated leapfrog steps on the critic (`papers/mcmc_po/leapfrog.py`); theta, the
transition h and the multiplier beta move as in `papers/mcmc_po/policy.py`. One update on a batch of transitions:

    y   = r + gamma (1 - terminated) min_j Q'_j(s', tanh u'_K),   u'_K after a chain on the targets Q'
    J_Q = mean_batch sum_j (Q_j(s, a) - y)^2
    theta <- argmax J(theta, h),   h <- argmax J(theta, h),   one Adam step each                       (eqs 11 and 17)
    beta  <- PID(D)                                                                                   (Section 4.1)
    Q'_j <- (1 - tau) Q'_j + tau Q_j

Details that matter: it acts with a_K from sampled a_0 and rho_0, and is evaluated with a_0 = tanh(mu), rho_0 = 0 and K
steps; Q is the plain value of the policy, without entropy or KL, as eq. 5's is; chains and objective use the least critic,
whose weights they do not move; Algorithm 1 runs the chain from replayed actions, eq. 17 from the policy's, which stands
here; sigma is kept wide enough for the steps as they start (`log_std_low`), because leapfrog diverges from eps = 2 sigma on;
eps is learned, up to `largest_step`. With K = 0 it is a trust-region policy without inference.
"""

import torch

from common.rl import sac
from common.rl.learner import tensors
from common.rl.optimisers import descend, follow
from common.rl.randomness import draws, generator, normal
from papers.mcmc_po.gaps import gap_rows
from papers.mcmc_po.policy import HamiltonianPolicy
from papers.mcmc_po.slopes import CriticsAt, first_order, least_shares

SAMPLED = 1 << 20  # blocks of the evaluation's stream from here on are those of sampled evaluations


class Learner(sac.Learner):
    """A fleet of Hamiltonian policies, one member per seed. Arrays lead with the member axis; actions lie in [-1, 1]."""

    ablations = ("without_chain", "sampled")
    stored = (*sac.Learner.stored, *(f"hamiltonian.{name}" for name in HamiltonianPolicy.stored))

    def __init__(self, config, seeds, observations, actions, device="cpu"):
        super().__init__(config, seeds, observations, actions, device)
        self.seeds, self.device, self.sampled = seeds, device, 0
        rngs = [generator(seed, "init", 1) for seed in seeds]
        base = self.policy.base
        self.hamiltonian = HamiltonianPolicy(config, rngs, base, self.policy_optimiser, actions, observations, device)
        self.seen = self.shown = None

    def critic(self, critics, obs):
        """A function of the action, [members, batch, actions], that gives Q [members, batch] and its gradient in the action.
        Q is differentiable in the action to first order; the critics' weights and the gradient are constants."""

        at = CriticsAt(critics, obs)

        def values(action):
            of_critics = at.values(action.detach())
            if self.config.pessimism == "mean":
                value, shares = of_critics.mean(1), torch.full_like(of_critics, 1 / of_critics.shape[1])
            else:
                value, shares = of_critics.amin(1), least_shares(of_critics)
            slope = at.slope(shares)
            return first_order(value, slope, action), slope

        return values

    def chain(self, critics, obs, noise, momentum):
        """The `Chain` of the present policy on some critics."""
        return self.hamiltonian.chain(obs, self.critic(critics, obs), noise, momentum)

    @torch.no_grad()
    def act(self, obs, draws=None, ablate=None):
        """Actions [members, batch, actions]: sampled if `draws` are given, else from a_0 = tanh(mu) and rho_0 = 0. `ablate`:
        'without_chain' stops at a_0, 'sampled' samples with random numbers of its own."""
        if ablate == "without_chain":
            return torch.tanh(self.policy.base(obs).mean)
        draws = self.own_draws(obs.shape[1]) if ablate == "sampled" else draws
        if draws is None:
            zero = obs.new_zeros(*obs.shape[:2], self.actions)
            draws = {"noise": zero, "momentum": zero}
        chain = self.chain(self.critics, obs, draws["noise"], draws["momentum"])
        self.shown = obs, chain
        return chain.action

    def own_draws(self, size):
        """Noise and momentum of a sampled evaluation's next step, functions of the member's seed and the step alone."""
        drawn = draws(self.seeds, "evaluate", SAMPLED + self.sampled, lambda rng: self.acting_draws(rng, size))
        self.sampled += 1
        return tensors(drawn, self.device)

    def acting_draws(self, rng, size):
        return normal(rng, size, self.actions, names=("noise", "momentum"))

    def update_draws(self, rng, size):
        names = ["noise", "momentum", "next_noise", "next_momentum"]
        if self.config.alternation == "fresh":
            names += ["transition_noise", "transition_momentum"]
        return normal(rng, size, self.config.batch_size, self.actions, names=names)

    def update(self, batch, draws):
        """One step of the critics, one policy iteration, one step of the targets."""
        self.seen = batch
        descend(self.critic_optimiser, self.critic_loss(batch, draws))
        self.hamiltonian.improve(batch.obs, self.critic(self.critics, batch.obs), draws)
        follow(self.targets, self.critics, self.config.target_rate)

    @torch.no_grad()
    def next_value(self, batch, draws):
        """What the target bootstraps from, [members, batch]: min_j Q'_j after the chain (or, by `target`, before it, or
        after it less tau times the sampled KL)."""
        c, obs, noise = self.config, batch.next_obs, draws["next_noise"]
        if c.target == "base":
            action = torch.tanh(self.policy.base(obs).rsample_and_log_prob(noise)[0])
            return self.values(self.targets, obs, action).amin(1)
        chain = self.chain(self.targets, obs, noise, draws["next_momentum"])
        # The chain's own last evaluation is that of the least critic already, unless it uses their mean.
        least = chain.value if c.pessimism == "min" else self.values(self.targets, obs, chain.action).amin(1)
        penalty = chain.temperature * chain.distances() if c.target == "soft" else 0.0
        return least - penalty

    @torch.no_grad()
    def inspect(self, obs):
        """The base's ln sigma and, of the chain that has just acted, Q(a_K) - Q(a_0) and |a_K - a_0|."""
        if self.shown is None or self.shown[0] is not obs:
            self.act(obs)
        chain = self.shown[1]
        first = torch.tanh(chain.states[0][0])
        return {
            "base_log_std": self.policy.base(obs).log_std,
            "value_gain": (chain.value - chain.first_value).unsqueeze(-1),
            "move": (chain.action - first).abs(),
        }

    def summarise(self, trace):
        """Means over the evaluation: ln sigma, the chain's gain in Q and how far it moves the action; means over the updates
        since the last evaluation: `policy.METRICS`."""
        on_path = {name: [float(x.mean()) for x in trace[key]] for name, key in
                   (("visited_value_gain", "value_gain"), ("move", "move"))}  # fmt: skip
        return super().summarise(trace) | on_path | self.hamiltonian.meter.take()

    def tables(self, episodes):
        """`gap`: the bound on states of the last batch, by the chain's length, and where gradient ascent takes it."""
        return {"gap": gap_rows(self)}
