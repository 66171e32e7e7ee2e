"""Let Offline RL Flow: conservative agents in the latent space of a normalizing flow."""
