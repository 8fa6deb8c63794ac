"""Customers taken out of files: nobody else is touched, and their bytes are gone."""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import InputError
from features.reading.values import MISSING
from serving.batch import write_list
from serving.forget.files import from_list, from_page, from_quarantine

ODD = [
    "=1+1",
    'a "b", c',
    "x\ny",
    "\u0645\u0631\u062d\u0628\u0627",
    "\U0001f600",
    "-5",
    "a'b",
    "A;B|C",
]

IDS = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
    .map(str.strip)
    .filter(lambda text: text and text.lower() not in MISSING),
    min_size=2,
    max_size=6,
    unique=True,
)


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet"])
@pytest.mark.parametrize("who", ODD)
def test_an_odd_id_is_found_and_only_its_row_goes(tmp_path: Path, name: str, who: str) -> None:
    frame = pd.DataFrame({"clv": range(len(ODD)), "customer_id": ODD})
    path = write_list(frame, tmp_path / name)
    assert from_list(path, {who}, apply=False) == ({who}, 1)
    assert from_list(path, {who}, apply=True) == ({who}, 1)
    left = write_list(frame[frame["customer_id"] != who], tmp_path / f"left-{name}")
    if not name.endswith(".parquet"):
        read = gzip.open if name.endswith(".gz") else open
        with read(path, "rb") as one, read(left, "rb") as other:  # type: ignore[operator]
            assert one.read() == other.read()
    assert from_list(path, {who}, apply=True) == (set(), 0)


@settings(max_examples=30)
@given(IDS)
def test_whoever_is_asked_for_goes_and_everybody_else_stays(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("lists")
    gone, kept = set(ids[::2]), ids[1::2]
    frame = pd.DataFrame({"customer_id": ids, "n": range(len(ids))})
    for name in ("a.csv", "a.parquet"):
        path = write_list(frame, folder / name)
        found, rows = from_list(path, gone, apply=True)
        assert found == gone
        assert rows == len(gone)
        assert from_list(path, set(ids), apply=False)[0] == set(kept)


def test_the_rest_of_a_foreign_file_stays_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "theirs.csv"
    path.write_bytes(b'\xef\xbb\xbfName;Customer ID;x\r\n"a;\r\nb";7;1\r\nc;8;2\r\n\r\nd;9.0;3')
    assert from_list(path, {"8", "9"}, apply=True) == ({"8", "9"}, 2)
    assert path.read_bytes() == b'\xef\xbb\xbfName;Customer ID;x\r\n"a;\r\nb";7;1\r\n\r\n'


def test_no_byte_of_the_id_is_left_in_a_parquet_file(tmp_path: Path) -> None:
    ids = [f"CUST-{i:05d}" for i in range(1000)]
    table = pa.table({"customer_id": pa.array(ids).dictionary_encode(), "n": pa.array(range(1000))})
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, compression="none", row_group_size=300)
    # The last one stands in the statistics, too.
    for who in ("CUST-00500", "CUST-00999"):
        assert who.encode() in path.read_bytes()
        assert from_list(path, {who}, apply=True)[1] == 1
        assert who.encode() not in path.read_bytes()
    back = pq.read_table(path)
    assert back.schema.field("customer_id").type == table.schema.field("customer_id").type
    assert back.num_rows == 998


def test_numbers_are_ids_whatever_their_type(tmp_path: Path) -> None:
    for values in ([13085, 13086], [13085.0, 13086.0], ["13085.0", "13086.0"]):
        path = tmp_path / "a.parquet"
        pd.DataFrame({"customer_id": values}).to_parquet(path)
        assert from_list(path, {"13085"}, apply=True) == ({"13085"}, 1)
        assert len(pd.read_parquet(path)) == 1


def test_what_is_no_list_is_refused_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for content in (b"a,b\n1,2\n", b"customer_id\n\xff\xfe\n"):
        path.write_bytes(content)
        with pytest.raises(InputError):
            from_list(path, {"1"}, apply=True)
        assert path.read_bytes() == content
    (tmp_path / "b.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match="cannot be read"):
        from_list(tmp_path / "b.parquet", {"1"}, apply=True)


def test_quarantined_rows_go_by_any_cell_and_by_a_field_of_a_broken_line(tmp_path: Path) -> None:
    path = tmp_path / "transactions.parquet"
    frame = pd.DataFrame(
        {
            "source_file": "orders.csv",
            "row_number": [1, 2, 3, 4],
            "reason": "bad_amount",
            "Kunde": ["A-1", "B-2", None, None],
            "raw_line": [None, None, '2024-01-01,"A-1",x', "A-12,1"],
        }
    )
    frame.to_parquet(path)
    assert from_quarantine(path, {"A-1"}, apply=True) == ({"A-1"}, 2)
    assert pd.read_parquet(path)["row_number"].tolist() == [2, 4]


def test_a_customer_leaves_the_list_of_a_page(tmp_path: Path) -> None:
    row = '    <tr>\n      <th scope="row"><bdi class="id">{}</bdi></th>\n<td>{}</td>\n    </tr>\n'
    path = tmp_path / "report.html"
    names = ("7", "77", "a&amp;&lt;b")
    page = "<tbody>\n{}</tbody>7"
    path.write_text(page.format("".join(row.format(name, "worth") for name in names)))
    assert from_page(path, {"7", "a&<b", "z"}, apply=True) == ({"7", "a&<b"}, 2)
    assert path.read_text().replace("\n", "") == page.format(row.format("77", "worth")).replace(
        "\n", ""
    )
