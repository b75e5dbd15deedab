"""Looking at results: figures."""
