"""Lists of customer ids as people have them."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import InputError
from features.reading.values import MISSING
from serving import id_list
from serving.batch import write_list
from serving.id_list import read_list


@settings(deadline=None)
@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
        .map(str.strip)
        .filter(lambda text: text and text.lower() not in MISSING),
        min_size=1,
        max_size=6,
        unique=True,
    ).filter(lambda ids: id_list._without_decimals(ids) == ids)
)
def test_a_list_written_here_is_read_back_whatever_the_ids(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("ids")
    frame = pd.DataFrame({"customer_id": ids, "clv": range(len(ids))})
    for name in ("list.csv", "list.csv.gz", "list.parquet"):
        assert read_list(write_list(frame, folder / name)) == ids


@pytest.mark.parametrize(
    ("content", "ids"),
    [
        ("customer_id\n3\n1\n2\n", ["3", "1", "2"]),
        ("\ufeffCustomer ID;name\r\n13085.0;x\r\n 13086.00 ;y\r\n", ["13085", "13086"]),
        ("name\tuser_id\na\tu1\nb\tu2\n", ["u1", "u2"]),
        ('name,customer_id\n"a, b","x, y"\n', ["x, y"]),
        ("A1\nA2\n", ["A1", "A2"]),
        ("13085\n\n", ["13085"]),
        ("id\n007\n1e5\n13085.0\n", ["007", "1e5", "13085.0"]),
    ],
    ids=["plain", "semicolon and bom", "tab", "quoted", "no header", "empty end", "kept as is"],
)
def test_lists_as_people_have_them(tmp_path: Path, content: str, ids: list[str]) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(content.encode())
    assert read_list(path) == ids
    packed = tmp_path / "list.csv.gz"
    packed.write_bytes(gzip.compress(content.encode()))
    assert read_list(packed) == ids
    text = tmp_path / "list.txt"
    text.write_bytes(content.encode())
    assert read_list(text) == ids


@pytest.mark.parametrize(
    ("values", "ids"),
    [
        (pd.Series([13085.0, 2.0]), ["13085", "2"]),
        (pd.Series([13085, 2]), ["13085", "2"]),
        (pd.Series(["a", "b"]).astype("category"), ["a", "b"]),
        (pd.Series(["1.0", "b"], dtype="str"), ["1", "b"]),
        (pd.Series([1.0, 2.5]), ["1.0", "2.5"]),
    ],
    ids=["float", "int", "category", "text", "no whole numbers"],
)
def test_lists_in_parquet(tmp_path: Path, values: pd.Series, ids: list[str]) -> None:
    path = tmp_path / "list.parquet"
    pd.DataFrame({"x": 1, "Customer ID": values}).to_parquet(path)
    assert read_list(path) == ids


def parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, "There is no file"),
        ("list.xlsx", b"x", "cannot be read from this kind"),
        ("list.csv", b"", "the list is empty"),
        ("list.csv", b"\n\n", "the list is empty"),
        ("list.csv", b"customer_id\n", "the list is empty"),
        ("list.csv", b"name,city\na,b\n", "no column of customer ids among: name, city"),
        ("list.csv", b"customer_id,x\na,1\n,2\nb,3\n , 4\n", "no customer id in rows 3, 5"),
        ("list.csv", b"customer_id\na\n\nb\nNaN\n", "no customer id in rows 3, 5"),
        ("list.csv", b"customer_id\na\nb\na\na\n", "given more than once: a in rows 2, 4, 5"),
        ("list.csv", b'customer_id\n"a\nb\n', "cannot be read"),
        ("list.csv", b"customer_id\n7.0\n7.00\n", "7 in rows 2, 3"),
        ("list.csv", b"customer_id\n\xff\xfe\n", "not UTF-8"),
        ("list.csv", b"customer_id\na\0b\n", "not a text file"),
        ("list.csv", b"customer_id\n" + b"x" * 200_000, "line 2 cannot be read"),
        ("list.csv", b"customer id,Customer ID\na,b\n", "any of them could"),
        ("list.csv.gz", b"not packed", "cannot be read"),
        ("list.csv.gz", gzip.compress(b"customer_id\na\n", mtime=0)[:-6], "cannot be read"),
        ("list.parquet", b"PAR1 garbage", "cannot be read"),
        ("list.parquet", parquet(pd.DataFrame({"x": [1]})), "no column of customer ids"),
        ("list.parquet", parquet(pd.DataFrame({"customer_id": [True]})), "holds bool"),
        (
            "list.parquet",
            parquet(pd.DataFrame({"customer_id": [1.0, np.nan]})),
            "no customer id in row 2",
        ),
    ],
)  # fmt: skip
def test_a_broken_list_gives_one_clear_message(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_list(path)
    assert message in caught.value.message
    assert name in caught.value.message


def test_many_duplicates_are_counted_and_the_first_named(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("customer_id\n" + "".join(f"c{i}\nc{i}\n" for i in range(9)))
    with pytest.raises(InputError, match=r"9 customer ids .*c4 in rows 10, 11; and 4 more"):
        read_list(path)
