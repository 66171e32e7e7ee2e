"""What the agents share: standardised states, twin critics with targets, the order of an update, the encoder's choice."""

from copy import deepcopy

import numpy as np
import torch

from common.errors import UserError
from common.flows.networks import widths
from common.rl.critics import QFunctions, critic_loss
from common.rl.learner import OfflineLearner
from common.rl.optimisers import Adam, descend, follow
from common.rl.randomness import generator, normal
from common.settings import fields
from papers.cnf_offline import encoder
from papers.cnf_offline.config import Flow
from papers.cnf_offline.data import Standardised, padded

PROBED = 256  # rows on which agents are measured


class Agent(OfflineLearner):
    """A fleet of agents, one member per seed. Arrays lead with the member axis. One update on a batch of the data:

        critics on L_Q, then the policy on its loss, then the targets: Q'_j <- (1 - tau) Q'_j + tau Q_j

    A subclass makes its policy and says what an action of it is (`sample`), and the policy's loss.
    """

    stored = ("policy", "critics", "targets", "policy_optimiser", "critic_optimiser")
    policy: torch.nn.Module
    latents: int  # entries of the policy's random numbers

    def __init__(self, config, seeds, data, device="cpu", inputs=None):
        self.config, self.seeds, self.device, self.data = config, list(seeds), device, data
        self.observations, self.env_actions, self.members = data.observations, data.actions, len(self.seeds)
        self.order = torch.arange(len(data))
        self.rngs = [generator(seed, "init") for seed in seeds]
        self.standardise = Standardised(data, device, getattr(config, "normalised", True))
        self.encode_with(inputs or {})
        self.policy = self.build_policy().to(device)
        self.critics = self.build_critics().to(device)
        self.targets = deepcopy(self.critics).requires_grad_(False)
        self.policy_optimiser = Adam(self.policy.parameters(), lr=config.learning_rate)
        self.critic_optimiser = Adam(self.critics.parameters(), lr=config.learning_rate)
        probed = np.linspace(0, len(data) - 1, PROBED).astype(np.int64)
        self.probe = self.prepared(data.take(torch.from_numpy(probed).expand(self.members, -1), device))

    # What differs

    def encode_with(self, inputs):
        """Sets `actions`, the entries of an action as critics see it, and what the policy's latents lead through."""
        self.actions = self.latents = self.env_actions

    def build_policy(self):
        raise NotImplementedError

    def build_critics(self):
        return QFunctions(self.rngs, self.observations, self.actions, widths(self.config.hidden))

    def sample(self, obs, noise):
        """An action a ~ pi(. | s) as critics see it, [members, batch, actions], through which gradients pass. obs:
        standardised; noise: [members, batch, latents], or None for the policy's mode."""
        raise NotImplementedError

    def policy_loss(self, batch, draws):
        """[members]."""
        raise NotImplementedError

    # Acting

    @torch.no_grad()
    def act(self, obs, draws=None, ablate=None):
        """Actions of the environment, [members, batch, actions]: samples if `draws` are given, else of the policy's mode."""
        return self.sample(self.standardise(obs), None if draws is None else draws["noise"])[..., : self.env_actions]

    def acting_draws(self, rng, size):
        return normal(rng, size, self.latents)

    def inspect(self, obs):
        return {}

    # Learning

    def update_draws(self, rng, size):
        names = ("next_noise", "value_noise", "noise")
        return normal(rng, size, self.config.batch_size, self.latents, names=names)

    def prepared(self, batch):
        """A batch with standardised states and actions as critics see them."""
        obs, next_obs = self.standardise(batch.obs), self.standardise(batch.next_obs)
        return type(batch)(obs, padded(batch.action, self.actions), batch.reward, batch.terminated, next_obs)

    def update(self, batch, draws):
        """One step of critics, policy and targets."""
        batch = self.prepared(batch)
        descend(self.critic_optimiser, self.critic_loss(batch, draws))
        descend(self.policy_optimiser, self.policy_loss(batch, draws))
        follow(self.targets, self.critics, self.config.target_rate)

    def critic_loss(self, batch, draws):
        """L_Q = mean sum_j (Q_j(s, a) - y)^2,  y = r + gamma (1 - terminated) min_j Q'_j(s', a'),  a' ~ pi(. | s')  (eq. 8).

        [members]."""
        with torch.no_grad():
            next_action = self.sample(batch.next_obs, draws["next_noise"])
            following = self.targets(batch.next_obs, next_action).amin(1)
        return critic_loss(self.critics(batch.obs, batch.action), batch, self.config.discount, following)

    @torch.no_grad()
    def weights(self, batch, noise):
        """exp((Q(s, a) - V(s)) / lambda), at most `weight_limit`, [members, batch]; V(s) = Q(s, a') of one sample a'
        (eq. 7), Q the lesser of the online critics."""
        value = self.critics(batch.obs, self.sample(batch.obs, noise)).amin(1)
        advantage = self.critics(batch.obs, batch.action).amin(1) - value
        return (advantage / self.config.temperature).exp().clamp(max=self.config.weight_limit)

    # Measurements

    @torch.no_grad()
    def value_of(self, obs):
        """What the lesser critic says of the policy's mode, in the environment's rewards, [members, batch]. obs: as the
        environment gives them."""
        obs = self.standardise(obs)
        return self.critics(obs, self.sample(obs, None)).amin(1)

    def results(self):
        """At the end: how far samples of the policy, and the data's own actions, are from the data (`nearest`)."""
        return nearest(self, self.data)

    def files(self):
        return {"probe": probe(self, self.data)}

    @torch.no_grad()
    def measure(self):
        """On some rows of the data: the mean of the lesser critic at the data's actions and at the policy's mode, and the
        mean distance between these actions."""
        batch = self.probe
        mode = self.sample(batch.obs, None)
        values = {"q_data": self.critics(batch.obs, batch.action), "q_policy": self.critics(batch.obs, mode)}
        measured = {name: value.amin(1).mean(-1).tolist() for name, value in values.items()}
        return measured | {"l1_mode": (mode - batch.action).abs().mean((1, 2)).tolist()}


COMPARED = 50_000  # rows of the data among which the nearest is sought


@torch.no_grad()
def nearest(learner, data):
    """{metric: [members]}: over `PROBED` states of the data, the mean distance from (s, a) to the nearest other row, for a
    of the data (`distance_data`) and for a sample of the policy (`distance_policy`). States are standardised, and count by
    the mean of their squared entries, as actions do, so that neither outweighs the other."""
    members, device = len(learner.seeds), learner.device
    rows, places = compared(data)
    batch = data.take(rows[None], device)
    standardise = Standardised(data, device)
    obs, action = standardise(batch.obs[0]) / data.observations**0.5, batch.action[0] / data.actions**0.5
    away = torch.cdist(obs[places], obs).square()
    away[torch.arange(len(places)), places] = torch.inf  # a row is not its own neighbour
    sampled = sampled_in(learner, batch.obs[0, places]) / data.actions**0.5

    def distance(chosen):
        return (away + torch.cdist(chosen, action).square()).amin(1).sqrt().mean().item()

    return {
        "distance_data": [distance(action[places])] * members,
        "distance_policy": [distance(sampled[m]) for m in range(members)],
    }


def compared(data):
    """Rows of the data among which the nearest is sought, and the places among these of the probed ones."""
    count = min(len(data), COMPARED)
    rows = torch.from_numpy(np.linspace(0, len(data) - 1, count).astype(np.int64))
    return rows, torch.arange(0, count, max(1, count // PROBED))[:PROBED]


def probed(data):
    """(obs, action) of the probed rows, [probed, observations] and [probed, actions]."""
    rows, places = compared(data)
    return data.obs[rows[places]], data.action[rows[places]]


@torch.no_grad()
def sampled_in(learner, obs):
    """Actions that every member samples in some states, [members, states, actions], with noise of its own seed."""
    drawn = [learner.acting_draws(generator(seed, "evaluate", 0), len(obs)) for seed in learner.seeds]
    noise = {name: torch.from_numpy(np.stack([draw[name] for draw in drawn])).to(learner.device) for name in drawn[0]}
    return learner.act(obs.expand(len(learner.seeds), -1, -1), noise)


def probe(learner, data):
    """One file per member: the probed states, and actions that it samples there."""
    obs = probed(data)[0]
    actions = sampled_in(learner, obs.to(learner.device)).cpu()
    return [{"obs": obs.numpy(), "action": action.numpy()} for action in actions]


def chosen(inputs, role, **settings):
    """The runs of a role that have these settings. Raises `UserError` if there is none."""
    runs = [run for run in inputs.get(role, []) if all(run.settings[key] == value for key, value in settings.items())]
    if not runs:
        raise UserError(f"uses: {role}: no run has {', '.join(f'{key} = {value}' for key, value in settings.items())}")
    return runs


def flow_of(inputs, base, observations, actions, device):
    """(the frozen encoder with the best held-out likelihood, entries of an action with padding) of the input `flow`."""
    run = min(chosen(inputs, "flow", base=base), key=lambda run: run.last["nll_best"])
    settings = Flow(**{name: run.settings[name] for name in fields(Flow)})
    event = actions + (actions % 2 if settings.padded else 0)
    layers, units = settings.size
    return encoder.Frozen(run.tensors("flow"), event, layers, widths(units), base, observations, device), event
