"""`common/rl/sac.py` with this paper's settings."""

from common.rl import sac

Learner = sac.Learner
