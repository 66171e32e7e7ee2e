"""A point in the plane and four goals around it (Haarnoja et al. 2017; the settings of the code of soft actor-critic).

The point starts near the origin, x ~ N(0, 0.1^2 I), and moves by its action, x <- x + a, |a_i| <= 1, within [-7, 7]^2. Goals
lie at (5, 0), (-5, 0), (0, 5) and (0, -5). A step pays

    -30 |a|^2 - min_i |x - g_i|^2,   and 10 more where x comes within 1 of a goal, which ends the episode;

else an episode lasts 30 steps. Distances are those after the step. All four goals are equally good: a policy shows by where
it goes whether it knows one way or several.
"""

from typing import Any

import gymnasium
import numpy as np

GOALS = np.array([(5.0, 0.0), (-5.0, 0.0), (0.0, 5.0), (0.0, -5.0)])
START_STD, EDGE, REACH = 0.1, 7.0, 1.0
ACTION_COST, GOAL_REWARD, STEPS = 30.0, 10.0, 30
PIXELS = 280  # side of a rendering


class MultiGoal(gymnasium.Env):
    """Observation: the position, [2], in [-7, 7]; action: the change of position, [2], in [-1, 1], clipped there. `info`
    names the goal that was reached, 0 to 3, else -1."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(self, render_mode: str | None = None):
        self.render_mode = render_mode
        self.observation_space = gymnasium.spaces.Box(-EDGE, EDGE, (2,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.path = [np.zeros(2)]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.path = [START_STD * self.np_random.standard_normal(2)]
        return self.path[-1].astype(np.float32), {"goal": -1}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        a = np.clip(np.asarray(action, float), -1, 1)
        place = np.clip(self.path[-1] + a, -EDGE, EDGE)
        self.path.append(place)
        distances = np.linalg.norm(place - GOALS, axis=1)
        nearest = int(distances.argmin())
        reached = bool(distances[nearest] < REACH)
        reward = -ACTION_COST * float(a @ a) - float(distances[nearest]) ** 2 + GOAL_REWARD * reached
        obs, over = place.astype(np.float32), len(self.path) > STEPS
        return obs, reward, reached, over and not reached, {"goal": nearest if reached else -1}

    def render(self) -> np.ndarray | None:  # type: ignore[override]
        """The plane seen from above, [280, 280, 3]: brighter nearer to a goal, goals red, the path black, the point blue."""
        if self.render_mode != "rgb_array":
            return None
        axis = np.linspace(-EDGE, EDGE, PIXELS)
        plane = np.stack(np.meshgrid(axis, -axis), -1)  # y grows upwards
        near = np.linalg.norm(plane[:, :, None] - GOALS, axis=-1).min(-1)
        image = np.repeat((245 - 18 * near)[..., None], 3, -1)
        image[near < REACH] = (214, 94, 70)
        for start, end in zip(self.path, self.path[1:], strict=False):
            for share in np.linspace(0, 1, 12):
                image[np.linalg.norm(plane - (start + share * (end - start)), axis=-1) < 0.06] = 0
        image[np.linalg.norm(plane - self.path[-1], axis=-1) < 0.2] = (0, 90, 180)
        return image.clip(0, 255).astype(np.uint8)


def register() -> None:
    """Make `MultiGoal-v0` known to gymnasium; a second call does nothing."""
    if "MultiGoal-v0" not in gymnasium.registry:
        gymnasium.register("MultiGoal-v0", entry_point=MultiGoal)  # type: ignore[arg-type]
