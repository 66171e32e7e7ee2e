"""Speed, measured side by side with the libraries people would use instead: `python -m benchmarks <name>`."""
