"""Conversations: how one runs, how thousands run at once, what is kept of each."""
