"""ARSAC: Sequential Autoregressive Flow-Based Policies (Guerra & Marino, 2020)."""
