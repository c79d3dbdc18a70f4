"""Run a command of the `gan-space` program in this process."""

from __future__ import annotations

from gan_space.cli.app import main


def run(*arguments, capsys) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command."""
    capsys.readouterr()
    code = main([str(argument) for argument in arguments])
    return code, *capsys.readouterr()
