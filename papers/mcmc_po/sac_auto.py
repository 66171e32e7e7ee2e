"""`common/rl/sac_auto.py` with this paper's settings."""

from common.rl import sac_auto

Learner = sac_auto.Learner
