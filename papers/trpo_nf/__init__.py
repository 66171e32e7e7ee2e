"""Tang & Agrawal 2018: Boosting Trust Region Policy Optimization by Normalizing Flows Policy."""
