import pytest

from features.errors import SchemaError
from features.schema import TABLES, recognise


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (
            ["Invoice", "StockCode", "Quantity", "InvoiceDate", "Price", "Customer ID"],
            {
                "customer_id": '"Customer ID"',
                "timestamp": '"InvoiceDate"',
                "amount": '"Quantity" * "Price"',
                "order_id": '"Invoice"',
                "product_id": '"StockCode"',
                "quantity": '"Quantity"',
            },
        ),
        (
            ["user_id", "order_date", "total"],
            {"customer_id": '"user_id"', "timestamp": '"order_date"', "amount": '"total"'},
        ),
        (
            ["client_id", "created_at", "sku", "price"],
            {
                "customer_id": '"client_id"',
                "timestamp": '"created_at"',
                "amount": '"price"',
                "product_id": '"sku"',
            },
        ),
        (["CustomerID", "Date", "Revenue"], {"amount": '"Revenue"', "timestamp": '"Date"'}),
        (  # a WooCommerce export: guests share the user id 0, so the address tells them apart
            ["Order Date", "Customer User ID", "Email (Billing)", "Order Total Amount"],
            {"customer_id": '"Email (Billing)"', "amount": '"Order Total Amount"'},
        ),
        (["gender", "tenure"], {}),
    ],
)
def test_common_names_are_recognised(columns, expected):
    found = recognise("transactions", columns)
    assert {name: found.get(name) for name in expected} == expected


def test_every_standard_column_recognises_its_own_name():
    for name, table in TABLES.items():
        columns = [column.name for column in table.columns]
        assert recognise(name, columns) == {column: f'"{column}"' for column in columns}


def test_names_that_differ_only_in_spelling_are_not_guessed_between():
    with pytest.raises(SchemaError, match=r"'Customer ID', 'customer_id'"):
        recognise("transactions", ["Customer ID", "customer_id", "date", "amount"])


def test_an_unknown_standard_column_is_named_with_its_nearest():
    with pytest.raises(SchemaError, match=r"customer_id"):
        TABLES["transactions"].column("custmer_id")
    assert TABLES["customers"].column("gender").kind == "text"
