"""Lists of customers as files: whole or not at all, and safe to open."""

from __future__ import annotations

import gzip
import os
import stat
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.errors import InputError
from serving.batch import check_output, write_list, write_text, writing

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
