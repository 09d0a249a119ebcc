"""One version for the program and the package."""

import tomllib
from pathlib import Path

from domain.version import VERSION


def test_the_program_has_the_version_of_the_package() -> None:
    settings = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    assert settings["project"]["version"] == VERSION
