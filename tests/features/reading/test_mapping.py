import pytest

from features.errors import SchemaError
from features.reading.mapping import parse_expression

COLUMNS = {
    "Quantity": True,
    "Price": True,
    "Invoice": True,
    "Customer ID": True,
    "Country": True,
    "typed": False,
}


def parse(text, **options):
    return parse_expression(text, COLUMNS, where="amount of [tables.transactions]", **options)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("Customer ID", ()),
        ('"Customer ID"', ()),
        ("quantity * price", ("Price", "Quantity")),
        ("Invoice NOT LIKE 'C%'", ()),
        ("Price > 0 AND Invoice NOT LIKE 'C%'", ("Price",)),
        ("Price BETWEEN 1 AND 2", ("Price",)),
        ("Price IN (1, 2)", ("Price",)),
        ("Country IN ('UK', 'DE')", ()),
        ("Price <> '0'", ()),
        ("typed * 2", ()),
        ("typed * Price", ("Price",)),
        ("round(Price * 1.2, 2)", ("Price",)),
        ("coalesce(Price, 0)", ("Price",)),
        ("CAST(Price AS integer)", ("Price",)),
        ("CAST(Invoice AS TIMESTAMP) < TIMESTAMP '2010-08-01'", ()),
        ("Country || ' ' || Invoice", ()),
        ("CASE WHEN Invoice LIKE 'C%' THEN -Quantity ELSE Price END", ("Price", "Quantity")),
    ],
)
def test_columns_used_as_numbers(text, numbers):
    assert parse(text).numbers == numbers


def test_a_column_with_a_blank_in_its_name_that_is_missing_is_said_so():
    with pytest.raises(SchemaError, match=r"names 'Kunden Nr', which is no column"):
        parse("Kunden Nr")


def test_a_numeric_result_makes_the_values_of_every_branch_numbers():
    parsed = parse("CASE WHEN Country = 'UK' THEN Price ELSE Quantity END", numeric=True)
    assert parsed.numbers == ("Price", "Quantity")


@pytest.mark.parametrize(
    "text",
    [
        "1; DROP TABLE transactions",
        "Price; Price",
        "(SELECT 1)",
        "SELECT Price",
        "FROM x",
        "Price IN (SELECT 1)",
        "EXISTS (SELECT 1)",
        "Price UNION SELECT 1",
        "sum(Price)",
        "row_number() OVER ()",
        "sum(Price) OVER ()",
        "read_text('/etc/passwd')",
        "read_csv('x.csv')",
        "glob('*')",
        "getenv('HOME')",
        "current_setting('x')",
        "now()",
        "random()",
        "unnest([1])",
        "list_transform([1], lambda x: x)",
        "ATTACH 'x.duckdb'",
        "COPY x TO 'y'",
        "PRAGMA version",
        "INSTALL httpfs",
        "SET threads = 1",
        "*",
        "COLUMNS(*)",
        "$1",
        "?",
        "Price::json",
        "Price AS x",
        "x.Price",
        "Price COLLATE nocase",
        "{'a': 1}",
        "[1]",
        "",
        " ",
        "(" * 5000 + "1" + ")" * 5000,
        "'; DROP TABLE x; --",
        "Price )",
        "Price +",
    ],
)
def test_nothing_but_scalar_expressions_passes(text):
    with pytest.raises(SchemaError) as caught:
        parse(text)
    assert len(str(caught.value)) < 900


def test_an_unknown_column_is_named_with_its_nearest():
    with pytest.raises(SchemaError, match=r"Pric, which is no column.*\n.*Did you mean Price\?"):
        parse("Quantity * Pric")


def test_double_quoted_text_is_explained():
    with pytest.raises(SchemaError, match="single quotes"):
        parse('Country = "UK"')


def test_comments_do_not_reach_the_engine():
    assert "--" not in parse("Price * 2 -- note").sql
    assert "/*" not in parse("Price /* note */ * 2").sql
