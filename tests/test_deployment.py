"""What the files for deployment promise: they fit the command line, each other and the image."""

import re
import shlex
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest
import yaml

from regulars.cli import app

ROOT = Path(__file__).parents[1]
UNITS = ROOT / "deploy" / "systemd"
BUILD_TOOLS = {"gcc", "g++", "build-essential", "make", "curl", "git"}


def lines(path):
    """The instructions of a Dockerfile, each on one line."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.MULTILINE)
    return re.sub(r"\\\n\s*", "", text).strip().splitlines()


def check_command(words):
    """A command of Regulars that its command line takes."""
    name, *rest = words
    assert name in app.commands, f"regulars {name}"
    context = app.commands[name].make_context(name, list(rest), resilient_parsing=False)
    context.close()


@pytest.fixture(scope="module")
def compose():
    """The services of compose.yaml."""
    return yaml.safe_load((ROOT / "compose.yaml").read_text())


def test_every_image_is_pinned(compose):
    images = [service["image"] for service in compose["services"].values()]
    pinned = re.compile(r"[a-z./-]+:\d+\.\d+[\w.-]*")
    python = next(line for line in lines(ROOT / "Dockerfile") if line.startswith("ARG PYTHON="))
    assert all(pinned.fullmatch(image) for image in images), images
    assert pinned.fullmatch(f"python:{python.removeprefix('ARG PYTHON=')}")
    stages = [line for line in lines(ROOT / "Dockerfile") if line.startswith("FROM ")]
    assert {line.split()[1] for line in stages} == {"python:${PYTHON}"}


def test_the_image_runs_without_root_and_without_tools():
    every = lines(ROOT / "Dockerfile")
    last = every[max(i for i, line in enumerate(every) if line.startswith("FROM ")) :]
    user = [line.split()[1] for line in last if line.startswith("USER ")]
    assert user == ["10001:10001"]
    assert not any(line.startswith("USER ") for line in every if line not in last)
    text = " ".join(last)
    assert not BUILD_TOOLS & set(re.split(r"[\s&;]+", text))
    assert "pip uninstall" in text
    assert any(line.startswith("HEALTHCHECK ") for line in last)
    assert all("--require-hashes" in line for line in every if "-r requirements.lock" in line)


def test_the_image_is_built_from_files_that_are_there_and_sent():
    allowed = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = set()
    for line in lines(ROOT / "Dockerfile"):
        if line.startswith("COPY ") and "--from" not in line:
            copied |= {name.rstrip("/") for name in line.split()[1:-1]}
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)
    packages = re.search(r"module-name = (\[.*\])", (ROOT / "pyproject.toml").read_text())
    assert packages
    assert set(re.findall(r'"(\w+)"', packages[1])) <= copied


def pins(path):
    """Package -> version of a lock."""
    found = re.findall(r"^([a-z0-9._-]+)(?:\[.*?\])?==([^ ;\\\n]+)", path.read_text(), re.MULTILINE)
    return dict(found)


def test_the_lock_of_the_image_is_a_part_of_the_lock():
    ours, whole = pins(ROOT / "deploy" / "requirements.lock"), pins(ROOT / "requirements.lock")
    assert {name: whole.get(name) for name in ours} == ours
    assert not {"pytest", "mypy", "ruff", "hypothesis"} & set(ours)
    assert {"mlflow", "psycopg-binary", "lightgbm", "pymc"} <= set(ours)


def test_services_are_closed_wait_for_each_other_and_say_whether_they_are_well(compose):
    for name, service in compose["services"].items():
        if name != "postgres":
            assert service["read_only"] is True
            assert service["cap_drop"] == ["ALL"]
            assert service["security_opt"] == ["no-new-privileges:true"]
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), port
        for other, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            assert "healthcheck" in compose["services"][other]
        if "jobs" not in service.get("profiles", ()):
            assert "healthcheck" in service, name
        for volume in service.get("volumes", ()):
            source = re.sub(r"\$\{\w+:-(.*?)\}", r"\1", volume).partition(":")[0]
            assert source.startswith(".") or source in compose["volumes"], volume
        assert set(service.get("secrets", ())) <= set(compose["secrets"])


def test_no_secret_is_written_down(compose):
    text = (ROOT / "compose.yaml").read_text()
    assert not re.search(r"://[^/@\s]+:[^/@\s]+@", text)
    for service in compose["services"].values():
        for key, value in service.get("environment", {}).items():
            if "PASSWORD" in key:
                assert str(value).startswith(("/run/secrets/", "${")), key


def test_services_run_commands_that_there_are(compose, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ours = [s for s in compose["services"].values() if s["image"].startswith("regulars:")]
    for service in ours:
        if "entrypoint" not in service:
            check_command(service["command"])


@pytest.mark.slow
def test_the_mlflow_server_is_started_with_options_that_there_are(compose):
    from mlflow.cli import cli

    server = compose["services"]["mlflow"]["command"][0]
    words = shlex.split(server[server.index("mlflow server") :])
    known = {o for p in cli.commands["server"].params for o in (*p.opts, *p.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= known


def test_units_and_the_crontab_run_commands_that_there_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for unit in UNITS.glob("regulars-*.service"):
        text = unit.read_text()
        command = re.search(r"^ExecStart=(.*)$", text, re.MULTILINE)
        assert command
        words = shlex.split(command[1])
        if words[0] == "/opt/regulars/bin/regulars":
            check_command(words[1:])
            assert "OnFailure=regulars-alert@%n.service" in text
            assert "\nUser=regulars\n" in text
    found = re.findall(r"\$LOCKED regulars ((?:train|score|monitor)[^)]*?) 2>&1", crontab())
    assert len(found) == 3
    for words in found:
        check_command(words.split())


def crontab():
    """The example for cron."""
    return (ROOT / "deploy" / "crontab").read_text()


def test_each_timer_has_its_service():
    for timer in UNITS.glob("*.timer"):
        parsed = ConfigParser(strict=False)
        parsed.read(timer)
        assert parsed["Timer"]["Persistent"] == "true"
        assert timer.with_suffix(".service").exists()
    assert len(list(UNITS.glob("*.timer"))) == 3


def test_systemd_understands_the_units(tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    names = []
    for unit in UNITS.iterdir():
        # The programs are not installed where this runs.
        text = re.sub(
            r"^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text(), flags=re.MULTILINE
        )
        (tmp_path / unit.name).write_text(text)
        names.append(str(tmp_path / unit.name))
    done = subprocess.run(
        ["systemd-analyze", "verify", *names], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_the_alert_says_why(tmp_path):
    for name, text in {
        "journalctl": 'echo "three findings"',
        "mail": 'echo "$2 to $3"; cat',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "MONITOR_INVOCATION_ID": "1"}
    for status, words in (("3", "needs a person"), ("2", "wrong input"), ("1", "failed")):
        done = subprocess.run(
            [str(ROOT / "deploy" / "alert"), "regulars-monitor.service"],
            env={**environment, "MONITOR_EXIT_STATUS": status},
            capture_output=True,
            text=True,
            check=True,
        )
        assert words in done.stdout.splitlines()[0]
        assert "three findings" in done.stdout
