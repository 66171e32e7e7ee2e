"""A run that is stopped anywhere and started again ends with the same records and tables."""

import pytest

from common.lab.journal import Journal
from common.rl import loops
from papers.mcmc_po import hmc, langevin, sac_auto, sac_coupling, toys
from papers.mcmc_po.config import HMC, Langevin, SACAuto, SACCoupling, Toys

SMALL = {"env": "Hopper-v4", "base": "1x32", "critic": "1x32", "total_steps": 60, "warmup": 10, "update_after": 15,
         "batch_size": 16, "evaluate_every": 20, "evaluation_episodes": 1}  # fmt: skip
RUNS = {
    "hmc": (loops.off_policy, hmc.Learner, HMC(**SMALL, leapfrog_steps=2, snapshot_every=7)),
    "noisy": (loops.off_policy, langevin.Learner, Langevin(**SMALL, kind="noisy", chain_steps=2, snapshot_every=7)),
    "flow": (loops.off_policy, langevin.Learner, Langevin(**SMALL, kind="flow", chain_steps=2, snapshot_every=7)),
    "sac_auto": (loops.off_policy, sac_auto.Learner, SACAuto(**SMALL)),
    "sac_coupling": (loops.off_policy, sac_coupling.Learner, SACCoupling(**SMALL)),
    "bandit": (
        toys.loop,
        toys.Learner,
        Toys(total_steps=60, evaluate_every=20, batch_size=16, samples=50, contexts=2, prior="snapshot", pid=True),
    ),
}


class After:
    """Asks to stop from the n-th question on."""

    def __init__(self, questions):
        self.left = questions

    def __call__(self):
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize("name", RUNS)
def test_stopping_and_going_on_changes_nothing(name, tmp_path):
    loop, learner, settings = RUNS[name]
    whole = Journal(tmp_path / "whole", ["4"], "digest", every_seconds=1e9)
    loop(learner, settings, [4], whole)
    with pytest.raises(SystemExit, match="stopped at step 34"):
        loop(learner, settings, [4], Journal(tmp_path / "run", ["4"], "digest", 1e9, After(33)))
    resumed = Journal(tmp_path / "run", ["4"], "digest", every_seconds=1e9)
    loop(learner, settings, [4], resumed)
    assert resumed.start_step == 34
    assert resumed.records == whole.records and len(whole.records) >= 15
    assert resumed.tables == whole.tables
