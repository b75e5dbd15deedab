"""Questions put to a model about a transcript, and what is made of its answers."""
