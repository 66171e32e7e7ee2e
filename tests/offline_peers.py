"""Agents and encoders of the offline room written again, one member each, as their authors' code has them: plain torch.nn,
plain autograd, torch's own optimisers. And made-up data, batches and encoders on which both are run."""

import math
from copy import deepcopy

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import nn

from common.rl.datasets import Transitions, stacked
from common.rl.inputs import Run
from papers.cnf_offline import flow
from papers.cnf_offline.config import VAE, Flow

OBSERVATIONS, ACTIONS, ROWS, BATCH = 4, 2, 200, 16
SEEDS = (7, 8)


def data_of(actions=ACTIONS, seed=0, rows=ROWS):
    """Transitions of episodes of 5 steps: every second one ends by a fall, the others at a time limit. Some actions lie at
    their bounds, and states are far from standardised."""
    rng = np.random.default_rng(seed)
    obs, following = rng.standard_normal((2, rows, OBSERVATIONS)) * [1, 2, 3, 0.1] + [0, 5, -1, 1]
    action = np.tanh(rng.standard_normal((rows, actions)))
    action[::20] = np.sign(action[::20])
    step = np.arange(1, rows + 1)
    fell, late = step % 10 == 0, step % 10 == 5
    array = stacked(obs, action, rng.standard_normal(rows), fell, late, following)
    return Transitions(torch.from_numpy(array).to(torch.get_default_dtype()), OBSERVATIONS, actions)


def batch_of(data, number, seeds=SEEDS):
    index = torch.from_numpy(np.random.default_rng(number).integers(0, len(data), (9, BATCH)))
    return data.take(index[: len(seeds)])


def draws_of(learner, number, seeds=SEEDS):
    """The random numbers of one update."""
    drawn = [learner.update_draws(np.random.default_rng([seed, number]), 1) for seed in seeds]
    return {name: torch.from_numpy(np.stack([d[name][0] for d in drawn])).to(torch.get_default_dtype()) for name in drawn[0]}


def disturbed(module, size=0.1):
    """Moves every parameter a little, so that none is still what it started from."""
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        parameter.data += size * torch.randn(parameter.shape, generator=generator)


def flow_run(folder, data, base="uniform", padded=False, nll=0.0, name="flow", **settings):
    """A finished run of `flow`, with disturbed parameters. nll: its best held-out likelihood, as it recorded it."""
    config = Flow(base=base, padded=padded, layers=3, units="2x16", batch_size=64, **settings)
    learner = flow.Learner(config, [3], data)
    disturbed(learner.best)
    path = folder / f"{name}.safetensors"
    save_file(learner.files()["flow"][0], path)
    return Run({"flow": path}, vars(config) | {"seed": 3}, {"nll_best": nll})


def vae_run(folder, data, normalised):
    """A finished run of `vae` with units in the tens."""
    from papers.cnf_offline import vae

    config = VAE(width=24, normalised=normalised)
    learner = vae.Learner(config, [3], data)
    disturbed(learner.autoencoder, 0.2 if normalised else 0.1)
    path = folder / f"vae-{normalised}.safetensors"
    save_file(learner.files()["vae"][0], path)
    return Run({"vae": path}, vars(config) | {"seed": 3}, {})


class Standard:
    """(s - mean) / std over the data, in float32 as it is stored."""

    def __init__(self, data):
        obs = data.obs.double().numpy()
        self.mean = torch.tensor(obs.mean(0), dtype=torch.float32)
        self.scale = torch.tensor(1 / obs.std(0), dtype=torch.float32)

    def __call__(self, obs):
        return (obs - self.mean) * self.scale


def identity(obs):
    return obs


def copied(network, row):
    """One row of a stack of networks as torch.nn modules."""
    layers = []
    for layer in network:
        if hasattr(layer, "weight"):
            linear = nn.Linear(*layer.weight.shape[1:])
            linear.weight.data = layer.weight.data[row].T.clone()
            linear.bias.data = layer.bias.data[row].clone()
            layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def step(loss, *optimisers):
    for optimiser in optimisers:
        optimiser.zero_grad()
    loss.backward()
    for optimiser in optimisers:
        optimiser.step()


def track(target, online, rate):
    with torch.no_grad():
        for slow, parameter in zip(target.parameters(), online.parameters(), strict=True):
            slow.copy_((1 - rate) * slow + rate * parameter)


class PlainFlow(nn.Module):
    """One flow: atanh, then normalisation, linear map and coupling in turn, then tanh if the base is uniform. arrays: the
    parameters of one member, {name: array without member axis}."""

    def __init__(self, arrays, uniform):
        super().__init__()
        self.uniform, self.layers = uniform, nn.ModuleList()
        place = 1
        while f"transforms.{place}.log_scale" in arrays:
            took = {
                name: arrays[f"transforms.{at}.{key}"]
                for at, name, key in [
                    (place, "log_scale", "log_scale"),
                    (place, "shift", "shift"),
                    (place + 1, "weight", "weight"),
                    (place + 2, "bound", "bound"),
                    *[(place + 2, f"{kind}{i}", f"network.{i}.{kind}") for i in (0, 2, 4) for kind in ("weight", "bias")],
                    *[(place + 2, f"slope{i}", f"network.{i}.slope") for i in (1, 3)],
                ]
            }
            self.layers.append(nn.ParameterDict({key: nn.Parameter(value.clone()) for key, value in took.items()}))
            place += 3

    def scale_and_shift(self, p, kept, s):
        x = torch.cat([kept, s], -1)
        for i in (0, 2):
            x = x @ p[f"weight{i}"] + p[f"bias{i}"]
            x = torch.where(x > 0, x, p[f"slope{i + 1}"] * x)
        height, shift = (x @ p["weight4"] + p["bias4"]).chunk(2, -1)
        return p["bound"] * torch.tanh(height), shift

    def halves(self, x, i):
        """(what is kept, what is moved, how to join them again) of layer i."""
        half = (x.shape[-1] + 1) // 2
        if i % 2 == 0:
            return x[:, :half], x[:, half:], lambda kept, moved: torch.cat([kept, moved], -1)
        return x[:, -half + x.shape[-1] % 2 :], x[:, : -half + x.shape[-1] % 2], lambda a, b: torch.cat([b, a], -1)

    def forward(self, a, s):
        """z and ln |det dz/da|."""
        x = 0.5 * torch.log((1 + a) / (1 - a))
        total = -torch.log(1 - a**2).sum(-1)
        for i, p in enumerate(self.layers):
            x = p["log_scale"].exp() * x + p["shift"]
            x = x @ p["weight"]
            kept, moved, joined = self.halves(x, i)
            log_scale, shift = self.scale_and_shift(p, kept, s)
            x = joined(kept, log_scale.exp() * moved + shift)
            total = total + p["log_scale"].sum() + torch.linalg.slogdet(p["weight"])[1] + log_scale.sum(-1)
        if self.uniform:
            total = total + torch.log(1 - torch.tanh(x) ** 2).sum(-1)
            x = torch.tanh(x)
        return x, total

    def log_prob(self, a, s):
        z, log_det = self(a, s)
        base = -math.log(2) * torch.ones_like(z) if self.uniform else torch.distributions.Normal(0.0, 1.0).log_prob(z)
        return base.sum(-1) + log_det

    def decode(self, z, s):
        x = z
        if self.uniform:
            z = z.clamp(-1 + 1e-5, 1 - 1e-5)
            x = 0.5 * torch.log((1 + z) / (1 - z))
        for i, p in reversed(list(enumerate(self.layers))):
            kept, moved, joined = self.halves(x, i)
            log_scale, shift = self.scale_and_shift(p, kept, s)
            x = joined(kept, (moved - shift) * torch.exp(-log_scale))
            x = (x @ torch.linalg.inv(p["weight"]) - p["shift"]) * torch.exp(-p["log_scale"])
        return torch.tanh(x)


def plain_flow(module, member, base):
    """One member of a flow of ours as a `PlainFlow`."""
    arrays = {}
    for name, x in module.state_dict().items():
        one = x[member]
        arrays[name] = one[0] if one.ndim == 2 and len(one) == 1 and "weight" not in name else one
    return PlainFlow(arrays, base == "uniform")


class TwinCritics:
    """The part of an update that the agents with twin critics share."""

    def __init__(self, learner, member, observed, actions):
        c = self.c = learner.config
        self.observed, self.actions, self.member = observed, actions, member
        rows = (2 * member, 2 * member + 1)
        self.critics = [copied(learner.critics.network, row) for row in rows]
        self.targets = deepcopy(self.critics)
        rate = getattr(c, "critic_learning_rate", c.learning_rate)
        self.critic_optimisers = [torch.optim.Adam(critic.parameters(), lr=rate) for critic in self.critics]

    def q(self, nets, s, a):
        return [net(torch.cat([s, a], -1)).squeeze(-1) for net in nets]

    def least(self, nets, s, a):
        return torch.min(*self.q(nets, s, a))

    def of(self, batch):
        """(s, a, r, terminated, s') of this member: states as networks see them, actions with zeros up to the width."""
        m = self.member
        action = batch.action[m]
        action = torch.cat([action, torch.zeros(len(action), self.actions - action.shape[-1])], -1)
        return self.observed(batch.obs[m]), action, batch.reward[m], batch.terminated[m], self.observed(batch.next_obs[m])

    def step_critics(self, s, a, target):
        losses = [nn.functional.mse_loss(value, target) for value in self.q(self.critics, s, a)]
        step(sum(losses), *self.critic_optimisers)

    def follow(self):
        for target, critic in zip(self.targets, self.critics, strict=True):
            track(target, critic, self.c.target_rate)


class PlainCNF(TwinCritics):
    """CNF's released update. decode: a function of latents and standardised states; encode: one of actions and states, where
    all lives on latents. `clipped` lists the shares of weights that were cut at 100."""

    def __init__(self, learner, member, observed, decode, encode=None):
        super().__init__(learner, member, observed, learner.actions)
        self.decode, self.encode, self.clipped = decode, encode, []
        self.policy = copied(learner.policy.network, member)
        self.policy_optimiser = torch.optim.Adam(self.policy.parameters(), lr=self.c.learning_rate)

    def action(self, s, noise):
        mean, log_std = self.policy(s).chunk(2, -1)
        u = mean + log_std.clamp(-20, 2).exp() * noise
        return self.decode(self.c.clip * torch.tanh(u) if self.c.clip else u, s)

    def update(self, batch, draws):
        c, noise = self.c, {name: x[self.member] for name, x in draws.items()}
        s, a, r, done, s2 = self.of(batch)
        with torch.no_grad():
            a = self.encode(a.clamp(-1 + 2e-5, 1 - 2e-5), s) if self.encode else a
            following = self.least(self.targets, s2, self.action(s2, noise["next_noise"]))
            target = r + c.discount * (1 - done) * following
        self.step_critics(s, a, target)
        with torch.no_grad():
            v = self.least(self.critics, s, self.action(s, noise["value_noise"]))
            weights = torch.exp((self.least(self.critics, s, a) - v) / c.temperature)
            self.clipped.append(float((weights > 100).double().mean()))
            weights = weights.clamp(max=100)
        difference = (self.action(s, noise["noise"]) - a).abs()
        step((weights[:, None] * difference).mean(), self.policy_optimiser)
        self.follow()


class PlainAWAC(TwinCritics):
    """AWAC as CORL has it."""

    def __init__(self, learner, member, observed):
        super().__init__(learner, member, observed, learner.actions)
        self.clipped = []
        self.mean = copied(learner.policy.network, member)
        self.log_std = learner.policy.log_std.data[member, 0].clone().requires_grad_()
        self.policy_optimiser = torch.optim.Adam([*self.mean.parameters(), self.log_std], lr=self.c.learning_rate)

    def policy(self, s):
        return torch.distributions.Normal(self.mean(s), self.log_std.clamp(-20, 2).exp())

    def update(self, batch, draws):
        c, noise = self.c, {name: x[self.member] for name, x in draws.items()}
        s, a, r, done, s2 = self.of(batch)
        with torch.no_grad():
            policy = self.policy(s2)
            sample = (policy.mean + policy.stddev * noise["next_noise"]).clamp(-1, 1)
            target = r + c.discount * (1 - done) * self.least(self.targets, s2, sample)
        self.step_critics(s, a, target)
        with torch.no_grad():
            policy = self.policy(s)
            sample = (policy.mean + policy.stddev * noise["value_noise"]).clamp(-1, 1)
            weights = torch.exp((self.least(self.critics, s, a) - self.least(self.critics, s, sample)) / c.temperature)
            self.clipped.append(float((weights > 100).double().mean()))
            weights = weights.clamp(max=100)
        step(-(self.policy(s).log_prob(a).sum(-1) * weights).mean(), self.policy_optimiser)
        self.follow()


class PlainIQL(TwinCritics):
    """IQL's released update: V, policy, critics, targets. `scale`: of rewards."""

    def __init__(self, learner, member, scale):
        super().__init__(learner, member, identity, learner.actions)
        self.scale, self.clipped, self.count = scale, [], 0
        self.mean, self.value = copied(learner.policy.network, member), copied(learner.value, member)
        self.log_std = learner.policy.log_std.data[member, 0].clone().requires_grad_()
        self.value_optimiser = torch.optim.Adam(self.value.parameters(), lr=self.c.learning_rate)
        self.policy_optimiser = torch.optim.Adam([*self.mean.parameters(), self.log_std], lr=1.0)
        schedule = lambda count: 3e-4 * 0.5 * (1 + math.cos(math.pi * count / self.c.total_steps))  # noqa: E731
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.policy_optimiser, schedule)

    def update(self, batch, draws):
        c = self.c
        s, a, r, done, s2 = self.of(batch)
        with torch.no_grad():
            q = self.least(self.targets, s, a)
        gap = q - self.value(s).squeeze(-1)
        weight = torch.where(gap > 0, c.expectile, 1 - c.expectile)
        step((weight * gap**2).mean(), self.value_optimiser)
        with torch.no_grad():
            weights = torch.exp((q - self.value(s).squeeze(-1)) * c.inverse_temperature)
            self.clipped.append(float((weights > 100).double().mean()))
            weights = weights.clamp(max=100)
        policy = torch.distributions.Normal(torch.tanh(self.mean(s)), self.log_std.clamp(-5, 2).exp())
        step(-(weights * policy.log_prob(a).sum(-1)).mean(), self.policy_optimiser)
        self.schedule.step()
        with torch.no_grad():
            target = self.scale * r + c.discount * (1 - done) * self.value(s2).squeeze(-1)
        self.step_critics(s, a, target)
        self.follow()


class PlainLAPO:
    """LAPO's released update (57a4974). One Adam for critics and V, one for encoder and decoder; all but V has a target."""

    def __init__(self, learner, member, data):
        self.c, self.member, self.observed = learner.config, member, Standard(data)
        action = data.action
        self.mean, self.std = action.mean(0), action.std(0)
        largest, least = float(data.reward.max()), float(data.reward.min())
        self.largest, self.limits = largest, (least / largest / (1 - self.c.discount), 1 / (1 - self.c.discount))
        self.critics = nn.ModuleList(copied(learner.critics.network, 2 * member + j) for j in range(2))
        names = {
            "policy": learner.policy.network,
            "value": learner.value,
            "encoder": learner.encoder,
            "decoder": learner.decoder,
        }
        for name, network in names.items():
            setattr(self, name, copied(network, member))
        self.targets, self.policy_target, self.decoder_target = map(deepcopy, (self.critics, self.policy, self.decoder))
        rate, chain = self.c.learning_rate, lambda *nets: [p for net in nets for p in net.parameters()]
        self.critic_optimiser = torch.optim.Adam(chain(self.critics, self.value), lr=rate)
        self.vae_optimiser = torch.optim.Adam(chain(self.encoder, self.decoder), lr=rate)
        self.policy_optimiser = torch.optim.Adam(chain(self.policy), lr=rate)
        self.cut, self.gained = [], []

    def decode(self, decoder, s, z):
        return decoder(torch.cat([s, z], -1))

    def q(self, nets, s, a):
        return [net(torch.cat([s, a], -1)).squeeze(-1) for net in nets]

    def target_q(self, s, noise=0.0):
        z = self.c.clip * torch.tanh(self.policy_target(s)) + noise
        return torch.min(*self.q(self.targets, s, self.decode(self.decoder_target, s, z)))

    def update(self, batch, draws):
        c, m = self.c, self.member
        s, s2, done = self.observed(batch.obs[m]), self.observed(batch.next_obs[m]), batch.terminated[m]
        a, r = (batch.action[m] - self.mean) / self.std, batch.reward[m] / self.largest
        with torch.no_grad():
            target = r + c.discount * (1 - done) * self.value(s2).squeeze(-1)
            v = self.target_q(s, (0.1 * draws["target_noise"][m]).clamp(-0.2, 0.2))
            self.cut += (v != v.clamp(*self.limits)).tolist()
            v = v.clamp(*self.limits)
        losses = [nn.functional.mse_loss(value, target) for value in self.q(self.critics, s, a)]
        step(sum(losses) + nn.functional.mse_loss(self.value(s).squeeze(-1), v), self.critic_optimiser)
        with torch.no_grad():
            advantage = r + c.discount * (1 - done) * self.target_q(s2) - self.value(s).squeeze(-1)
            weights = torch.where(advantage > 0, 0.9, 0.1)
            self.gained += (advantage > 0).tolist()
        mean, log_variance = self.encoder(torch.cat([s, a], -1)).chunk(2, -1)
        recon = self.decode(self.decoder, s, mean + torch.exp(log_variance / 2) * draws["noise"][m])
        divergence = -0.5 * torch.sum(1 + log_variance - mean**2 - log_variance.exp(), 1)
        step((weights * (((recon - a) ** 2).sum(1) + c.kl_weight * divergence)).mean(), self.vae_optimiser)
        chosen = self.decode(self.decoder_target, s, c.clip * torch.tanh(self.policy(s)))
        step(-self.q(self.critics, s, chosen)[0].mean(), self.policy_optimiser)
        for slow, fast in (
            (self.targets, self.critics),
            (self.policy_target, self.policy),
            (self.decoder_target, self.decoder),
        ):
            track(slow, fast, c.target_rate)


class PlainPLAS(TwinCritics):
    """PLAS's released update. decode: a function of states and latents."""

    def __init__(self, learner, member, decode):
        super().__init__(learner, member, identity, ACTIONS)
        self.decode = decode
        self.policy = copied(learner.policy.network, member)
        self.policy_target = deepcopy(self.policy)
        self.policy_optimiser = torch.optim.Adam(self.policy.parameters(), lr=self.c.learning_rate)

    def update(self, batch, draws):
        c = self.c
        s, a, r, done, s2 = self.of(batch)
        with torch.no_grad():
            q1, q2 = self.q(self.targets, s2, self.decode(s2, c.clip * torch.tanh(self.policy_target(s2))))
            following = 0.75 * torch.min(q1, q2) + 0.25 * torch.max(q1, q2)
            target = r + c.discount * (1 - done) * following
        self.step_critics(s, a, target)
        actions = self.decode(s, c.clip * torch.tanh(self.policy(s)))
        step(-self.q(self.critics, s, actions)[0].mean(), self.policy_optimiser)
        self.follow()
        track(self.policy_target, self.policy, c.target_rate)
