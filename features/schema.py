"""The data contract: the standard tables, their columns, and the names people use for them."""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from features.errors import SchemaError

__all__ = [
    "SQL_TYPES",
    "TABLES",
    "Column",
    "Kind",
    "Table",
    "nearest",
    "plain",
    "quote",
    "recognise",
]

Kind = Literal["text", "timestamp", "amount", "number", "flag"]

SQL_TYPES: Mapping[Kind, str] = MappingProxyType(
    {
        "text": "VARCHAR",
        "timestamp": "TIMESTAMP",
        "amount": "DECIMAL(18,4)",
        "number": "DOUBLE",
        "flag": "BOOLEAN",
    }
)


@dataclass(frozen=True)
class Column:
    """One column of a standard table.

    Attributes:
        name: The standard name.
        kind: What it holds; `SQL_TYPES` has the engine's type of each kind.
        required: A row without it cannot be used.
        aliases: Other names in use, best first, in lower case without blanks and underscores.
        choices: The only values allowed, when there is a closed list (compared in lower case).
    """

    name: str
    kind: Kind = "text"
    required: bool = False
    aliases: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """One standard table.

    Attributes:
        name: Its name in `[tables.NAME]`.
        columns: Its columns, required ones first.
        aliases: Other names of its file or database table.
        attributes: Whether any further raw column is taken over as a text attribute.
        unique: Whether a customer may appear only once (unless rows carry `known_at`).
    """

    name: str
    columns: tuple[Column, ...]
    aliases: tuple[str, ...] = ()
    attributes: bool = False
    unique: bool = False

    def column(self, name: str) -> Column:
        """The column called `name`; a text attribute when the table takes any."""
        for column in self.columns:
            if column.name == name:
                return column
        if self.attributes:
            return Column(name)
        known = [column.name for column in self.columns]
        raise SchemaError(
            f"[tables.{self.name}] maps {name!r}, which is no column of {self.name}.",
            nearest(name, known) + f" Columns of {self.name}: {', '.join(known)}.",
        )

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the columns that every row must have."""
        return tuple(column.name for column in self.columns if column.required)

    @property
    def time(self) -> str | None:
        """The column that dates a row, None for tables without a time."""
        for column in self.columns:
            if column.kind == "timestamp" and column.required:
                return column.name
        return None


_CUSTOMER = Column(
    "customer_id",
    required=True,
    aliases=(
        "customerid",
        "custid",
        "customerno",
        "customernumber",
        "customerkey",
        "customercode",
        "customeruniqueid",
        "customer",
        "userid",
        "clientid",
        "memberid",
        "shopperid",
        "buyerid",
        "visitorid",
        "accountid",
        "contactid",
        "personid",
        "user",
        "client",
        "customeremail",
        "billingemail",
        "emailbilling",
        "email",
    ),
)
_KNOWN_AT = Column("known_at", "timestamp", aliases=("knownat", "loadedat", "ingestedat"))
_CHANNEL = Column("channel", aliases=("channel", "saleschannel", "source", "utmsource", "medium"))
_PRODUCT = Column(
    "product_id",
    aliases=(
        "productid",
        "stockcode",
        "sku",
        "itemid",
        "articleid",
        "lineitemsku",
        "productcode",
        "itemcode",
        "product",
        "item",
        "article",
    ),
)


def _time(name: str, *aliases: str) -> Column:
    return Column(
        name,
        "timestamp",
        required=True,
        aliases=(
            name.replace("_", ""),
            *aliases,
            "timestamp",
            "datetime",
            "date",
            "createdat",
            "time",
            "ts",
        ),
    )


_TABLES = (
    Table(
        "transactions",
        (
            _CUSTOMER,
            _time(
                "timestamp",
                "invoicedate",
                "orderdate",
                "orderedat",
                "orderdatetime",
                "ordertimestamp",
                "orderpurchasetimestamp",
                "purchasedate",
                "purchasedat",
                "transactiondate",
                "transactiontime",
                "transactiontimestamp",
                "invoicedatetime",
                "saledate",
                "salesdate",
                "paidat",
                "processedat",
            ),
            Column(
                "amount",
                "amount",
                required=True,
                aliases=(
                    "amount",
                    "totalamount",
                    "netamount",
                    "orderamount",
                    "lineamount",
                    "linetotal",
                    "ordertotal",
                    "ordertotalamount",
                    "ordervalue",
                    "totalprice",
                    "totalsales",
                    "salesamount",
                    "paymentvalue",
                    "grandtotal",
                    "total",
                    "revenue",
                    "sales",
                    "spend",
                    "value",
                    "amountusd",
                    "amounteur",
                    "amountgbp",
                ),
            ),
            Column(
                "order_id",
                aliases=(
                    "orderid",
                    "invoiceno",
                    "invoice",
                    "invoiceid",
                    "invoicenumber",
                    "ordernumber",
                    "orderno",
                    "transactionid",
                    "receiptid",
                    "receiptno",
                    "basketid",
                    "order",
                ),
            ),
            _PRODUCT,
            Column(
                "category",
                aliases=(
                    "category",
                    "productcategory",
                    "categoryname",
                    "department",
                    "producttype",
                ),
            ),
            Column(
                "quantity",
                "number",
                aliases=("quantity", "qty", "units", "lineitemquantity", "itemcount", "items"),
            ),
            Column(
                "discount",
                "amount",
                aliases=("discount", "discountamount", "totaldiscount", "linediscount"),
            ),
            Column("cost", "amount", aliases=("cost", "cogs", "costamount", "totalcost")),
            _CHANNEL,
            _KNOWN_AT,
        ),
        aliases=(
            "orders",
            "order",
            "sales",
            "transaction",
            "purchases",
            "invoices",
            "orderlines",
            "orderitems",
            "lineitems",
        ),
    ),
    Table(
        "events",
        (
            _CUSTOMER,
            _time("timestamp", "eventtime", "eventtimestamp", "eventdate", "occurredat"),
            Column("event", required=True, aliases=("event", "eventtype", "eventname", "action")),
            Column("session_id", aliases=("sessionid", "session", "visitid")),
            _PRODUCT,
            Column("value", "amount", aliases=("value", "eventvalue", "price")),
            _KNOWN_AT,
        ),
        aliases=("event", "clickstream", "webevents", "activity"),
    ),
    Table(
        "surveys",
        (
            _CUSTOMER,
            _time("timestamp", "surveydate", "answeredat", "respondedat", "submittedat"),
            Column(
                "kind",
                required=True,
                aliases=("kind", "surveytype", "type"),
                choices=("nps", "csat"),
            ),
            Column(
                "score",
                "number",
                required=True,
                aliases=("score", "rating", "reviewscore", "answer"),
            ),
            Column("scale_max", "number", aliases=("scalemax", "maxscore")),
            Column("comment", aliases=("comment", "comments", "feedback", "reviewcommentmessage")),
            _KNOWN_AT,
        ),
        aliases=("survey", "nps", "csat", "reviews", "feedback"),
    ),
    Table(
        "tickets",
        (
            _CUSTOMER,
            _time("opened_at", "openedon", "openeddate"),
            Column(
                "resolved_at",
                "timestamp",
                aliases=("resolvedat", "closedat", "solvedat", "resolvedon"),
            ),
            Column("topic", aliases=("topic", "subject", "category", "reason", "type")),
            Column("sentiment", "number", aliases=("sentiment", "sentimentscore")),
            Column("text", aliases=("text", "body", "description", "message")),
            _KNOWN_AT,
        ),
        aliases=("ticket", "support", "supporttickets", "cases", "complaints"),
    ),
    Table(
        "contacts",
        (
            _CUSTOMER,
            _time("timestamp", "sentat", "contactedat", "contactdate", "sendtime"),
            Column(
                "campaign",
                required=True,
                aliases=("campaign", "campaignid", "campaignname", "mailing"),
            ),
            Column("arm", aliases=("arm", "group", "variant"), choices=("treatment", "control")),
            Column("cost", "amount", aliases=("cost", "contactcost")),
            _CHANNEL,
            Column("opened", "flag", aliases=("opened", "isopened", "open")),
            Column("clicked", "flag", aliases=("clicked", "isclicked", "click")),
            Column("redeemed", "flag", aliases=("redeemed", "isredeemed", "used")),
            _KNOWN_AT,
        ),
        aliases=("contact", "campaigns", "mailings", "emails"),
    ),
    Table(
        "loyalty",
        (
            _CUSTOMER,
            _time("timestamp"),
            Column("points", "number", required=True, aliases=("points", "pointschange")),
            Column("tier", aliases=("tier", "level", "status")),
            Column("kind", aliases=("kind", "type")),
            _KNOWN_AT,
        ),
        aliases=("loyaltypoints", "points", "loyaltyprogram"),
    ),
    Table(
        "acquisition",
        (
            _CUSTOMER,
            Column(
                "channel",
                required=True,
                aliases=("channel", "acquisitionchannel", "source", "utmsource", "medium"),
            ),
            Column("cost", "amount", aliases=("cost", "cac", "acquisitioncost")),
            Column("campaign", aliases=("campaign", "utmcampaign")),
        ),
        aliases=("acquisitions", "acquisitioncosts"),
        unique=True,
    ),
    Table(
        "customers",
        (_CUSTOMER, _KNOWN_AT),
        aliases=("customer", "users", "clients", "members"),
        attributes=True,
        unique=True,
    ),
    Table(
        "subscriptions",
        (
            _CUSTOMER,
            _time("started_at", "startedon", "startdate", "start", "subscribedat"),
            Column(
                "ended_at",
                "timestamp",
                aliases=("endedat", "endedon", "enddate", "end", "cancelledat", "canceledat"),
            ),
            Column("fee", "amount", aliases=("fee", "monthlyfee", "price", "amount", "mrr")),
            Column("plan", aliases=("plan", "planname", "product", "contract")),
        ),
        aliases=("subscription", "contracts"),
    ),
)

TABLES: Mapping[str, Table] = MappingProxyType({table.name: table for table in _TABLES})

_UNIT_PRICE = ("unitprice", "price", "itemprice", "priceeach", "lineitemprice", "salesprice")


def plain(name: str) -> str:
    """A name without case, blanks and punctuation.

    >>> plain("Customer ID")
    'customerid'
    """
    return re.sub(r"[\W_]+", "", name.casefold())


def quote(name: str) -> str:
    """A name as an SQL identifier.

    >>> quote('odd "name')
    '"odd ""name"'
    """
    return '"' + name.replace('"', '""') + '"'


def nearest(name: str, known: Iterable[str], n: int = 3) -> str:
    """A sentence that offers the known names nearest to `name`, or nothing.

    >>> nearest("custmer_id", ["customer_id", "amount"])
    'Did you mean customer_id?'
    """
    by_plain: dict[str, str] = {}
    for candidate in known:
        by_plain.setdefault(plain(candidate), candidate)
    found = difflib.get_close_matches(plain(name), by_plain, n=n, cutoff=0.6)
    return f"Did you mean {' or '.join(by_plain[match] for match in found)}?" if found else ""


def recognise(table: str, raw_columns: Iterable[str], skip: Collection[str] = ()) -> dict[str, str]:
    """Find the standard columns of `table` among raw columns by the names people use.

    Case, blanks, underscores and punctuation do not matter. When transactions have no
    amount column but a quantity and a unit price, the amount is their product; a price
    without a quantity is the amount.

    Args:
        table: A standard table.
        raw_columns: Names as they stand in the source.
        skip: Standard columns that are mapped already.

    Returns:
        Standard column -> SQL expression over raw columns (a quoted name, or a product).

    Raises:
        SchemaError: Two raw columns differ only in case, blanks or punctuation and either
            could be meant.

    >>> recognise("transactions", ["Customer ID", "InvoiceDate", "Quantity", "Price"])["amount"]
    '"Quantity" * "Price"'
    """
    by_plain: dict[str, list[str]] = {}
    for raw in raw_columns:
        name = re.sub(r" \(\d+\)$", "", raw)  # a header that repeats a name numbers it
        by_plain.setdefault(plain(name), []).append(raw)

    def one(aliases: Iterable[str], used: set[str]) -> str | None:
        for alias in aliases:
            names = [name for name in by_plain.get(alias, []) if name not in used]
            if len(names) > 1:
                raise SchemaError(
                    f"Table {table}: the columns {', '.join(map(repr, names))} are named alike "
                    "and any of them could be meant.",
                    f"Say in [tables.{table}] which one to use.",
                )
            if names:
                return names[0]
        return None

    found: dict[str, str] = {}
    used: set[str] = set()
    for column in TABLES[table].columns:
        if column.name in skip:
            continue
        aliases = (plain(column.name), *column.aliases)
        raw_name = one(dict.fromkeys(aliases), used)
        if raw_name is not None:
            found[column.name] = quote(raw_name)
            used.add(raw_name)
    if table == "transactions" and "amount" not in {*found, *skip}:
        price = one(_UNIT_PRICE, used)
        if price is not None:
            quantity = found.get("quantity")
            found["amount"] = f"{quantity} * {quote(price)}" if quantity else quote(price)
    return found
