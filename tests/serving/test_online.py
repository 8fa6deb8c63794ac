"""Model servers: the numbers of batch scoring, and 400 with the reason for what is no request."""

import asyncio
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
import uvicorn
from mlflow.pyfunc import scoring_server
from uvicorn.server import ServerState

from features.errors import InputError
from regulars.cli import run
from serving.online import HEADER, Gate, PromptProtocol, check_address, gated

JSON = "application/json"


def ask(app, body, kind=JSON, method="POST", path="/invocations"):
    """Status, answer and headers of one request, without a network."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = [(b"content-type", kind.encode())] if kind else []
    waiting = [{"type": "http.request", "body": content, "more_body": False}]
    sent = []

    async def receive():
        return waiting.pop() if waiting else await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "http_version": "1.1", "method": method, "path": path,
        "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http",
        "headers": headers, "client": ("test", 1), "server": ("test", 80),
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    text = b"".join(message.get("body", b"") for message in sent[1:]).decode()
    return sent[0]["status"], text, dict(sent[0]["headers"])


def strict(text):
    """JSON as its standard has it: no NaN, no infinity."""

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def split(frame, **more):
    """A request; what is missing is null."""
    rows = frame.astype(object).where(frame.notna(), None).to_numpy().tolist()
    return {"dataframe_split": {"columns": list(frame), "data": rows}, **more}


@pytest.fixture
def servers(registered, monkeypatch):
    """Both models behind the gate and behind MLflow's server alone."""
    # MLflow sets it for good when it makes a server.
    monkeypatch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "false")
    return {
        model.card["kind"]: (gated(model), scoring_server.init(model.pyfunc))
        for model in registered
    }


@pytest.fixture
def rows(registered, features, rfm):
    """Some customers as each model wants them."""
    churn = registered[0]
    return {
        "churn": features[churn.card["feature_names"]].head(5),
        "clv": rfm[["frequency", "recency", "T", "monetary_value"]].head(5),
    }


def test_requests_take_turns():
    busy, most = 0, 0

    async def app(scope, receive, send):
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0.01)
        busy -= 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    gate, done = Gate(app, "model/1"), []

    async def one():
        async def receive():
            return {"type": "http.request", "body": b"{}", "more_body": False}

        async def send(message):
            done.append(message["type"])

        kind = [(b"content-type", JSON.encode())]
        scope = {"type": "http", "method": "POST", "path": "/invocations", "headers": kind}
        await gate(scope, receive, send)

    async def many():
        await asyncio.gather(*(one() for _ in range(5)))

    asyncio.run(many())
    assert (done.count("http.response.body"), most) == (5, 1)


def test_answers_are_sent_at_once_on_a_socket_that_workers_share():
    """uvicorn opens it without naming TCP, and asyncio then leaves Nagle's algorithm on."""
    config = uvicorn.Config(lambda: None, host="127.0.0.1", port=0, log_level="warning")
    shared, found = config.bind_socket(), []

    class Seen(PromptProtocol):
        def connection_made(self, transport):
            super().connection_made(transport)
            connection = transport.get_extra_info("socket")
            found.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    async def connect():
        def protocol():
            return Seen(config, ServerState(), {})

        loop = asyncio.get_running_loop()
        server = await loop.create_server(protocol, sock=shared)
        _, writer = await asyncio.open_connection(*shared.getsockname())
        while not found:
            await asyncio.sleep(0.01)
        writer.close()
        server.close()

    config.load()
    asyncio.run(connect())
    assert found[0]


@pytest.mark.parametrize("kind", ["churn", "clv"])
def test_answers_are_those_of_batch_scoring(servers, registered, rows, kind):
    model = dict(zip(("churn", "clv"), registered, strict=True))[kind]
    expected = model.predict(rows[kind])
    for app in servers[kind]:
        status, text, _ = ask(app, split(rows[kind]))
        assert status == 200, text
        found = pd.DataFrame(strict(text)["predictions"])
        pd.testing.assert_frame_equal(
            found, expected.reset_index(drop=True), check_exact=True, check_dtype=False
        )
    assert ask(servers[kind][0], split(rows[kind]))[2][HEADER.lower().encode()] == (
        model.label.encode()
    )


def test_what_is_not_known_is_null(servers):
    nobody = {"frequency": [0.0], "recency": [0.0], "T": [0.0], "monetary_value": [None]}
    for app in servers["clv"]:
        status, text, _ = ask(app, split(pd.DataFrame(nobody)))
        assert status == 200, text
        assert strict(text)["predictions"][0]["p_alive"] is None
        asked = split(pd.DataFrame(nobody), params={"horizon_days": math.inf})
        status, text, _ = ask(app, asked)
        assert status == 200, text
        assert strict(text)["predictions"][0]["expected_purchases"] is None


def changed(frame, column, value):
    asked = split(frame)
    asked["dataframe_split"]["data"][0][list(frame).index(column)] = value
    return asked


@pytest.mark.parametrize("kind", ["churn", "clv"])
def test_bad_values_are_400_with_the_reason(servers, rows, kind):
    frame = rows[kind]
    column = {"churn": "days_since_last", "clv": "T"}[kind]
    bad = {
        column: split(frame.drop(columns=column)),
        "could not convert string": changed(frame, column, "many"),
        "too large": changed(frame, column, 10**400),
        "float": changed(frame, column, {"a": 1}),
        "sequence": changed(frame, column, [1, 2]),
        "inf": json.dumps(changed(frame, column, math.inf)).encode(),
        "JSON": b"",
        "double quotes": b'{"dataframe_split": {',
        "list": b"[1, 2]",
        "columns passed": {"dataframe_split": {"columns": list(frame), "data": [[1.0]]}},
        "dataframe_split": {"rows": []},
    }
    for reason, asked in bad.items():
        for app in servers[kind]:
            status, text, _ = ask(app, asked)
            assert (status, reason in text) == (400, True), (reason, text)
            assert "Traceback" not in text


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"horizon_days": -1}, "horizon_days is -1"),
        ({"margin": "much"}, "margin"),
        ({"annual_discount_rate": -2}, "annual_discount_rate"),
        ({"quantiles": "0.1,2"}, "level 2.0"),
        ({"cutoff": "2025-99-99"}, "2026-01-31"),
        ({"interval": 1.5}, "interval is 1.5"),
    ],
)
def test_bad_parameters_are_400_with_the_reason(servers, rows, params, reason):
    for app in servers["clv"]:
        status, text, _ = ask(app, split(rows["clv"], params=params))
        assert (status, reason in text) == (400, True), text


def test_the_gate_keeps_out_what_mlflow_lets_pass(servers, rows):
    gate = servers["clv"][0]
    asked = split(rows["clv"], params={"horizon": 30})
    status, text, headers = ask(gate, asked)
    assert (status, "Unknown parameter horizon" in text) == (400, True)
    assert "horizon_days" in text
    assert HEADER.lower().encode() in headers
    for body, reason in (
        (b"[" * 100_000, "nests too deeply"),
        (b"[" + b"9" * 9999 + b"]", "digits"),
    ):
        status, text, _ = ask(gate, body)
        assert (status, reason in text) == (400, True), text
    assert "no dictionary" in ask(servers["churn"][0], split(rows["churn"], params=[1]))[1]
    small = Gate(gate.app, gate.label, gate.params, limit=100)
    status, text, _ = ask(small, split(rows["clv"]))
    assert (status, "larger than 100 bytes" in text) == (413, True)


@pytest.mark.parametrize(
    ("asked", "status", "code", "reason"),
    [
        ({"path": "/predict"}, 404, "ENDPOINT_NOT_FOUND", "POST /invocations, GET /ping"),
        ({"method": "GET"}, 405, "BAD_REQUEST", "/invocations takes POST only"),
        ({"path": "/ping"}, 405, "BAD_REQUEST", "/ping takes GET only"),
        ({"kind": None}, 415, "INVALID_PARAMETER_VALUE", "Content-Type is missing"),
        ({"kind": "text/plain"}, 415, "INVALID_PARAMETER_VALUE", "'text/plain'"),
        ({"kind": f"{JSON}; charset=latin-1"}, 415, "INVALID_PARAMETER_VALUE", "UTF-8"),
        ({"kind": f"{JSON}; odata=x"}, 415, "INVALID_PARAMETER_VALUE", "odata"),
    ],
)
def test_what_is_no_request_gets_one_form_of_answer(servers, rows, asked, status, code, reason):
    found, text, headers = ask(servers["clv"][0], split(rows["clv"]), **asked)
    said = strict(text)
    assert (found, said["error_code"], reason in said["message"]) == (status, code, True), text
    assert HEADER.lower().encode() in headers
    assert (b"allow" in headers) == (status == 405)


def test_health_and_version_pass_the_gate(servers):
    for path in ("/ping", "/health", "/version"):
        assert ask(servers["clv"][0], b"", method="GET", path=path)[0] == 200
    kind = "application/json; charset=UTF-8"
    assert ask(servers["clv"][0], b"[1, 2]", kind)[0] == 400


def test_csv_is_answered_too(servers, rows, registered):
    csv = rows["clv"].to_csv(index=False).encode()
    for app in servers["clv"]:
        status, text, _ = ask(app, csv, "text/csv")
        assert status == 200, text
        assert len(strict(text)["predictions"]) == len(rows["clv"])


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_an_address_in_use_is_refused_in_words():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"127.0.0.1, port {port}"):
            check_address("127.0.0.1", port)
    check_address("127.0.0.1", port)


def test_it_is_said_that_a_model_is_served_once_it_is_loaded(
    full_registry, tmp_path, monkeypatch, capsys
):
    config = tmp_path / "regulars.toml"
    config.write_text(f'[mlflow]\ntracking_uri = "{full_registry.uri}"\n')
    command = ["serve", "absent", "-c", str(config), "--port", str(free_port())]
    assert run(command) == 2
    assert "Serving" not in capsys.readouterr().out
    monkeypatch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "false")
    monkeypatch.setattr("uvicorn.run", lambda app, **_: print("listens"))
    command[1] = "clv"
    assert run(command) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("Serving regulars-clv/")
    assert second == "listens"


def post(port, body):
    address = f"http://127.0.0.1:{port}/invocations"
    request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": JSON})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def wait_for(process, port, log):
    """Until the server answers; an assertion with its log if it never does."""
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5):
                return
        except OSError:
            assert process.poll() is None, log.read_text()
            time.sleep(0.2)
    raise AssertionError(log.read_text())


@pytest.mark.slow
@pytest.mark.parametrize("way", ["mlflow models serve", "regulars serve"])
def test_a_real_server_answers_many_at_once(full_registry, rows, registered, tmp_path, way):
    port, log = free_port(), tmp_path / "log"
    if way == "regulars serve":
        config = tmp_path / "regulars.toml"
        config.write_text(f'[mlflow]\ntracking_uri = "{full_registry.uri}"\n')
        command = ["-m", "regulars", "serve", "clv", "-c", str(config), "--port", str(port)]
    else:
        folder = full_registry.folder("regulars-clv")
        options = ["--env-manager", "local", "--port", str(port)]
        command = ["-m", "mlflow", "models", "serve", "-m", str(folder), *options]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # where uvicorn is
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, *command],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PATH": path, "PYTHONPATH": str(Path(__file__).parents[2])},
            start_new_session=True,
        )
    try:
        wait_for(process, port, log)
        expected = registered[1].predict(rows["clv"])["clv"].tolist()
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda _: post(port, split(rows["clv"])), range(60)))
        for status, text in answers:
            assert status == 200, text
            assert [row["clv"] for row in strict(text)["predictions"]] == expected
        status, text = post(port, split(rows["clv"].drop(columns="T")))
        assert (status, "missing inputs ['T']" in text) == (400, True), text
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
