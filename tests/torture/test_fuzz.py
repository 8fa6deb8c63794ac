"""Whatever is in a file, it is read or refused in words: no traceback, no hang, no row lost."""

from __future__ import annotations

import gzip
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.customer_table import customer_table, read_customers
from features.errors import InputError
from features.reading.mapping import parse_expression
from models.base import ModelError
from regulars import settings as terms
from regulars.cli import run
from regulars.config import Config, load_config, parse_config
from regulars.jobs import open_configured_ledger
from serving.batch import write_list
from serving.id_list import read_list
from tests.torture.mutations import NASTY, Shop, damaged_toml, shop_of_csv, shop_of_parquet

pytestmark = pytest.mark.torture

CPU_SECONDS = 10
SOUND = (Path(__file__).parent / "sound.toml").read_text(encoding="utf-8")
REFUSED = (InputError, ModelError)


class Hanging(BaseException):
    """An input has kept the processor busy for too long."""


@contextmanager
def watched() -> Iterator[None]:
    """No input may take more than ten seconds of the processor, whatever else the machine does."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Hanging(f"busy for {CPU_SECONDS} seconds")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def written(shop: Shop, folder: Path) -> Path:
    folder.mkdir()
    for name, content in shop.files.items():
        (folder / name).write_bytes(content)
    (folder / "regulars.toml").write_text(shop.config, encoding="utf-8")
    return folder


def read(shop: Shop, folder: Path) -> None:
    """Open the shop; where that works, every row read is accepted or set aside."""
    try:
        ledger = open_configured_ledger(load_config(written(shop, folder)))
    except REFUSED:
        return
    for name, found in ledger.quality.tables.items():
        aside = sum(found.quarantined.values())
        held = ledger.con.con.execute(f'SELECT count(*) FROM "{name}"').fetchall()[0][0]
        assert found.read == found.accepted + aside
        assert found.accepted == held
        assert in_quarantine(folder / "quarantine" / f"{name}.parquet") == aside
        if name == shop.table and shop.rows is not None:
            assert found.read + found.left_out == shop.rows
    ledger.con.disconnect()


def in_quarantine(path: Path) -> int:
    return pq.read_metadata(path).num_rows if path.exists() else 0


@pytest.mark.parametrize("shop_of", [shop_of_csv, shop_of_parquet])
def test_every_row_of_a_broken_file_is_accepted_or_set_aside(
    shop_of: Callable[[int], Shop], rounds: Any, tmp_path: Path
) -> None:
    for seed in rounds(reduced=25, full=3_500):
        with rounds.told(seed), watched():
            read(shop_of(seed), tmp_path / str(seed))


def test_a_broken_configuration_is_refused_in_words(rounds: Any, tmp_path: Path) -> None:
    path = tmp_path / "regulars.toml"
    for seed in rounds(reduced=150, full=2_500):
        with rounds.told(seed), watched():
            path.write_bytes(damaged_toml(seed, SOUND))
            understood(lambda: load_config(path))


def understood(load: Callable[[], Config]) -> None:
    try:
        config = load()
        terms.churn_settings(config, "usual")
        terms.clv_settings(config)
        terms.decision(config)
    except REFUSED:
        return


def toml_of(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{toml_of(k)} = {toml_of(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_of, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08X}" for c in value) + '"'
    return repr(value)


KEYS = [
    (section, key)
    for section, field in Config.model_fields.items()
    if hasattr(field.annotation, "model_fields")
    for key in field.annotation.model_fields  # type: ignore[union-attr]
]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCALARS = st.booleans() | st.integers() | st.floats() | TEXT | st.dates().map(str)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def test_any_value_of_any_key_is_taken_or_refused(rounds: Any, tmp_path: Path) -> None:
    count = len(rounds(reduced=150, full=2_000))

    @settings(max_examples=count, derandomize=True, deadline=None, database=None)
    @given(st.sampled_from(KEYS), VALUES)
    def any_value(key: tuple[str, str], value: Any) -> None:
        text = f"[{key[0]}]\n{key[1]} = {toml_of(value)}\n"
        understood(lambda: parse_config(text, tmp_path / "regulars.toml"))

    any_value()


def test_any_text_is_an_expression_or_refused(rounds: Any) -> None:
    tokens = st.sampled_from(
        ["amount", "when", '"', "'", "(", ")", ",", "*", "+", "/", "::", "INT", "CASE", "WHEN",
         "THEN", "END", "SELECT", "FROM", "1e999", ";", "--", "/*", "LIKE", "IN", "read_csv",
         "lower", "CAST", "AS", "INTERVAL", "[", "]", "{", "$1", "?", "@x", ".", "\0"]
    )  # fmt: skip
    texts = st.lists(tokens, max_size=25).map(" ".join) | TEXT

    @settings(
        max_examples=len(rounds(reduced=150, full=5_000)),
        derandomize=True,
        deadline=None,
        database=None,
    )
    @given(texts)
    def any_text(text: str) -> None:
        try:
            found = parse_expression(text, {"amount": True, "when": False}, where="amount")
        except InputError:
            return
        # What is let through computes on a row, and reaches nothing else.
        with duckdb.connect(config={"enable_external_access": "false"}) as con:
            try:
                con.execute(
                    f"SELECT {found.sql} FROM (SELECT '1' AS amount, 2 AS \"when\", "
                    '1.0 AS "number of amount")'
                ).fetchall()
            except duckdb.PermissionException:
                raise
            except duckdb.Error:
                pass

    any_text()


def broken_list(seed: int, folder: Path) -> Path:
    """A list of customers, damaged by lot."""
    rng = random.Random(seed)
    ids = [f"c{i}" for i in range(rng.randint(1, 30))]
    for _ in range(rng.choice([0, 1, 3])):
        ids[rng.randrange(len(ids))] = rng.choice(NASTY)
    kind = rng.choice([".csv", ".txt", ".csv.gz", ".parquet"])
    path = folder / f"list{seed}{kind}"
    if kind == ".parquet":
        columns: Any = rng.choice([ids, [[i] for i in ids], [i.encode() for i in ids], [1.5] * 3])
        pq.write_table(pa.table({rng.choice(["customer_id", "id", "x"]): columns}), path)
        data = path.read_bytes()
    else:
        header = rng.choice(["customer_id", "id;name", "", "Customer ID,user_id", '"customer_id"'])
        ends = rng.choice(["\n", "\r\n", "\r"])
        encoding = rng.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16", "cp1252"])
        data = ends.join([header, *ids]).encode(encoding, "replace")
        data = gzip.compress(data) if kind == ".csv.gz" else data
    if rng.random() < 0.5:
        at = rng.randrange(len(data) + 1)
        data = (
            data[:at] + rng.randbytes(rng.choice([0, 1, 8])) + data[at + rng.choice([0, 1, 50]) :]
        )
    path.write_bytes(data)
    return path


def test_a_broken_list_or_table_is_read_or_refused(rounds: Any, tmp_path: Path) -> None:
    for seed in rounds(reduced=100, full=2_500):
        path = broken_list(seed, tmp_path)
        with rounds.told(seed), watched():
            try:
                ids = read_list(path)
            except InputError:
                continue
            assert len(set(ids)) == len(ids) > 0
            assert all(ids)
    for seed in rounds(reduced=20, full=500):
        shop = shop_of_csv(seed) if seed % 2 else shop_of_parquet(seed)
        name, content = next(iter(shop.files.items()))
        (tmp_path / name).write_bytes(content)
        with rounds.told(seed), watched():
            try:
                table = customer_table(read_customers(tmp_path / name))
            except InputError:
                continue
            assert table.features.index.is_unique


def test_what_is_written_can_be_read_back(tmp_path: Path) -> None:
    import pandas as pd

    ids = sorted({value.strip() for value in NASTY} - {"", "NULL", "\0"})
    ids = [value for value in ids if "\0" not in value and value.lower() not in ("nan", "nat")]
    ids = [value for value in ids if value not in ("\\N", "\ufeff", "\u00a0")]
    for name in ("list.csv", "list.csv.gz", "list.parquet"):
        write_list(pd.DataFrame({"customer_id": ids}), tmp_path / name)
        assert read_list(tmp_path / name) == ids


def test_the_command_says_it_in_one_message(
    rounds: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in rounds(reduced=6, full=300):
        shop = shop_of_csv(seed) if seed % 2 else shop_of_parquet(seed)
        folder = written(shop, tmp_path / str(seed))
        with rounds.told(seed), watched():
            code = run(["check", "-c", str(folder), *(["--json"] if seed % 3 else [])])
        said = capsys.readouterr()
        assert code in (0, 2, 3)
        assert "Traceback" not in said.err
        assert "\x1b" not in said.err + said.out


def bomb(body: bytes, folder: Path, size: int) -> Path:
    path = folder / "orders.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"customer_id,timestamp,amount\nc1,2024-01-01,5\n")
        for _ in range(size):
            file.write(body * (1_000_000 // len(body)))
        file.write(b"\nc2,2024-01-02,6\n")
    return path


@pytest.mark.parametrize("body", [b"a", b'"', b",", b"\xe9"])
def test_a_line_without_end_is_set_aside_and_not_held(
    body: bytes, tmp_path: Path, rounds: Any
) -> None:
    megabytes = 400 if len(rounds(reduced=1, full=2)) > 1 else 10
    bomb(body, tmp_path, megabytes)
    (tmp_path / "regulars.toml").write_text('[source]\nurl = "."\n')
    ledger = open_configured_ledger(load_config(tmp_path))
    found = ledger.quality.tables["transactions"]
    assert (found.accepted, dict(found.quarantined)) == (2, {"too_long": 1})


def test_a_quote_on_every_line_does_not_multiply_the_work(tmp_path: Path) -> None:
    lines = [f'"x{i},2024-01-0{i % 9 + 1},5' for i in range(4_000)]
    text = "\n".join(["customer_id,timestamp,amount", *lines, "c,2024-01-01,5"])
    (tmp_path / "orders.csv").write_text(text)
    (tmp_path / "regulars.toml").write_text('[source]\nurl = "."\n')
    with watched():
        ledger = open_configured_ledger(load_config(tmp_path))
    assert ledger.quality.tables["transactions"].quarantined["bad_quotes"] == 4_000
