"""The run folder: one folder that holds all of one invocation and can be resumed."""
