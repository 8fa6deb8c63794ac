import pytest

from features.reading.dialect import sniff, unique_names
from features.settings import TableSettings


@pytest.mark.parametrize(
    ("text", "separator"),
    [
        ("a,b\n1,2\n", ","),
        ("a;b\n1,5;2,5\n3,5;4,5\n", ";"),
        ("a\tb, c\n1\t2\n", "\t"),
        ("a|b|c\n1|2,3|4\n", "|"),
        ('name;note\nx;"1;2,3,4"\ny;"a,b"\n', ";"),
        ('a,b\n"x;y;z",2\n"p;q;r",3\n', ","),
        ("a\n1\n2\n", ","),
    ],
)
def test_separators(tmp_path, text, separator):
    path = tmp_path / "f.csv"
    path.write_text(text)
    assert sniff(path, "f.csv", TableSettings()).separator == separator


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [("utf-8", "utf-8"), ("utf-8-sig", "utf-8"), ("utf-16", "utf-16"), ("cp1252", "cp1252")],
)
def test_encodings(tmp_path, encoding, expected):
    path = tmp_path / "f.csv"
    path.write_text("id,name\n1,Müller\n2,José\n3,Größe\n", encoding=encoding)
    found = sniff(path, "f.csv", TableSettings())
    assert found.encoding == expected
    assert found.columns == ("id", "name")


def test_a_letter_far_behind_the_start_decides_the_encoding(tmp_path):
    path = tmp_path / "f.csv"
    path.write_bytes(b"id,name\n" + b"1,plain\n" * 60_000 + "2,Müller\n".encode("cp1252"))
    assert sniff(path, "f.csv", TableSettings()).encoding == "cp1252"


def test_repeated_names_are_numbered_whatever_their_case():
    assert unique_names(["Amount", "amount", "", "x"]) == (
        "Amount (1)",
        "amount (2)",
        "column 3",
        "x",
    )
