"""Models behind somebody's API: what is asked, what may be asked, what it costs, and what may come back instead of an answer."""
