"""What a shop's names hold acts on no terminal."""

from __future__ import annotations

import io
import json

import pytest

from features.errors import InputError
from regulars import console
from regulars.cli import run

EVIL = (
    "\x1b[2J",
    "\x1b]0;renamed\x07",
    "\x9b31m",
    "\x08\x08\x08",
    "\x7f",
    "[bold red]x[/]",
    "[/nothing]",
    "[link=http://evil.example]x[/link]",
    "\u202egnp.exe",
    "\u2066x",
    "x\ry",
    ":boom:",
)
ACTING = set("\x1b\x9b\x07\x08\x7f\r\u202e\u2066")


def assert_inert(text: str) -> None:
    assert not ACTING & set(text)
    assert "[bold red]x[/]" in text  # as it was written, not as markup


def test_tables_notes_and_lines_show_what_would_act(capsys: pytest.CaptureFixture[str]) -> None:
    console.show_table(EVIL[0], ["id", EVIL[1]], [[text, i] for i, text in enumerate(EVIL)])
    for text in EVIL:
        console.say(text)
        console.Plain().note(text)
        with console.Plain().task(text, 2):
            pass
    said = capsys.readouterr()
    assert_inert(said.out)
    assert_inert(said.err)
    assert ":boom:" in said.out


def test_a_terminal_gets_only_its_own_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = console.Terminal()
    screen = io.StringIO()
    terminal._progress.console.file = screen
    for text in EVIL:
        terminal.note(text)
        with terminal.task(text, 2) as task:
            task.advance()
    assert_inert(screen.getvalue())


def test_json_stays_json(capsys: pytest.CaptureFixture[str]) -> None:
    console.show_json({text: list(EVIL) for text in EVIL})
    out = capsys.readouterr().out
    assert_inert(out)
    assert json.loads(out) == {text: list(EVIL) for text in EVIL}


def test_errors_show_it_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: object) -> None:
        raise InputError(" ".join(EVIL), "Look.")

    monkeypatch.setattr("regulars.config.load_config", refuse)
    assert run(["check"]) == 2
    err = capsys.readouterr().err
    assert_inert(err)
    assert err.endswith("\nLook.\n")
