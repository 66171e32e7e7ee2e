"""The released updates of TRPO and ACKTR, written again as their code has them, for one member, in float64.

Sources: OpenAI baselines' trpo_mpi and acktr_cont with the changes of the paper's authors (58d4016). Only the policies' and
the value functions' networks are ours; estimates, normalisers, Fisher products, line search, fits and Kronecker factors are
those of the released files, step by step and without a fleet.
"""

from copy import deepcopy

import numpy as np
import pytest
import torch

from common.flows.distributions import DiagonalGaussian
from common.flows.networks import Linear
from common.rl.learner import Rollout
from common.rl.randomness import draws
from papers.trpo_nf import acktr, trpo_nf
from papers.trpo_nf.config import ACKTR, TRPONF

OBSERVATIONS, ACTIONS, STEPS = 4, 3, 60


@pytest.fixture(autouse=True)
def whole_numbers(double, monkeypatch):
    """Everything in float64, what a learner takes from a rollout too."""
    whole = lambda self, array: torch.as_tensor(np.asarray(array), device=self.device).to(  # noqa: E731
        torch.int64 if np.asarray(array).dtype.kind == "i" else torch.float64
    )
    monkeypatch.setattr(trpo_nf.Learner, "tensor", whole)
    monkeypatch.setattr(acktr.Learner, "tensor", whole)


def made_up(seed, policy, normalise, steps=STEPS):
    """A rollout of one member: what it sees is made up, its actions are samples of its policy. Episodes end after 25 steps,
    the first by a fall, the second at a time limit."""
    rng = np.random.default_rng(seed)
    obs = rng.standard_normal((1, steps, OBSERVATIONS)) + np.arange(OBSERVATIONS)
    with torch.no_grad():
        action = policy(normalise(torch.from_numpy(obs))).sample(
            policy.noise({k: torch.from_numpy(v).double()[None] if v.dtype.kind == "f" else torch.from_numpy(v)[None]
                          for k, v in policy.draws(rng, steps).items()})
        ).numpy()  # fmt: skip
    reward = obs[..., 0] - np.square(action - obs[..., 1:2]).sum(-1)
    fell, late = np.zeros((2, 1, steps), bool)
    fell[:, 24], late[:, 49] = True, True
    age = np.array([[t % 25 for t in range(steps)]])
    return Rollout(obs, action, reward, np.roll(obs, -1, 1), fell, late, age, np.full(1, 50.0))


class Filter:
    """baselines' RunningMeanStd: sums from `epsilon` on, variances of 0.01 at least."""

    def __init__(self, epsilon=1e-2):
        self.sum, self.sumsq, self.count = torch.zeros(OBSERVATIONS), torch.full((OBSERVATIONS,), epsilon), epsilon

    def update(self, x):
        self.sum, self.sumsq, self.count = self.sum + x.sum(0), self.sumsq + x.square().sum(0), self.count + len(x)

    def __call__(self, x):
        mean = self.sum / self.count
        std = (self.sumsq / self.count - mean.square()).clamp(min=1e-2).sqrt()
        return ((x - mean) / std).clamp(-5, 5)


def flat(tensors):
    return torch.cat([x.reshape(-1) for x in tensors])


class ReleasedTRPO:
    """trpo_mpi.learn, and trpo_implicit's skip of batches with negative curvature."""

    def __init__(self, fleet):
        self.c, self.policy, self.value = fleet.config, deepcopy(fleet.policy), deepcopy(fleet.value)
        self.filter = Filter()
        self.weights, self.value_weights = list(self.policy.parameters()), list(self.value.parameters())
        self.m, self.v, self.t = 0.0, 0.0, 0

    def predict(self, ob):
        return self.value(self.filter(ob)[None])[0, :, 0]

    def write(self, weights, x):
        with torch.no_grad():
            for w in weights:
                w.copy_(x[: w.numel()].view(w.shape))
                x = x[w.numel() :]

    def divergence(self, obs, action, old, old_log_prob):
        new = self.policy(obs[None])
        if not isinstance(new, DiagonalGaussian):
            return (old_log_prob - new.log_prob(action[None])[0]).mean()
        mean, log_std = old
        ratio = ((2 * log_std).exp() + (mean - new.mean).square()) / (2 * (2 * new.log_std).exp())
        return (new.log_std - log_std + ratio - 0.5).sum(-1).mean()

    def learn(self, seen, order):
        c = self.c
        ob, ac, rew = (torch.from_numpy(x[0]) for x in (seen.obs, seen.action, seen.reward))
        new = np.append(0, (seen.terminated | seen.truncated)[0])  # 1 where a step is the first of an episode
        with torch.no_grad():
            vpred = self.predict(ob)
            following = self.predict(torch.from_numpy(seen.next_obs[0, -1:])) * (1 - new[-1])
            vpred = torch.cat([vpred, following])
        adv, last = torch.zeros(len(rew)), 0.0
        for t in reversed(range(len(rew))):
            nonterminal = 1 - new[t + 1]
            delta = rew[t] + c.discount * vpred[t + 1] * nonterminal - vpred[t]
            adv[t] = last = delta + c.discount * c.trace * nonterminal * last
        ret = adv + vpred[:-1]
        adv = (adv - adv.mean()) / adv.std(correction=0)
        self.filter.update(ob)
        obz = self.filter(ob)
        with torch.no_grad():
            old = self.policy(obz[None])
            old_log_prob = old.log_prob(ac[None])[0].clone()
            kept = (old.mean.clone(), old.log_std.clone()) if isinstance(old, DiagonalGaussian) else None
            few = tuple(x[:, ::5] for x in kept) if kept else None

        def surrogate():
            return ((self.policy(obz[None]).log_prob(ac[None])[0] - old_log_prob).exp() * adv).mean()

        def fvp(p):
            kl = self.divergence(obz[::5], ac[::5], few, old_log_prob[::5])
            slope = flat(torch.autograd.grad(kl, self.weights, create_graph=True, materialize_grads=True))
            return flat(torch.autograd.grad(slope @ p, self.weights, materialize_grads=True)) + 0.1 * p

        g = flat(torch.autograd.grad(surrogate(), self.weights, materialize_grads=True))
        p, r, x, rdotr = g.clone(), g.clone(), torch.zeros_like(g), g @ g
        for _ in range(10):
            z = fvp(p)
            v = rdotr / (p @ z)
            x, r = x + v * p, r - v * z
            newrdotr = r @ r
            p, rdotr = r + newrdotr / rdotr * p, newrdotr
            if rdotr < 1e-10:
                break
        shs = 0.5 * x @ fvp(x)
        if shs < 0:
            if c.skip_negative_curvature:
                # Our one departure (common/rl/trpo.py): Adam's count is the fleet's, of which others fit their V.
                self.t += sum(len(rows) // c.minibatch for rows in order)
                return
        else:
            self.search(x / (shs / c.kl_radius).sqrt(), surrogate, lambda: self.divergence(obz, ac, kept, old_log_prob))
        for rows in order:
            for first in range(0, len(rows), c.minibatch):
                batch = rows[first : first + c.minibatch]
                loss = (self.value(obz[batch][None])[0, :, 0] - ret[batch]).square().mean()
                self.adam(flat(torch.autograd.grad(loss, self.value_weights)))

    def search(self, fullstep, surrogate, divergence):
        before, thbefore, size = surrogate().item(), flat(self.weights).detach(), 1.0
        for _ in range(10):
            self.write(self.weights, thbefore + size * fullstep)
            with torch.no_grad():
                surr, kl = surrogate().item(), divergence().item()
            if np.isfinite(surr) and kl <= 1.5 * self.c.kl_radius and surr - before >= 0:
                return
            size *= 0.5
        self.write(self.weights, thbefore)

    def adam(self, g):
        self.t += 1
        self.m, self.v = 0.9 * self.m + 0.1 * g, 0.999 * self.v + 0.001 * g * g
        size = self.c.value_learning_rate * np.sqrt(1 - 0.999**self.t) / (1 - 0.9**self.t)
        self.write(self.value_weights, flat(self.value_weights).detach() - size * self.m / (self.v.sqrt() + 1e-8))


@pytest.mark.parametrize(
    "policy, preset, skips",
    [(policy, preset, False) for policy in ("gaussian", "gmm2", "gmm5", "flow") for preset in ("equations", "released")]
    + [("flow", "equations", True)],
)
def test_trpos_updates_are_the_released_ones(policy, preset, skips):
    """Five iterations: estimates under the old normaliser, the step under the new one, halving, tolerance, skips, V."""
    width = {"embedding_units": 16} if policy == "flow" else {"hidden": "2x16"}
    config = TRPONF(policy=policy, preset=preset, batch_steps=STEPS, minibatch=16, value_hidden="2x16",
                    skip_negative_curvature=skips, **width)  # fmt: skip
    fleet = trpo_nf.Learner(config, [4], OBSERVATIONS, ACTIONS)
    for module in (fleet.policy, fleet.value):
        module.double()
    fleet.build_optimisers()
    fleet.parameters = list(fleet.policy.parameters())
    theirs, taken = ReleasedTRPO(fleet), []
    for iteration in range(5):
        seen = made_up(iteration, fleet.policy, fleet.normaliser)
        drawn = draws([4], "update", iteration, fleet.update_draws)
        taken.append(float(fleet.update(seen, drawn)["step_fraction"][0]))
        theirs.learn(seen, torch.from_numpy(drawn["order"][0]))
        # Conjugate gradient on an indefinite matrix magnifies rounding, so each iteration starts from the same weights.
        tolerance = 1e-9 if policy == "gaussian" else 1e-6
        torch.testing.assert_close(flat(fleet.policy.parameters()), flat(theirs.weights), rtol=0, atol=tolerance)
        theirs.write(theirs.weights, flat(fleet.policy.parameters()).detach())
        torch.testing.assert_close(flat(fleet.value.parameters()), flat(theirs.value_weights), rtol=0, atol=1e-5)
    assert max(taken) > 0 and (not skips or 0.0 in taken)


class ReleasedKfac:
    """baselines' KfacOptimizer on an MLP of `Linear` layers, in turn: one factor pair per layer, one eigenbasis each."""

    def __init__(self, weights, rate, momentum, decay, damping, clip_kl, cold):
        self.weights, self.rate, self.momentum, self.decay = weights, rate, momentum, decay
        self.damping, self.clip_kl, self.cold = damping, clip_kl, cold
        self.factors, self.speed, self.bases, self.steps = None, None, None, 0

    def stats(self, factors):
        if self.factors is None:
            self.factors = factors
        self.factors = [self.decay * old + (1 - self.decay) * new for old, new in zip(self.factors, factors, strict=True)]

    def apply(self, gradients):
        """gradients: [inputs + 1, outputs] per layer, then that of log_std, if there is one."""
        layers = len(self.factors) // 2
        if self.steps >= self.cold:
            if self.bases is None or self.steps % 2 == 0:
                self.bases = [torch.linalg.eigh(f) for f in self.factors[: 2 * layers]]
            updates = []
            for i in range(layers):
                (a, u), (g, w) = self.bases[2 * i : 2 * i + 2]
                inner = u.T @ gradients[i] @ w
                updates.append(u @ (inner / (torch.outer(a.clamp(min=0), g.clamp(min=0)) + self.damping)) @ w.T)
            if len(gradients) > layers:
                updates.append(gradients[-1] / (self.factors[-1] + self.damping))
        else:
            updates = gradients
        predicted = self.rate**2 * sum((u * g).sum() for u, g in zip(updates, gradients, strict=True))
        scale = min(1.0, float((self.clip_kl / predicted).sqrt())) if predicted > 0 else 1.0
        before = self.speed or [0.0] * len(updates)
        self.speed = [self.momentum * s + scale * u for s, u in zip(before, updates, strict=True)]
        for w, s in zip(self.weights, self.speed, strict=True):
            w.data -= self.rate * (1 - self.momentum) * s
        self.steps += 1


def mlp(weights, x, activation):
    """(output, inputs with a column of ones, pre-activations that ask for gradients) of a network of [in + 1, out]."""
    inputs, outputs = [], []
    for i, w in enumerate(weights):
        wide = torch.cat([activation(x) if i else x, torch.ones(len(x), 1)], 1)
        x = wide @ w
        inputs.append(wide.detach())
        outputs.append(x)
    return x, inputs, outputs


def wide_weights(module):
    """[in + 1, out] of each linear layer of a module's first member, as parameters of their own."""
    layers = [layer for layer in module.modules() if isinstance(layer, Linear)]
    return [torch.cat([x.weight[0], x.bias[0].view(1, -1)]).detach().requires_grad_() for x in layers]


def factors_of(log_prob, inputs, outputs):
    """A and G of each layer, from per-sample scores."""
    scores = torch.autograd.grad(log_prob.sum(), outputs, retain_graph=True)
    pairs = zip(inputs, scores, strict=True)
    return [f for x, g in pairs for f in (x.T @ x / len(x), g.T @ g / len(g))]


class ReleasedACKTR:
    """acktr_cont.learn with a Gaussian: estimates path by path, one step of the policy, 25 of V, the rate's rule."""

    def __init__(self, fleet):
        c = self.c = fleet.config
        self.mean, self.value = wide_weights(fleet.policy.mean), wide_weights(fleet.value)
        self.log_std = fleet.policy.log_std[0, 0].detach().clone().requires_grad_()
        decayed = c.damping + c.weight_decay  # the decay's loss is never added, its weight is
        self.policy_kfac = ReleasedKfac([*self.mean, self.log_std], c.first_rate, 0.9, 0.99, decayed, c.clip_kl, cold=1)
        self.value_kfac = ReleasedKfac(self.value, c.value_learning_rate, 0.9, 0.95, 0.1, 0.3, cold=50)
        self.sums = [torch.zeros(OBSERVATIONS), torch.full((OBSERVATIONS,), 1e-2), 1e-2]

    def filter(self, x):
        mean = self.sums[0] / self.sums[2]
        std = (self.sums[1] / self.sums[2] - mean.square()).sqrt().clamp(min=1e-8)
        return ((x - mean) / std).clamp(-10, 10)

    def features(self, ob, age):
        age = torch.as_tensor(age, dtype=torch.float64)
        return torch.cat([self.filter(ob), age.view(-1, 1) / 10, torch.ones(len(ob), 1)], 1)

    def log_prob(self, obz, ac):
        mean, inputs, outputs = mlp(self.mean, obz, torch.tanh)
        spread = self.log_std.expand(len(ac), -1)
        log_prob = torch.distributions.Normal(mean, spread.exp()).log_prob(ac).sum(-1)
        return log_prob, inputs, outputs, spread, mean

    def learn(self, seen, noise):
        c = self.c
        ob, ac = torch.from_numpy(seen.obs[0]), torch.from_numpy(seen.action[0])
        with torch.no_grad():
            vpred = mlp(self.value, self.features(ob, seen.age[0]), torch.nn.functional.elu)[0][:, 0]
        ended = (seen.terminated | seen.truncated)[0]
        starts = [0, *(np.flatnonzero(ended) + 1), len(ended)]
        adv, ret = [], []
        for a, b in zip(starts, starts[1:], strict=False):
            if a == b:
                continue
            last = 0.0 if ended[b - 1] else float(vpred[b - 1])
            v = np.append(vpred[a:b].numpy(), last)
            delta = seen.reward[0, a:b] + c.discount * v[1:] - v[:-1]
            adv.append(discount(delta, c.discount * c.trace))
            ret.append(discount(np.append(seen.reward[0, a:b], last), c.discount)[:-1])
        adv, ret = (torch.from_numpy(np.concatenate(x)) for x in (adv, ret))
        adv = (adv - adv.mean()) / adv.std(correction=0)
        self.sums = [self.sums[0] + ob.sum(0), self.sums[1] + ob.square().sum(0), self.sums[2] + len(ob)]
        self.step(self.filter(ob), ac, adv)
        x = self.features(ob, seen.age[0])
        for each in noise:
            value, inputs, outputs = mlp(self.value, x, torch.nn.functional.elu)
            # The Fisher loss of a Gaussian about V of unit variance, at a sample of it; its released factor is 2.
            self.value_kfac.stats(factors_of(2 * each * value[:, 0], inputs, outputs))
            loss = (value[:, 0] - ret).square().mean() + c.weight_decay / 2 * sum(w[:-1].square().sum() for w in self.value)
            self.value_kfac.apply(torch.autograd.grad(loss, self.value))

    def step(self, obz, ac, adv):
        log_prob, inputs, outputs, spread, mean = self.log_prob(obz, ac)
        before = mean.detach().clone(), self.log_std.detach().clone()
        (score,) = torch.autograd.grad(log_prob.sum(), spread, retain_graph=True)
        self.policy_kfac.stats([*factors_of(log_prob, inputs, outputs), score.square().mean(0)])
        self.policy_kfac.apply(torch.autograd.grad(-(adv * log_prob).mean(), [*self.mean, self.log_std]))
        with torch.no_grad():
            mean, log_std = self.log_prob(obz, ac)[4], self.log_std
            ratio = ((2 * before[1]).exp() + (before[0] - mean).square()) / (2 * (2 * log_std).exp())
            kl = float((log_std - before[1] + ratio - 0.5).sum(-1).mean())
        if kl > 2 * self.c.kl_radius:
            self.policy_kfac.rate = max(1e-8, self.policy_kfac.rate / 1.5)
        elif kl < self.c.kl_radius / 2:
            self.policy_kfac.rate = min(1.0, self.policy_kfac.rate * 1.5)


def discount(x, gamma):
    y = np.zeros(len(x))
    for t in reversed(range(len(x))):
        y[t] = x[t] + (gamma * y[t + 1] if t + 1 < len(x) else 0.0)
    return y


def test_acktrs_updates_are_the_released_ones():
    """Six iterations of ten fits: V is cold for its first 50 steps, both decompose at every second one."""
    config = ACKTR(policy="gaussian", hidden="2x16", value_hidden="2x16", batch_steps=STEPS, value_updates=10)
    fleet = acktr.Learner(config, [4], OBSERVATIONS, ACTIONS)
    for module in (fleet.policy, fleet.value):
        module.double()
    fleet.build_optimisers()
    fleet.rate = fleet.rate.double()
    theirs, rates = ReleasedACKTR(fleet), []
    for iteration in range(6):
        seen = made_up(iteration, fleet.policy, fleet.normaliser)
        drawn = draws([4], "update", iteration, fleet.update_draws)
        rates.append(float(fleet.rate[0]))
        fleet.update(seen, drawn)
        theirs.learn(seen, torch.from_numpy(drawn["value_noise"][0]).double())
        for ours, wanted in ((fleet.policy.mean, theirs.mean), (fleet.value, theirs.value)):
            for x, y in zip(wide_weights(ours), wanted, strict=True):
                torch.testing.assert_close(x, y, rtol=0, atol=1e-9)
        torch.testing.assert_close(fleet.policy.log_std[0, 0], theirs.log_std, rtol=0, atol=1e-9)
        assert float(fleet.rate[0]) == pytest.approx(theirs.policy_kfac.rate)
    assert len(set(rates)) > 1
