"""Emulated tools: what they are, what an agent may call, what a model or a small program answers, and when they fail."""
