"""Two humanoids of rllab (Duan et al. 2016), rebuilt from published facts with MJCF models of our own.

What is theirs: dimensions of observation and action, time step, motors' limits, reward and termination. What is ours: shapes
and masses of the bodies, which decide how hard the task is; returns are not comparable with rllab's.

    reward = v_x + 0.2 - 0.0005 |a|^2 - 0.000005 |f|^2 - 0.005 (v_y^2 + v_z^2)

v is the velocity of the robot's centre of mass, a the action in [-1, 1], f the external forces on all bodies, each clipped
to [-1, 1]. An episode ends where the torso's height leaves (0.8, 2.0), and after 1000 steps. Observed are positions,
velocities, f, and the robot's centre of mass: nothing is left out.

                             observation   action   time step   steps per action  motors
    RllabSimpleHumanoid-v0   102           10       0.01, RK4   1                 legs 100 N m, shoulders 20 N m
    RllabHumanoid-v0         142           21       0.002       4                 control in [-0.4, 0.4] times a gear
"""

from collections.abc import Mapping

import gymnasium
import mujoco
import numpy as np
from gymnasium import spaces

LIMITS = (0.8, 2.0)  # of the torso's height
HEAD = """<mujoco model="{name}">
  <compiler angle="degree"/>
  <option timestep="{step}" integrator="{integrator}" iterations="50"/>
  <default>
    <joint armature="0.02" damping="{damping}" limited="true"/>
    <geom condim="3" friction="1 0.1 0.1" density="1000" contype="1" conaffinity="0" margin="0.001"/>
    <motor ctrllimited="true"/>
  </default>
  <worldbody>
    <geom name="floor" type="plane" size="100 100 1" contype="0" conaffinity="1"/>
"""


def capsule(ends: str, radius: float) -> str:
    return f'<geom type="capsule" fromto="{ends}" size="{radius}"/>'


def hinge(name: str, axis: str, low: float, high: float) -> str:
    return f'<joint name="{name}" type="hinge" axis="{axis}" range="{low} {high}"/>'


def body(name: str, place: str, *inside: str) -> str:
    return f'<body name="{name}" pos="{place}">' + "".join(inside) + "</body>"


def motors(gears: Mapping[str, tuple[float, float]]) -> str:
    """`gears`: {joint: (gear, limit of the control)}."""
    lines = [f'<motor joint="{j}" gear="{gear}" ctrlrange="-{limit} {limit}"/>' for j, (gear, limit) in gears.items()]
    return "  </worldbody>\n  <actuator>" + "".join(lines) + "</actuator>\n</mujoco>"


def leg(side: str, sign: int, full: bool) -> str:
    """Thigh, shin and, in the full model, a foot with an ankle of two axes."""
    hips = [hinge(f"{side}_hip_x", f"{sign} 0 0", -25, 20)]
    hips += [hinge(f"{side}_hip_z", f"0 0 {sign}", -60, 35)] if full else []
    hips += [hinge(f"{side}_hip_y", "0 1 0", -110, 30)]
    sole = [capsule("-0.06 0 -0.02 0.14 0 -0.02", 0.05)]
    ankles = [hinge(f"{side}_ankle_y", "0 1 0", -40, 40), hinge(f"{side}_ankle_x", "1 0 0", -30, 30)]
    foot = body(f"{side}_foot", "0 0 -0.4", *ankles, *sole) if full else capsule("-0.06 0 -0.42 0.14 0 -0.42", 0.05)
    shin = body(
        f"{side}_shin", "0 0 -0.4", hinge(f"{side}_knee", "0 -1 0", -150, -2), capsule("0 0 0 0 0 -0.36", 0.05), foot
    )
    return body(f"{side}_thigh", f"0 {-0.1 * sign} -0.08", *hips, capsule("0 0 0 0 0 -0.36", 0.06), shin)


def arm(side: str, sign: int, full: bool) -> str:
    """Upper arm with a shoulder of two axes, forearm with an elbow in the full model, stiff in the simple one."""
    shoulder = [hinge(f"{side}_shoulder_1", f"2 {sign} 1", -85, 60), hinge(f"{side}_shoulder_2", f"0 {-sign} 1", -85, 60)]
    elbow = [hinge(f"{side}_elbow", f"0 -1 {sign}", -90, 50)] if full else []
    forearm = body(f"{side}_forearm", f"0.16 {-0.16 * sign} -0.16", *elbow, capsule("0 0 0 0.16 0 0.16", 0.032))
    upper = capsule(f"0 0 0 0.14 {-0.14 * sign} -0.14", 0.04)
    return body(f"{side}_upper_arm", f"0 {-0.18 * sign} 0.06", *shoulder, upper, forearm)


def model(full: bool) -> str:
    """The MJCF text of one of the two humanoids."""
    head = HEAD.format(
        name="humanoid" if full else "simple_humanoid",
        step=0.002 if full else 0.01, integrator="Euler" if full else "RK4", damping=5 if full else 2,
    )  # fmt: skip
    sides = [("right", 1), ("left", -1)]
    legs = [leg(side, sign, full) for side, sign in sides]
    arms = [arm(side, sign, full) for side, sign in sides]
    lean = [hinge("abdomen_x", "1 0 0", -35, 35)] if full else []
    pelvis = body("pelvis", "0 0 -0.17" if full else "0 0 -0.4", *lean, capsule("0 -0.07 0 0 0.07 0", 0.09), *legs)
    if full:
        bend = [hinge("abdomen_z", "0 0 1", -45, 45), hinge("abdomen_y", "0 1 0", -75, 30)]
        pelvis = body("waist", "0 0 -0.26", *bend, capsule("0 -0.06 0 0 0.06 0", 0.06), pelvis)
    skull = '<geom type="sphere" pos="0 0 0.19" size="0.09"/>'
    trunk = [capsule("0 -0.07 0 0 0.07 0", 0.07), capsule("0 -0.06 -0.12 0 0.06 -0.12", 0.06), skull]
    root = '<joint name="root" type="free" armature="0" damping="0" limited="false"/>'
    gears = {}
    for name in [joint.split('"')[0] for joint in (pelvis + "".join(arms)).split('<joint name="')[1:]]:
        strong = any(part in name for part in ("hip", "knee", "abdomen"))
        gears[name] = ((200 if strong else 50), 0.4) if full else (1, 20 if "shoulder" in name else 100)
    return head + body("torso", "0 0 1.4", root, *trunk, pelvis, *arms) + motors(gears)


class Humanoid(gymnasium.Env):
    """One of the two humanoids. Actions in [-1, 1], clipped there and scaled to the motors' limits."""

    metadata = {"render_modes": []}

    def __init__(self, full: bool):
        self.model = mujoco.MjModel.from_xml_string(model(full))
        self.data = mujoco.MjData(self.model)
        self.repeat = 4 if full else 1
        size = self.model.nq + self.model.nv + 6 * self.model.nbody + 3
        self.observation_space = spaces.Box(-np.inf, np.inf, (size,), np.float64)
        self.action_space = spaces.Box(-1.0, 1.0, (self.model.nu,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:] += self.np_random.normal(0, 0.01, self.model.nq)
        self.data.qvel[:] = self.np_random.normal(0, 0.1, self.model.nv)
        mujoco.mj_forward(self.model, self.data)
        return self._observation(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        action = np.clip(action, -1, 1)
        self.data.ctrl[:] = action * self.model.actuator_ctrlrange[:, 1]
        before = self.data.subtree_com[1].copy()
        mujoco.mj_step(self.model, self.data, self.repeat)
        mujoco.mj_forward(self.model, self.data)
        velocity = (self.data.subtree_com[1] - before) / (self.repeat * self.model.opt.timestep)
        observation = self._observation()
        costs = 5e-4 * np.square(action).sum() + 5e-6 * np.square(self.forces).sum() + 5e-3 * np.square(velocity[1:]).sum()
        height = self.data.qpos[2]
        fallen = not (LIMITS[0] < height < LIMITS[1] and np.isfinite(observation).all())
        return observation, velocity[0] + 0.2 - costs, fallen, False, {}

    def _observation(self):
        mujoco.mj_rnePostConstraint(self.model, self.data)  # newer MuJoCo computes the external forces on demand
        self.forces = np.clip(self.data.cfrc_ext, -1, 1)
        return np.concatenate([self.data.qpos, self.data.qvel, self.forces.flat, self.data.subtree_com[1]])


def register() -> None:
    """Make both known to gymnasium; a second call does nothing."""
    for name, full in (("RllabSimpleHumanoid-v0", False), ("RllabHumanoid-v0", True)):
        if name not in gymnasium.registry:
            gymnasium.register(name, entry_point=Humanoid, kwargs={"full": full}, max_episode_steps=1000)  # type: ignore
