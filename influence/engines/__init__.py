"""Where tokens come from: one protocol, and an engine for each kind of model behind it."""
