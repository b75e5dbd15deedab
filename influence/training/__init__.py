"""Training an agent on what simulated users liked: selection, datasets, the trainer, the loop."""
