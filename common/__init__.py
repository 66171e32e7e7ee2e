"""What the papers share: flows (mathematics), rl (learning), lab (runs, results, statistics)."""
