"""`regulars.toml`: one file that says where the data is and what is asked of it."""

import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from features.errors import InputError
from features.schema import TABLES, nearest
from features.settings import (
    FeatureSettings,
    PolicySettings,
    PurchaseSettings,
    SourceSettings,
    TableSettings,
)

__all__ = [
    "ChurnOptions",
    "ClvOptions",
    "Config",
    "ConfigError",
    "CovariateOptions",
    "DecisionOptions",
    "MlflowOptions",
    "load_config",
    "parse_config",
]


class ConfigError(InputError):
    """The configuration file is missing, cannot be read or says something unknown."""


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ChurnOptions(_Options):
    """What churn means here.

    Attributes:
        horizon_days: A customer who buys nothing for this many days has churned.
        gap_days: Days between the cutoff and the start of the label window: the time that
            preparing and sending a campaign takes.
        eligibility: Who trains the model: everyone, or customers whose own rhythm puts their
            next purchase near the label window. Everyone is scored.
        label: "purchases": no purchase in the label window is churn. "subscriptions": the end of
            a contract is (docs/contractual.md); only customers with a contract are scored for it.
        candidates: Names of the candidates to try; empty for those of the effort.
        trials: Tuning trials a candidate; by the effort when left out.
        minutes: Most minutes of tuning a candidate; the outcome then depends on the machine.
    """

    horizon_days: int = Field(default=90, ge=1, le=3650)
    gap_days: int = Field(default=0, ge=0, le=365)
    eligibility: Literal["everyone", "cadence"] = "everyone"
    label: Literal["purchases", "subscriptions"] = "purchases"
    candidates: tuple[str, ...] = ()
    trials: int | None = Field(default=None, ge=0, le=10_000)
    minutes: float | None = Field(default=None, gt=0, allow_inf_nan=False)


class CovariateOptions(_Options):
    """Static attributes that may move a part of the CLV model.

    Attributes:
        rate: Columns that may move the purchase rate.
        dropout: Columns that may move the chance of leaving.
        spend: Columns that may move the value of a purchase.
    """

    rate: tuple[str, ...] = ()
    dropout: tuple[str, ...] = ()
    spend: tuple[str, ...] = ()


Prior = tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]


class ClvOptions(_Options):
    """How future value is counted.

    Attributes:
        horizon_days: Days after the cutoff that count.
        annual_discount_rate: 0.10 means that money a year from now counts for 1 / 1.10.
        margin: Share of spend that is profit.
        covariates: Columns of the customers table, or of a customer's first purchase, for the
            candidate with covariates.
        segment: Such a column for the candidate with partial pooling by segment.
        holidays: Country code whose public holidays the calendar candidate knows, such as "GB".
        priors: Model -> parameter -> median and standard deviation of the logarithm.
        candidates: Names of the candidates to try; empty for all.
    """

    horizon_days: int = Field(default=365, ge=1, le=7300)
    annual_discount_rate: float = Field(default=0.10, ge=0, le=5)
    margin: float = Field(default=1.0, gt=0, le=1)
    covariates: CovariateOptions = CovariateOptions()
    segment: str | None = None
    holidays: str | None = None
    priors: dict[str, dict[str, Prior]] = Field(default_factory=dict)
    candidates: tuple[str, ...] = ()


class DecisionOptions(_Options):
    """What is sent to customers who may leave, and what it costs.

    All money is in the currency of the transactions.

    Attributes:
        contact_cost: Cost of reaching one customer, whatever comes of it.
        offer_cost: Cost of the offer to one customer who takes it.
        save_rate: Chance that the offer keeps a customer who would otherwise churn.
        redemption: Chance that a customer who would have stayed anyway takes the offer.
        value: Money that a customer brings who stays; None: for each customer the margin
            expected in the next 365 days if they stay.
        use_acquisition_cost: A lost customer costs no more than a new one: the value is at most
            what the acquisition table says the customer cost.
    """

    contact_cost: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    offer_cost: float = Field(default=10.0, ge=0, allow_inf_nan=False)
    save_rate: float = Field(default=0.30, ge=0, le=1)
    redemption: float = Field(default=1.0, ge=0, le=1)
    value: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    use_acquisition_cost: bool = False


class MlflowOptions(_Options):
    """Where models and their runs are kept.

    Attributes:
        tracking_uri: The tracking store and registry. When read from a file, a relative
            `sqlite:///` path is made absolute from the file's folder, and the environment
            variable `MLFLOW_TRACKING_URI` wins.
        experiment: Name of the MLflow experiment.
    """

    tracking_uri: str = "sqlite:///mlflow.db"
    experiment: str = "regulars"


class Config(_Options):
    """All that `regulars.toml` may say."""

    source: SourceSettings = SourceSettings()
    tables: dict[str, TableSettings] = Field(default_factory=dict)
    policies: PolicySettings = PolicySettings()
    purchases: PurchaseSettings = PurchaseSettings()
    features: FeatureSettings = FeatureSettings()
    churn: ChurnOptions = ChurnOptions()
    clv: ClvOptions = ClvOptions()
    decision: DecisionOptions = DecisionOptions()
    mlflow: MlflowOptions = MlflowOptions()
    base: Path = Field(default=Path(), exclude=True)

    @property
    def quarantine(self) -> Path:
        """The folder for rows that were set aside."""
        return self.base / "quarantine"


def load_config(path: Path) -> Config:
    """Read a configuration file.

    Args:
        path: The file, or a folder that holds a `regulars.toml`.

    Raises:
        ConfigError: It is not there, is no TOML, or holds an unknown key or an unusable value.
    """
    if path.is_dir():
        path = path / "regulars.toml"
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(
            f"There is no configuration file {path}.",
            "Write one with `regulars init --transactions orders.csv`, or name yours with "
            "--config.",
        ) from None
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigError(
            f"{path} cannot be read: {problem}.", "It must be a text file in UTF-8."
        ) from None
    return parse_config(text, path)


def parse_config(text: str, path: Path) -> Config:
    """Turn the text of a configuration file into a `Config`; `path` is where it came from."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise ConfigError(
            f"{path} is not valid TOML: {problem}.",
            'Text goes in quotes: horizon_days = 90 but from = "orders.csv".',
        ) from None
    if "base" in content:
        raise ConfigError(f"{path}: unknown key base.", nearest("base", _keys(Config)))
    try:
        config = Config.model_validate({**content, "base": path.parent})
        store = {"tracking_uri": _effective_uri(config.mlflow.tracking_uri, path.parent)}
        config = config.model_copy(
            update={
                "mlflow": config.mlflow.model_copy(update=store),
                "features": config.features.beside(path.parent),
            }
        )
    except ValidationError as problem:
        raise _explain(problem, path) from None
    for name, table in config.tables.items():
        if name not in TABLES:
            raise ConfigError(
                f"{path}: unknown table [tables.{name}].",
                f"{nearest(name, TABLES)} Tables: {', '.join(TABLES)}.",
            )
        options = [_alias(TableSettings, key) for key in TableSettings.model_fields]
        columns = [column.name for column in TABLES[name].columns]
        for key in table.columns:
            if key not in columns and not TABLES[name].attributes:
                known = [*columns, *(option for option in options if option != "columns")]
                raise ConfigError(
                    f"{path}: unknown key {key} in [tables.{name}].",
                    f"{nearest(key, known)} Known: {', '.join(known)}.",
                )
    return config


def _effective_uri(uri: str, base: Path) -> str:
    """The environment's tracking store, or the file's with its path made absolute."""
    stated = os.environ.get("MLFLOW_TRACKING_URI")
    if stated:
        return stated
    relative = re.fullmatch(r"sqlite:///(?!/|[A-Za-z]:)(.+)", uri)
    return f"sqlite:///{(base / relative[1]).resolve()}" if relative else uri


def _alias(model: type[BaseModel], field: str) -> str:
    return model.model_fields[field].alias or field


def _keys(model: type[BaseModel]) -> list[str]:
    return [_alias(model, name) for name, field in model.model_fields.items() if not field.exclude]


def _model_at(location: tuple[int | str, ...]) -> type[BaseModel]:
    """The settings class that holds the last key of `location`."""
    model: type[BaseModel] = Config
    for part in location[:-1]:
        inner = next((f for n, f in model.model_fields.items() if n == part), None)
        if inner is None:
            continue
        for candidate in (inner.annotation, *get_args(inner.annotation)):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                model = candidate
    return model


def _explain(problem: ValidationError, path: Path) -> ConfigError:
    """One clear message out of pydantic's list: the first thing that is wrong."""
    first: Any = problem.errors()[0]
    location = tuple(part for part in first["loc"] if part != "[key]")
    where = ".".join(str(part) for part in location)
    if first["type"] == "extra_forbidden":
        known = _keys(_model_at(location))
        place = f" in [{'.'.join(map(str, location[:-1]))}]" if location[:-1] else ""
        return ConfigError(
            f"{path}: unknown key {location[-1]}{place}.",
            f"{nearest(str(location[-1]), known)} Known: {', '.join(known)}.",
        )
    message = first["msg"].removeprefix("Value error, ")
    given = first.get("input")
    shown = f" (found {given!r})" if isinstance(given, str | int | float) else ""
    return ConfigError(f"{path}: {where}: {message}{shown}.", "Correct the value in that line.")
