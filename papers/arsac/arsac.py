"""ARSAC: soft actor-critic with an autoregressive-flow policy (Guerra & Marino 2020, Section 3).

The policy has two parts. A high-level base distribution depends on the state, a low-level affine flow on the actions
before:

    u_t ~ pi_phi(u_t | s_t) = N(mu_phi(s_t), diag sigma_phi(s_t)^2)
    x_t = beta_theta(a_<t) * u_t + delta_theta(a_<t)                                        (eq. 4)
    a_t = tanh(x_t)
    ln pi(a_t | s_t, a_<t) = ln pi_phi(u_t | s_t) - sum_i ln beta_i - sum_i ln (1 - tanh(x_i)^2)   (eq. 5, and the tanh)

Everything else is SAC; with beta = 1 and delta = 0 it is SAC exactly.

Details that matter (stated nowhere in the paper, read off its authors' code): a_<t are the last 3 executed actions, after
tanh, the oldest first, zeros at an episode's start; beta = exp of a network output clamped to [-20, 5], delta is clamped to
[-5, 5]; base and flow share one Adam; the critics do not see the history; the next state's history is the stored one
shifted by the stored action; the deterministic action is tanh(beta mu + delta). At an empty history all biases are zero,
so beta = 1 and delta = 0 before training.
"""

import numpy as np
import torch

from common.flows.networks import MLP, widths, xavier_uniform
from common.flows.transforms import Affine, Compose, Tanh
from common.rl.policies import FlowPolicy
from papers.arsac import sac_memory
from papers.arsac.traces import dimension_rows, shares, trace_rows


class Learner(sac_memory.Learner):
    """A fleet of SAC learners whose policies are base(s_t) followed by the flow across time. An observation is
    [s_t, a_<t]."""

    ablations = ("without_flow",)

    def __init__(self, config, seeds, observations, actions, device="cpu"):
        super().__init__(config, seeds, observations, actions, device)
        self.means = None  # of ln beta and delta over the steps of the last evaluation, [members, 1, actions] each
        if config.freeze:
            self.ablations = (*self.ablations, "frozen_flow")

    def build_policy(self, rngs):
        c = self.config
        base = self.build_base(rngs, self.states)
        # Log-scale and shift are two layers side by side on one trunk.
        sizes = [c.history * self.actions, *widths(c.flow), 2 * self.actions]
        network = MLP(rngs, sizes, init=xavier_uniform(), last_init=xavier_uniform(heads=2))
        flow = Affine(network, (c.log_scale_low, c.log_scale_high), c.shift_limit)
        return FlowPolicy(base, Compose(flow, Tanh()))

    @property
    def flow(self):
        """The affine transform across time, beta and delta."""
        return self.policy.transform.transforms[0]

    def distribution(self, obs):
        """pi(a_t | s_t, a_<t): the state goes to the base, the past actions are the flow's context."""
        return self.policy(obs[..., : self.states], obs[..., self.states :])

    @torch.no_grad()
    def act(self, obs, draws=None, ablate=None):
        if ablate == "without_flow":  # beta = 1, delta = 0: the base alone
            return torch.tanh(self.policy.base(obs[..., : self.states]).mode())
        if ablate == "frozen_flow":  # beta and delta at their means over time: what the base could take over
            log_scale, shift = (mean.to(obs.device) for mean in self.means)
            return torch.tanh(log_scale.exp() * self.policy.base(obs[..., : self.states]).mode() + shift)
        return super().act(obs, draws)

    @torch.no_grad()
    def inspect(self, obs):
        log_scale, shift = self.flow.parameters_at(obs[..., self.states :])
        return super().inspect(obs) | {"log_scale": log_scale, "shift": shift}

    def summarise(self, trace):
        """ln beta is what the paper plots as reliance on the flow. It is confounded with the base's ln sigma, since only
        beta sigma reaches the action; their sum and the shift's share of the variance are not."""
        c = self.config
        self.means = [
            torch.from_numpy(np.stack([member.mean(0, keepdims=True) for member in trace[name]]))
            for name in ("log_scale", "shift")
        ]
        members = [{name: values[m] for name, values in trace.items()} for m in range(len(trace["shift"]))]
        return super().summarise(trace) | {
            "log_scale": [float(t["log_scale"].mean()) for t in members],
            "abs_log_scale": [float(np.abs(t["log_scale"]).mean()) for t in members],
            "log_scale_std": [float((t["log_scale"] + t["base_log_std"]).mean()) for t in members],
            "abs_shift": [float(np.abs(t["shift"]).mean()) for t in members],
            "shift_share": [float(shares(t)["shift_share"].mean()) for t in members],
            "scale_clamped": [
                float(((t["log_scale"] <= c.log_scale_low) | (t["log_scale"] >= c.log_scale_high)).mean()) for t in members
            ],
            "shift_clamped": [float((np.abs(t["shift"]) >= c.shift_limit).mean()) for t in members],
        }

    def tables(self, episodes):
        return {
            "trace": [trace_rows(member[0]) for member in episodes],
            "dimensions": [dimension_rows(member) for member in episodes],
        }
