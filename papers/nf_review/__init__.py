"""Normalizing flows in reinforcement learning, a review: its figures and the questions it leaves open."""
