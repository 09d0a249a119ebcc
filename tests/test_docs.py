"""The documents say what the program does."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

import click
import pytest

from commands.main import cli

ROOT = Path(__file__).parents[1]
METHODS = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
COMMANDS = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")


def public_methods() -> Iterator[tuple[str, str]]:
    """File and name of every public function, and every loss, that is a method of the papers."""
    files = [
        *sorted((ROOT / "annealing").rglob("*.py")),
        *sorted((ROOT / "training" / "losses").glob("*.py")),
        ROOT / "retrieval" / "metrics.py",
        ROOT / "retrieval" / "pair_metrics.py",
        ROOT / "retrieval" / "multilabel_metrics.py",
    ]
    for path in files:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if is_method(node) and not node.name.startswith("_"):
                yield str(path.relative_to(ROOT)), node.name


def is_method(node: ast.stmt) -> TypeGuard[ast.FunctionDef | ast.ClassDef]:
    """Whether it is a function, or a class whose objects are called like one."""
    if isinstance(node, ast.ClassDef):
        names = [each.name for each in node.body if isinstance(each, ast.FunctionDef)]
        return "__call__" in names and "Protocol" not in map(ast.unparse, node.bases)
    return isinstance(node, ast.FunctionDef)


def commands() -> list[click.Command]:
    context = click.Context(cli)
    found = [cli.get_command(context, name) for name in cli.list_commands(context)]
    return [command for command in found if command is not None]


@pytest.mark.parametrize(("file", "name"), list(public_methods()), ids=lambda value: str(value))
def test_every_method_has_a_row(file: str, name: str) -> None:
    assert f"| `{name}` |" in METHODS, f"docs/methods.md has no row for {file}:{name}"


def test_no_row_without_a_method() -> None:
    names = {name for _, name in public_methods()}
    rows = [line.split("`")[1] for line in METHODS.splitlines() if line.startswith("| `")]
    assert set(rows) <= names


def parts(command: click.Command) -> list[click.Command]:
    """A command, or a group with its commands."""
    return [command, *(command.commands.values() if isinstance(command, click.Group) else ())]


@pytest.mark.parametrize("command", commands(), ids=lambda command: str(command.name))
def test_every_command_is_documented_with_all_its_options(command: click.Command) -> None:
    assert f"## {command.name}\n" in COMMANDS
    section = COMMANDS.split(f"## {command.name}\n", 1)[1].split("\n## ", 1)[0]
    common = ("--project", "--json", "--device")
    for part in parts(command):
        assert part.help, f"{part.name} has no help"
        assert part is command or re.search(rf"\b{part.name}\b", section)
    for parameter in [each for part in parts(command) for each in part.params]:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            (name,) = [each for each in parameter.opts if each.startswith("--")][:1]
            assert name in common or name in section, f"{command.name} {name}"


def heading_anchors(document: Path) -> set[str]:
    """What a link into a document can name: its headings, as a reader of Markdown names them."""
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each).strip().lower().replace(" ", "-") for each in headings}


def links() -> Iterator[tuple[Path, str]]:
    """Every document, with the targets of its links that stay in the repository."""
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for part in document.read_text(encoding="utf-8").split("](")[1:]:
            target = part.split(")", 1)[0]
            if target and "://" not in target:
                yield document, target


def test_every_link_in_the_documents_leads_somewhere() -> None:
    for document, target in links():
        address, _, anchor = target.partition("#")
        file = document.parent / address if address else document
        assert file.exists(), f"{document.name}: {target}"
        if anchor:
            assert anchor in heading_anchors(file), f"{document.name}: {target}"
