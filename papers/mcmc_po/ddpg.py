"""`common/rl/ddpg.py` with this paper's settings."""

from common.rl import ddpg

Learner = ddpg.Learner
