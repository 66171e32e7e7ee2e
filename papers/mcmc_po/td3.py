"""`common/rl/td3.py` with this paper's settings."""

from common.rl import td3

Learner = td3.Learner
