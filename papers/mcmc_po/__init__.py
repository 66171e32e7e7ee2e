"""MCMC Policy Optimization: Hamiltonian and Langevin-flow policies with PID-controlled trust regions."""
