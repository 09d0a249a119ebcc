"""The group of all commands, and how errors leave the program.

Exit status: 0 fine, 2 a user's error (cause, what is allowed, next step), 1 a bug (traceback).
"""

import importlib
import os
import sys

import click

from commands.options import Settings, global_options
from commands.output import show_error
from domain.errors import AnnealError

_MODULES = {
    "init": "commands.archive",
    "ingest": "commands.archive",
    "embed": "commands.steps",
    "propose": "commands.steps",
    "train": "commands.steps",
    "finetune": "commands.steps",
    "evaluate": "commands.steps",
    "round": "commands.steps",
    "search": "commands.search",
    "simulate": "commands.simulate",
    "compare-losses": "commands.compare_losses",
    "compare-triplets": "commands.triplets",
    "compare-descriptors": "commands.descriptors",
    "export": "commands.exchange",
    "import": "commands.exchange",
    "backup": "commands.backup",
    "restore": "commands.backup",
    "verify": "commands.backup",
    "worker": "commands.worker",
    "jobs": "commands.worker",
    "members": "commands.members",
    "token": "commands.tokens",
}


class _LazyGroup(click.Group):
    """Imports a command's module when it is asked for: help must not load PyTorch."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module_name = _MODULES.get(cmd_name)
        if module_name is None:
            return None
        name = cmd_name if cmd_name not in ("import", "round") else f"{cmd_name}_"
        name = name.replace("-", "_")
        command: click.Command = getattr(importlib.import_module(module_name), name)
        return command


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@global_options
@click.pass_context
def cli(ctx: click.Context, settings: Settings) -> None:
    r"""Image retrieval that follows your own notion of "similar".

    \b
    A project from a folder of images, and the app:
      python cli.py init --images DIR
      script/run
    """
    ctx.obj = settings


def main() -> int:
    """Run the command line; the exit status."""
    try:
        cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        return 130
    except AnnealError as error:
        show_error(error)
        return 2
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:  # a database that cannot be read is no bug
        said = _in_words(error)
        if said is None:
            raise
        show_error(said)
        return 2
    return 0


def _in_words(error: Exception) -> AnnealError | None:
    # Not at the top: who asks for help waits for no database
    from labeling_store.failures import in_words

    return in_words(error)
