"""SAC with a flow policy, lifted out: needs common/flows, common/rl, common/errors.py and common/settings.py alone.

python -m examples.lift_sac
"""

import torch

from common.flows import Compose, Coupling, Tanh
from common.rl import off_policy, sac
from common.rl.config import SAC
from common.rl.journal import MemoryJournal
from common.rl.policies import FlowPolicy


class FlowSAC(sac.Learner):
    """a = tanh(f_2(f_1(u; s); s)), u ~ N(mu(s), sigma(s)), with affine couplings f that see the state."""

    def build_policy(self, rngs):
        base = self.build_base(rngs, self.observations)
        couplings = [Coupling(rngs, self.actions, first, [32], self.observations) for first in (True, False)]
        return FlowPolicy(base, Compose(*couplings, Tanh()))

    def distribution(self, obs):
        return self.policy(obs, obs)  # the base's input, the couplings' context


def train(seeds, steps):
    """{seed: returns of its evaluations}, one every 500 steps, of a fleet on Reacher."""
    config = SAC(env="Reacher-v4", base="2x64", critic="2x64", batch_size=64, warmup=500, total_steps=steps,
                 evaluate_every=500, learning_rate=1e-3, temperature=0.02)  # fmt: skip
    journal = MemoryJournal(len(seeds))
    off_policy.run(FlowSAC, config, seeds, journal)
    returns = [(seeds[member], value) for member, _, metric, value in journal.records if metric == "return"]
    return {seed: [round(value, 1) for owner, value in returns if owner == seed] for seed in seeds}


if __name__ == "__main__":
    torch.set_num_threads(1)  # the networks are small
    print(train(seeds=[0, 1], steps=3_000))
