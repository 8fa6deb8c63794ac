"""Scalar SQL expressions over the columns of one raw row, as a configuration may hold them.

An expression is parsed, checked node by node against a list of what is allowed, and
written out again from the tree: text from a configuration never reaches the engine as it
is. Allowed are columns, literals, arithmetic, comparisons, CASE, CAST and the scalar
functions of `FUNCTIONS`. Statements, subqueries, aggregates, windows and table functions
are not, so an expression can read the row it is given and nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from features.errors import SchemaError
from features.schema import nearest, quote

__all__ = ["FUNCTIONS", "NUMBER_PREFIX", "Expression", "parse_expression"]

NUMBER_PREFIX = "number of "
"""Prefix of the helper column that holds a text column read as a number."""

_NUMERIC_FUNCTIONS = frozenset({"abs", "ceil", "floor", "round", "sign", "sqrt", "ln", "exp"})

FUNCTIONS = frozenset(
    _NUMERIC_FUNCTIONS
    | {
        "coalesce",
        "concat",
        "contains",
        "date_trunc",
        "greatest",
        "if",
        "ifnull",
        "least",
        "left",
        "length",
        "lower",
        "ltrim",
        "make_timestamp",
        "nullif",
        "regexp_extract",
        "regexp_matches",
        "regexp_replace",
        "replace",
        "right",
        "rtrim",
        "split_part",
        "starts_with",
        "strptime",
        "substring",
        "to_timestamp",
        "trim",
        "try_strptime",
        "upper",
    }
)
"""The functions an expression may call."""

_NUMERIC_NODES = (exp.Abs, exp.Ceil, exp.Floor, exp.Round, exp.Sign, exp.Sqrt, exp.Ln, exp.Exp)
_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Neg)
_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)
_NODES = frozenset(
    {
        *_NUMERIC_NODES,
        *_ARITHMETIC,
        *_COMPARISONS,
        exp.And,
        exp.Between,
        exp.Boolean,
        exp.Case,
        exp.Cast,
        exp.Coalesce,
        exp.Column,
        exp.Concat,
        exp.Contains,
        exp.DataType,
        exp.DataTypeParam,
        exp.DateTrunc,
        exp.DPipe,
        exp.EndsWith,
        exp.Greatest,
        exp.Identifier,
        exp.If,
        exp.ILike,
        exp.In,
        exp.Interval,
        exp.Is,
        exp.Least,
        exp.Left,
        exp.Length,
        exp.Like,
        exp.Literal,
        exp.Lower,
        exp.Not,
        exp.Null,
        exp.Nullif,
        exp.Or,
        exp.Paren,
        exp.RegexpExtract,
        exp.RegexpLike,
        exp.RegexpReplace,
        exp.Replace,
        exp.Right,
        exp.SplitPart,
        exp.StartsWith,
        exp.StrToTime,
        exp.Substring,
        exp.TimestampTrunc,
        exp.Trim,
        exp.TryCast,
        exp.UnixToTime,
        exp.Upper,
        exp.Var,
    }
)
_NUMBER_TYPES = frozenset({"BIGINT", "DECIMAL", "DOUBLE", "FLOAT", "INT", "SMALLINT"})
_TYPES = _NUMBER_TYPES | {"BOOLEAN", "DATE", "TEXT", "TIME", "TIMESTAMP", "TIMESTAMPTZ", "VARCHAR"}
_PLAIN_TIMESTAMP = "TIMESTAMPNTZ"  # what the parser calls a TIMESTAMP


@dataclass(frozen=True)
class Expression:
    """A checked expression.

    Attributes:
        text: As the user wrote it.
        sql: As the engine gets it. Columns used as numbers are named `NUMBER_PREFIX` + column.
        columns: Raw columns it reads.
        numbers: The text columns among them that it needs as numbers.
        is_column: Whether it is just one column.
    """

    text: str
    sql: str
    columns: tuple[str, ...]
    numbers: tuple[str, ...]
    is_column: bool

    @property
    def shown(self) -> str:
        """As messages call it: a column by its bare name."""
        return self.columns[0] if self.is_column else self.text


def parse_expression(
    text: str, columns: Mapping[str, bool], *, where: str, numeric: bool = False
) -> Expression:
    """Check an expression and say which text columns it uses as numbers.

    A column of text counts as a number where it is used in arithmetic, in a numeric
    function, or compared with a number; everywhere else it stays text.

    Args:
        text: A raw column name as it stands, or an SQL expression.
        columns: Raw column -> whether it holds text.
        where: What the expression is for, used in messages: `"amount of [tables.transactions]"`.
        numeric: Whether the result is to be a number.

    Raises:
        SchemaError: It is not one scalar expression over these columns.

    >>> parse_expression("Quantity * Price", {"Quantity": True, "Price": True}, where="x").numbers
    ('Price', 'Quantity')
    >>> parse_expression("Invoice NOT LIKE 'C%'", {"Invoice": True}, where="x").numbers
    ()
    """
    if text in columns:
        return Expression(text, quote(text), (text,), (), is_column=True)
    shown = text if len(text) <= 80 else text[:77] + "..."
    try:
        return _checked(text, shown, columns, where, numeric=numeric)
    except RecursionError:
        raise SchemaError(
            f"The {where} is nested too deeply: {shown!r}.", "Write it with fewer parts."
        ) from None


def _checked(
    text: str, shown: str, columns: Mapping[str, bool], where: str, *, numeric: bool
) -> Expression:
    tree = _parse(text, shown, columns, where)
    _check_nodes(tree, shown, where)
    for column in list(tree.find_all(exp.Column)):
        _resolve(column, columns, shown, where)
    if isinstance(tree, exp.Column):
        return Expression(text, quote(tree.name), (tree.name,), (), is_column=True)
    root: exp.Expression = exp.Paren(this=tree)
    _make_safe(root)
    names = tuple(sorted({node.name for node in root.find_all(exp.Column)}))
    numbers: set[str] = set()
    if numeric:
        _as_number(root.this, columns, numbers)
    known = -1
    while known < len(numbers):  # a column found to be a number makes its neighbours numbers
        known = len(numbers)
        for part in list(root.walk()):
            assert isinstance(part, exp.Expression)
            for operand in _numeric_operands(part):
                _as_number(operand, columns, numbers)
    sql = root.sql(dialect="duckdb", comments=False)
    return Expression(text, sql, names, tuple(sorted(numbers)), is_column=False)


def _parse(text: str, shown: str, columns: Mapping[str, bool], where: str) -> exp.Expression:
    hint = (
        "Write a column name or one scalar expression over the columns of a row, such as "
        '"Quantity * Price".'
    )
    try:
        trees = sqlglot.parse(text, read="duckdb")
    except (SqlglotError, RecursionError, ValueError):
        raise SchemaError(f"The {where} is no SQL expression: {shown!r}.", hint) from None
    if len(trees) != 1 or trees[0] is None:
        found = "several statements" if any(trees) else "nothing"
        raise SchemaError(f"The {where} holds {found}: {shown!r}.", hint)
    tree = trees[0]
    if isinstance(tree, exp.Alias):
        if all(word.isidentifier() and word.lower() != "as" for word in text.split()):
            raise SchemaError(
                f"The {where} names {text!r}, which is no column.",
                nearest(text, columns) or f"Columns found: {', '.join(columns)}.",
            )
        raise SchemaError(f"The {where} names its result: {shown!r}.", "Leave out AS.")
    assert isinstance(tree, exp.Expression)
    return tree


def _check_nodes(tree: exp.Expression, shown: str, where: str) -> None:
    for node in tree.walk():
        if isinstance(node, exp.Anonymous) and node.name.lower() in FUNCTIONS:
            continue
        if type(node) not in _NODES or (isinstance(node, exp.In) and node.args.get("query")):
            called = node.name if isinstance(node, exp.Anonymous) else node.key
            raise SchemaError(
                f"The {where} uses {called!r}, which is not allowed: {shown!r}.",
                "Only scalar expressions over the row's columns are: arithmetic, comparisons, "
                f"CASE, CAST and {', '.join(sorted(FUNCTIONS))}.",
            )
        if isinstance(node, exp.DataType) and getattr(node.this, "value", "") not in {
            *_TYPES,
            _PLAIN_TIMESTAMP,
        }:
            raise SchemaError(
                f"The {where} casts to {node.sql()}, which is not allowed: {shown!r}.",
                f"Cast to one of {', '.join(sorted(_TYPES))}.",
            )


def _resolve(node: exp.Column, columns: Mapping[str, bool], shown: str, where: str) -> None:
    name = node.name
    matches = [name] if name in columns else [c for c in columns if c.casefold() == name.casefold()]
    if len(matches) != 1 or node.table:
        written = node.sql(dialect="duckdb")
        hint = nearest(name, columns) or f"Columns found: {', '.join(columns)}."
        if len(matches) > 1:
            hint = f"{' and '.join(map(repr, matches))} differ only in case: write one of them."
        elif node.this.args.get("quoted") and not node.table:
            hint += " Text is written in single quotes."
        context = "" if written.strip('"') == shown.strip('"') else f" (in {shown!r})"
        raise SchemaError(f"The {where} names {written}, which is no column{context}.", hint)
    node.set("this", exp.to_identifier(matches[0], quoted=True))


def _make_safe(tree: exp.Expression) -> None:
    """Let one bad value make a null instead of ending the whole read."""
    for cast in list(tree.find_all(exp.Cast)):
        if not isinstance(cast, exp.TryCast):
            cast.replace(exp.TryCast(this=cast.this, to=cast.args["to"]))
    for parse in list(tree.find_all(exp.StrToTime)):
        arguments = [parse.this, parse.args["format"]]
        parse.replace(exp.Anonymous(this="try_strptime", expressions=arguments))


def _has_interval(node: exp.Expression) -> bool:
    return any(isinstance(side, exp.Interval) for side in node.iter_expressions())


def _numeric_operands(node: exp.Expression) -> list[exp.Expression]:
    """The operands of `node` that have to be numbers."""
    if isinstance(node, _ARITHMETIC):
        return [] if _has_interval(node) else list(node.iter_expressions())
    if isinstance(node, _NUMERIC_NODES):
        return [node.this]
    if isinstance(node, exp.Anonymous):
        return list(node.expressions) if node.name.lower() in _NUMERIC_FUNCTIONS else []
    if isinstance(node, exp.Cast):
        return [node.this] if node.args["to"].this.value in _NUMBER_TYPES else []
    group: list[exp.Expression]
    if isinstance(node, _COMPARISONS):
        group = [node.this, node.expression]
    elif isinstance(node, exp.Between):
        group = [node.this, node.args["low"], node.args["high"]]
    elif isinstance(node, (exp.In, exp.Greatest, exp.Least, exp.Coalesce)):
        group = [node.this, *node.expressions]
    elif isinstance(node, (exp.Case, exp.If)):
        group = _branches(node)
    else:
        return []
    return group if any(map(_is_number, group)) else []


def _branches(node: exp.Expression) -> list[exp.Expression]:
    """The values that a CASE or IF may take."""
    if isinstance(node, exp.Case):
        values = [branch.args["true"] for branch in node.args["ifs"]]
        last = node.args.get("default")
    else:
        values, last = [node.args["true"]], node.args.get("false")
    return [*values, last] if last is not None else values


def _is_number(node: exp.Expression) -> bool:
    if isinstance(node, exp.Paren):
        return _is_number(node.this)
    if isinstance(node, exp.Literal):
        return not node.is_string
    if isinstance(node, exp.Column):
        return node.name.startswith(NUMBER_PREFIX)
    if isinstance(node, _ARITHMETIC):
        return not _has_interval(node)
    return isinstance(node, _NUMERIC_NODES)


def _as_number(node: exp.Expression, columns: Mapping[str, bool], numbers: set[str]) -> None:
    """Replace the text columns in value position of `node` by their numbers."""
    if isinstance(node, exp.Column):
        if columns.get(node.name):
            numbers.add(node.name)
            node.set("this", exp.to_identifier(NUMBER_PREFIX + node.name, quoted=True))
        return
    parts: list[exp.Expression] = []
    if isinstance(node, (exp.Case, exp.If)):
        parts = _branches(node)
    elif isinstance(node, (exp.Coalesce, exp.Greatest, exp.Least)):
        parts = [node.this, *node.expressions]
    elif isinstance(node, (exp.Paren, exp.Nullif, *_ARITHMETIC)):
        parts = list(node.iter_expressions())
    for part in parts:
        _as_number(part, columns, numbers)
