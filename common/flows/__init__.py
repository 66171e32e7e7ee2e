"""Normalizing flows: transforms, distributions and the networks that condition them. Knows no RL."""
