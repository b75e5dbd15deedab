"""Feedback loops at deployment: how an agent's policy gives way while its tools fail it."""
