"""Options of settings are those of their models: described and with the default that stands there."""

import re

import pytest
import typer
from typer.testing import CliRunner

from grammask.bench.settings import BenchConfig
from grammask.cli.app import app
from grammask.cli.options import setting, split, whole_numbers
from grammask.experiment.config import Config

OPTIONS = {"grammars": "grammar", "adaptations": "adapt"}  # of compare, where they are not called as their settings
SETTINGS = [
    (command, model, name, OPTIONS.get(name, name) if command == "compare" else name)
    for command, model in (("compare", Config), ("bench", BenchConfig))
    for name in model.model_fields
]


@pytest.fixture(scope="module")
def shown():
    """The help of an option, on one line, by command and flag."""
    lines = {}
    for command in ("compare", "bench"):
        page = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "400"}, color=False).output
        for line in page.splitlines():
            if found := re.search(r" (--[a-z-]+) ", line):
                lines[command, found[1]] = line
    return lines


@pytest.mark.parametrize(("command", "model", "name", "option"), SETTINGS, ids=lambda value: str(value))
def test_an_option_has_the_default_of_its_setting_and_shows_it(shown, command, model, name, option):
    parameter = {one.name: one for one in typer.main.get_command(app).commands[command].params}[option]
    field = model.model_fields[name]
    line = shown[command, parameter.opts[0]]
    assert field.description in line
    default = re.search(r"\[default: (.+?)\]", line)[1]
    if name == "max_length":  # one that isn't asked for is cut to what the model reads
        assert parameter.default is None
        assert default == f"(--positions; else {field.default}, or all that the model reads)"
        return
    assert meant(parameter.default, name) == field.default
    if isinstance(field.default, bool):
        assert default == (parameter.opts if field.default else parameter.secondary_opts)[0].removeprefix("--")
    elif field.default in (None, ()):
        assert default.startswith("(")  # says what that stands for
    else:
        values = field.default if isinstance(field.default, tuple) else (field.default,)
        assert split(default) == tuple(map(str, values))


def meant(given, name):
    """Return the value of a setting whose option is `given`."""
    if name == "threads":
        return whole_numbers(given, option="--threads", example="") or None
    if name in ("seeds", "lengths", "batch_sizes"):
        return whole_numbers(given, option=name, example="")
    if name in (
        "grammars", "strategies", "controls", "adaptations", "levels", "passes", "masks", "dtypes", "backends", "peers",
    ):  # fmt: skip
        return tuple(given) if isinstance(given, list) else split(given)
    return given


def test_an_option_says_which_values_there_are():
    assert setting(BenchConfig, "passes").help.endswith("Any of forward, training, prefill, with commas.")
    assert setting(BenchConfig, "threads").help.endswith("Several with commas.")
    assert setting(Config, "grammars", several="by repeating it").help.endswith("Several by repeating it.")
    assert setting(Config, "precision").help.endswith("One of auto, float32, bfloat16.")
    assert setting(Config, "epochs").help == Config.model_fields["epochs"].description


def test_no_help_has_a_default_that_the_terminal_takes_for_a_style():
    def options(command):
        for one in getattr(command, "commands", {}).values():
            yield from options(one)
        yield from command.params

    for option in options(typer.main.get_command(app)):
        assert "[" not in (getattr(option, "help", None) or ""), option.name
