"""What a world is: its files, their checks, the templates, the state machine, the situation of one conversation."""
