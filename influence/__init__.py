"""How does feedback bend a language model? One command, `influence`, and the library behind it."""

__version__ = "0.1.0"
