"""The version of the program, which its files carry; a test compares it with pyproject.toml."""

VERSION = "0.1.0"
