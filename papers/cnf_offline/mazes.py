"""What random actions and the waypoint controller return in a maze: the check that the mazes rebuilt here are D4RL's.

D4RL scores a return by those of random actions and of its controller. That controller kept one plan over all its episodes
(`stale`); one that plans anew (`replanning`) returns far more, so that scores above 100 are to be expected.
"""

from functools import cached_property

from common.rl.learner import IterativeLearner


class Learner(IterativeLearner):
    """Behaviours of which nothing is learnt, one member per seed."""

    def __init__(self, config, seeds, device="cpu"):
        self.config, self.seeds = config, list(seeds)

    @cached_property
    def returns(self):
        """{behaviour: returns [members, episodes]}."""
        from common.rl import waypoints

        maze, count = self.config.env, self.config.episodes
        return {
            behaviour: [waypoints.returns(maze, behaviour, count, seed) for seed in self.seeds]
            for behaviour in waypoints.BEHAVIOURS
        }

    def measure(self):
        """The mean return of each behaviour."""
        return {f"return_{name}": [float(found.mean()) for found in members] for name, members in self.returns.items()}

    def tables(self):
        """`returns`: one row per behaviour and episode."""
        return {
            "returns": [
                [
                    {"behaviour": behaviour, "episode": episode, "return": value}
                    for behaviour, members in self.returns.items()
                    for episode, value in enumerate(members[m].tolist())
                ]
                for m in range(len(self.seeds))
            ]
        }
