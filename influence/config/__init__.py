"""The typed TOML configuration: one pydantic class a section, one a command; layers; error texts."""
