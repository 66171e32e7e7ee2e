"""Reinforcement learning on fleets: every network and learner carries a leading member axis."""
