"""How likely trained agents' actions are under the conservative flow: -ln p(a | s), eq. 4, of its uniform base.

The flow is a model of the data's actions, so that an action it finds unlikely is unlike the data. Every agent has left
actions that it sampled in some states of the data (`probe`); those of the data in the same states stand beside them. The
agent that acts through this flow has an advantage over the others here, by design.
"""

import torch

from common.rl.learner import OfflineLearner
from papers.cnf_offline import agent, encoder
from papers.cnf_offline.data import DATA_LIMIT, Standardised, padded

ROLES = ("cnf", "cnf_normal", "no_flow", "awac", "iql", "plas")


class Learner(OfflineLearner):
    """One member per seed of the agents; it learns nothing."""

    stored = ()

    def __init__(self, config, seeds, data, device="cpu", inputs=None):
        self.config, self.seeds, self.device, self.data, self.inputs = config, list(seeds), device, data, inputs
        self.order = torch.arange(len(data))
        self.standardise = Standardised(data, device)
        self.flow, self.event = agent.flow_of(inputs, "uniform", data.observations, data.actions, device)

    @torch.no_grad()
    def nll(self, obs, action):
        """Mean of -ln p(a | s), in nats per action; obs [rows, observations], as the environment gives them, action [rows,
        actions]."""
        action = padded(action, self.event).clamp(-DATA_LIMIT, DATA_LIMIT)[None].to(self.device)
        context = self.standardise(obs.to(self.device))[None]
        return -encoder.actions(self.flow.flow, "uniform", action, context).log_prob(action).mean().item()

    def update_draws(self, rng, size):
        return {}

    def update(self, batch, draws):
        """Nothing."""

    def measure(self):
        """{nll_<agent>: [members]} of the agent with the member's seed, and of the data (`nll_data`)."""
        obs, action = agent.probed(self.data)
        measured = {"nll_data": [self.nll(obs, action)] * len(self.seeds)}
        for role in ROLES:
            probes = [agent.chosen(self.inputs, role, seed=seed)[0].tensors("probe") for seed in self.seeds]
            measured[f"nll_{role}"] = [self.nll(probe["obs"], probe["action"]) for probe in probes]
        return measured
