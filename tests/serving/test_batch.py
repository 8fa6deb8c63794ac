"""Lists of customers as files: whole or not at all, and safe to open."""

from __future__ import annotations

import gzip
import io
import os
import stat
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import InputError
from features.reading.values import MISSING
from serving import batch
from serving.batch import check_output, read_list, write_list, write_text, writing

FRAME = pd.DataFrame(
    {
        "customer_id": pd.Series(["13085", "=1+1", 'naïve, "q"', "x\ny"], dtype="str"),
        "as_of": pd.to_datetime(["2024-05-01"] * 4),
        "clv": [-1.5, np.nan, 0.1 + 0.2, 1e15],
        "reason_1": pd.Series(["@SUM(A1)", None, "-", "plain"], dtype="str"),
    }
)


def left_behind(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["list.parquet", "LIST.PARQUET"])
def test_parquet_gives_back_the_same_table(tmp_path: Path, name: str) -> None:
    path = write_list(FRAME, tmp_path / name)
    pd.testing.assert_frame_equal(pd.read_parquet(path), FRAME)
    assert left_behind(tmp_path) == {name}


def test_csv_holds_every_digit_and_dates_without_a_time(tmp_path: Path) -> None:
    path = write_list(FRAME, tmp_path / "list.csv")
    back = pd.read_csv(path, dtype={"customer_id": "str"})
    np.testing.assert_array_equal(back["clv"], FRAME["clv"])
    assert list(back["as_of"]) == ["2024-05-01"] * 4
    assert back["customer_id"][2] == 'naïve, "q"'


def test_csv_text_that_a_spreadsheet_would_run_is_quoted_and_numbers_are_not(
    tmp_path: Path,
) -> None:
    path = write_list(FRAME, tmp_path / "list.csv")
    back = pd.read_csv(path, dtype={"customer_id": "str"})
    assert back["customer_id"][1] == "'=1+1"
    assert list(back["reason_1"].iloc[[0, 2, 3]]) == ["'@SUM(A1)", "'-", "plain"]
    assert back["clv"][0] == -1.5


@pytest.mark.parametrize(
    "text",
    ["=A1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "\x00=1", "'=1", "  =1", "＝1", "－1"],
)
def test_every_start_of_a_formula_is_disarmed(tmp_path: Path, text: str) -> None:
    path = write_list(pd.DataFrame({text: [text]}), tmp_path / "list.csv")
    assert path.read_bytes().decode() == f'"\'{text}"\n"\'{text}"\n'


@settings(deadline=None)
@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
        .map(str.strip)
        .filter(lambda text: text and text.lower() not in MISSING),
        min_size=1,
        max_size=6,
        unique=True,
    ).filter(lambda ids: batch._without_decimals(ids) == ids)
)
def test_a_list_written_here_is_read_back_whatever_the_ids(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("ids")
    frame = pd.DataFrame({"customer_id": ids, "clv": range(len(ids))})
    for name in ("list.csv", "list.csv.gz", "list.parquet"):
        assert read_list(write_list(frame, folder / name)) == ids


def test_gzip_bytes_do_not_depend_on_the_clock(tmp_path: Path) -> None:
    first = write_list(FRAME, tmp_path / "a.csv.gz").read_bytes()
    second = write_list(FRAME, tmp_path / "b.csv.gz").read_bytes()
    assert first == second
    assert gzip.decompress(first) == write_list(FRAME, tmp_path / "c.csv").read_bytes()


def test_another_suffix_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"list\.xlsx") as caught:
        write_list(FRAME, tmp_path / "list.xlsx")
    assert ".parquet, .csv or .csv.gz" in caught.value.hint
    with pytest.raises(InputError, match=r"list\.xlsx"):
        check_output(tmp_path / "list.xlsx")
    assert left_behind(tmp_path) == set()


def test_a_missing_folder_and_a_folder_as_target_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    for place, message in (("nowhere/list.csv", "no folder"), ("folder.csv", "not a file")):
        with pytest.raises(InputError, match=message):
            write_list(FRAME, tmp_path / place)
        with pytest.raises(InputError, match=message):
            check_output(tmp_path / place)
    check_output(tmp_path / "list.csv")
    assert left_behind(tmp_path) == {"folder.csv"}


def test_a_page_is_written_as_utf_8(tmp_path: Path) -> None:
    path = write_text("<p>£ naïve</p>\n", tmp_path / "page.html")
    assert path.read_bytes().decode() == "<p>£ naïve</p>\n"


@pytest.mark.parametrize("name", ["list.csv", "list.csv.gz", "list.parquet"])
def test_a_write_that_fails_leaves_the_old_file_whole(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_list(FRAME, tmp_path / name)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device"):
        write_list(FRAME.head(1), path)
    assert path.read_bytes() == before
    assert left_behind(tmp_path) == {name}


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_error_in_the_middle_leaves_the_old_file_whole(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "page.html"
    path.write_text("old")

    def fail() -> None:
        with writing(path) as file:
            file.write(b"half of the new")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "old"
    assert left_behind(tmp_path) == {"page.html"}


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError, match="Permission denied"):
            write_list(FRAME, tmp_path / "list.csv")
        with pytest.raises(InputError, match="cannot be written to"):
            check_output(tmp_path / "list.csv")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX systems")
def test_permissions_follow_the_umask_and_then_the_old_file(tmp_path: Path) -> None:
    path = write_list(FRAME, tmp_path / "list.csv")
    plain = tmp_path / "plain"
    plain.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    path.chmod(0o640)
    write_list(FRAME, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX systems")
def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real = tmp_path / "real.csv"
    real.touch()
    link = tmp_path / "link.csv"
    link.symlink_to(real)
    write_list(FRAME, link)
    assert link.is_symlink()
    assert real.stat().st_size > 0


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
