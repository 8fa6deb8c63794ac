"""The entry points of MLproject are commands of the command line."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from regulars.cli import app

PROJECT = yaml.safe_load((Path(__file__).parents[1] / "MLproject").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", sorted(set(PROJECT["entry_points"]) - {"main"}))
def test_an_entry_point_is_a_command_with_these_options(name):
    entry = PROJECT["entry_points"][name]
    defaults = {key: str(spec["default"]) for key, spec in entry["parameters"].items()}
    words = shlex.split(entry["command"].format(**defaults))
    assert words[:4] == ["python", "-m", "regulars", name]
    # Parsing refuses an unknown option and a default of the wrong type.
    app.commands[name].make_context(name, words[4:])
    assert set(re.findall(r"{(\w+)}", entry["command"])) == set(defaults)
