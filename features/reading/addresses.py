"""Addresses of databases: secrets come from the environment, and are never shown.

>>> import os
>>> os.environ["SHOP_PASSWORD"] = "a/b"
>>> expand("postgresql://shop:${SHOP_PASSWORD}@db/shop")
'postgresql://shop:a%2Fb@db/shop'
>>> without_secrets("postgresql://shop:a%2Fb@db/shop?sslpassword=x")
'postgresql://db/shop'
>>> del os.environ["SHOP_PASSWORD"]
"""

import os
import re
from urllib.parse import parse_qsl, quote, urlencode

from features.errors import InputError

__all__ = [
    "DUCKDB",
    "POSTGRES",
    "expand",
    "is_postgres",
    "shown_store",
    "split_option",
    "without_secrets",
]

DUCKDB = "duckdb:///"
POSTGRES = ("postgresql://", "postgres://")

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def expand(url: str) -> str:
    """Put the values of environment variables in place of `${NAME}`.

    A variable that is the whole address is taken as it is; one that is a part of it, such as a
    password, is percent-encoded, so that any character may be in it.

    Raises:
        InputError: A variable is not set.
    """

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if name not in os.environ:
            raise InputError(
                f"The address of the database needs the environment variable {name}.",
                f"Set {name} before you run the command.",
            )
        text = os.environ[name]
        return text if found[0] == url else quote(text, safe="")

    return _VARIABLE.sub(value, url)


def is_postgres(url: str) -> bool:
    """Whether an address names a PostgreSQL database."""
    return url.startswith(POSTGRES)


def without_secrets(url: str) -> str:
    """An address without user, password and options: what messages may show."""
    scheme, mark, rest = url.partition("://")
    if not mark:
        return url.partition("?")[0]
    # The last @: a password may hold one that was not encoded.
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"


def shown_store(uri: str) -> str:
    """The address of an MLflow store as messages may show it; the path of a file stays whole.

    >>> shown_store("postgresql+psycopg://me:secret@host/db?sslpassword=x")
    'postgresql+psycopg://host/db'
    >>> shown_store("sqlite:////home/a@b/mlflow.db")
    'sqlite:////home/a@b/mlflow.db'
    """
    return uri if uri.startswith(("sqlite:", "file:")) else without_secrets(uri)


def split_option(url: str, name: str) -> tuple[str, str | None]:
    """Take one option out of the query part of an address.

    >>> split_option("postgresql:///shop?host=/run/db&table=crm.scores", "table")
    ('postgresql:///shop?host=%2Frun%2Fdb', 'crm.scores')
    """
    place, _, query = url.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    values = [value for key, value in pairs if key == name]
    rest = urlencode([pair for pair in pairs if pair[0] != name], quote_via=quote)
    return (f"{place}?{rest}" if rest else place), (values[-1] if values else None)
