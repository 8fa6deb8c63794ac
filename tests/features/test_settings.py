import pytest
from pydantic import ValidationError

from features.settings import PolicySettings, SourceSettings, TableSettings


def test_columns_are_gathered_from_flat_keys():
    settings = TableSettings.model_validate(
        {"from": "o.csv", "where": "x > 0", "amount": "a * b", "customer_id": "c"}
    )
    assert settings.from_ == "o.csv"
    assert settings.where == "x > 0"
    assert settings.columns == {"amount": "a * b", "customer_id": "c"}


@pytest.mark.parametrize(
    ("model", "values", "words"),
    [
        (SourceSettings, {"timezone": "Europe/Atlantis"}, "time zone"),
        (SourceSettings, {"timezone": "../../etc/passwd"}, "time zone"),
        (SourceSettings, {"ulr": "x"}, "ulr"),
        (TableSettings, {"amount": 5}, "amount"),
        (TableSettings, {"separator": "||"}, "separator"),
        (TableSettings, {"encoding": "klingon"}, "encoding"),
        (TableSettings, {"decimal": ";"}, "decimal"),
        (TableSettings, {"header": False}, "column_names"),
        (TableSettings, {"column_names": ["a"]}, "header"),
        (PolicySettings, {"duplicates": "maybe"}, "duplicates"),
    ],
)
def test_wrong_values_are_rejected(model, values, words):
    with pytest.raises(ValidationError, match=words):
        model.model_validate(values)
