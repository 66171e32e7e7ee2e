"""The workflow on a real Slurm of one machine: `make test-cluster`. Not among the other tests, for it needs root."""
