"""`regulars.toml`: one file that says where the data is and what is asked of it."""

import os
import re
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

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
    "CampaignOptions",
    "ChurnOptions",
    "ClvOptions",
    "Config",
    "ConfigError",
    "CovariateOptions",
    "DecisionOptions",
    "MlflowOptions",
    "MonitorOptions",
    "OfferOptions",
    "SegmentOptions",
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


_Cost = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Chance = Annotated[float, Field(ge=0, le=1)]


class OfferOptions(_Options):
    """One of several offers. Costs and chances that are left out are those of `[decision]`.

    Attributes:
        name: What the scored list and the campaign call it.
        contact_cost: As in `DecisionOptions`.
        offer_cost: As in `DecisionOptions`.
        save_rate: As in `DecisionOptions`; not used where the effect is learned.
        redemption: As in `DecisionOptions`.
        effect: "assumed": by the save rate; "uplift": by the effect that a model learned from
            randomised campaigns.
        earns: With "uplift", what the effect brings: "value": customers who are kept, each worth
            their value; "spend": what they spend more in the model's horizon.
        campaign: Kind of campaign whose effect that model is asked for; the name when left out.
        model: Name of the registered uplift model.
        keeps_days: For how many days a customer who is kept stays: the value counts that part of
            a year.
        only: Column of the scored list, or static attribute -> the values that may get the offer,
            such as `{ risk_tier = ["high"] }`.
        min_p_alive: Least chance of still being a customer with which they may get the offer.
    """

    name: str
    contact_cost: _Cost | None = None
    offer_cost: _Cost | None = None
    save_rate: _Chance | None = None
    redemption: _Chance | None = None
    effect: Literal["assumed", "uplift"] = "assumed"
    earns: Literal["value", "spend"] = "value"
    campaign: str | None = None
    model: str = "regulars-uplift"
    keeps_days: int = Field(default=365, ge=1, le=3650)
    only: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(default_factory=dict)
    min_p_alive: _Chance = 0.0

    @field_validator("name")
    @classmethod
    def _plain(cls, value: str) -> str:
        if not re.fullmatch(r"\w[\w .+-]*", value) or value.strip() != value or value == "none":
            raise ValueError(
                "an offer is called by letters, digits, blanks, '.', '+', '-' and '_', and not "
                "none, which stands for no offer"
            )
        return value

    @model_validator(mode="after")
    def _learned(self) -> Self:
        if self.effect == "assumed" and self.campaign is not None:
            raise ValueError(
                f'{self.name}: a campaign is read where effect = "uplift"; here it is "assumed"'
            )
        if self.effect == "assumed" and self.earns == "spend":
            raise ValueError(
                f'{self.name}: what customers spend more is known where effect = "uplift"; here it '
                'is "assumed"'
            )
        if self.effect == "uplift" and self.save_rate is not None:
            raise ValueError(
                f'{self.name}: effect = "uplift" is learned, so there is no save_rate to assume'
            )
        return self


class DecisionOptions(_Options):
    """What is sent to customers who may leave, what it costs, and whom it is sent to.

    All money is in the currency of the transactions.

    Attributes:
        contact_cost: Cost of reaching one customer, whatever comes of it.
        offer_cost: Cost of the offer to one customer who takes it.
        save_rate: Chance that the offer keeps a customer who would otherwise churn.
        redemption: Chance that a customer who would have stayed anyway takes the offer.
        value: Money that a customer brings in a year who stays; None: for each customer the margin
            expected in the next 365 days if they stay.
        use_acquisition_cost: A lost customer costs no more than a new one: the value is at most
            what the acquisition table says the customer cost.
        offers: Offers to choose from; empty: one, called "offer", of the keys above.
        budget: Most that a list may cost in expectation; None: no limit.
        list_size: Most customers on a list; None: no limit.
        max_contacts: Nobody is contacted who got so many messages in the last `contact_days`;
            None: no limit.
        contact_days: Days before the cutoff whose messages count.
        control_share: Share of the customers worth an offer who are held back by lot, so that the
            campaign can be measured.
        seed: Another seed draws other customers.
    """

    contact_cost: _Cost = 1.0
    offer_cost: _Cost = 10.0
    save_rate: _Chance = 0.30
    redemption: _Chance = 1.0
    value: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    use_acquisition_cost: bool = False
    offers: tuple[OfferOptions, ...] = ()
    budget: _Cost | None = None
    list_size: int | None = Field(default=None, ge=1)
    max_contacts: int | None = Field(default=None, ge=1)
    contact_days: int = Field(default=30, ge=1, le=3650)
    control_share: float = Field(default=0.10, ge=0, lt=1)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _names(self) -> Self:
        names = [offer.name for offer in self.offers]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"two offers are called {twice}; give each its own name")
        return self


_Cuts = Annotated[tuple[float, ...], Field(min_length=4, max_length=4)]


class SegmentOptions(_Options):
    """Cut points of the RFM scores that are not learned, and what the next purchase is one of.

    Attributes:
        recency_days: Days since the last purchase: up to the first of four the score is 5, and so
            on down to 1.
        purchases: Purchases so far: up to the first of four the score is 1, and so on up to 5.
        spend: Money spent so far, in the same way.
        item: Whether the next purchase is told by "category" or by "product_id"; the category
            where there is one, when left out.
    """

    recency_days: _Cuts | None = None
    purchases: _Cuts | None = None
    spend: _Cuts | None = None
    item: Literal["category", "product_id"] | None = None

    @property
    def cuts(self) -> dict[str, tuple[float, ...]]:
        """The cut points that are given, by name."""
        found = {name: getattr(self, name) for name in ("recency_days", "purchases", "spend")}
        return {name: cuts for name, cuts in found.items() if cuts is not None}

    @field_validator("recency_days", "purchases", "spend")
    @classmethod
    def _ascend(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and list(value) != sorted(value):
            raise ValueError("cut points ascend, such as [30, 90, 180, 365]")
        return value


class CampaignOptions(_Options):
    """How past campaigns are measured (docs/campaigns.md).

    Attributes:
        window_days: Days after a contact in which its purchases and spend are counted.
        treated_share: Campaign, or kind of campaign (its name without the date it ends with) -> the
            share of its customers that was planned to be treated, to test the arms' sizes by.
    """

    window_days: int = Field(default=30, ge=1, le=3650)
    treated_share: dict[str, Annotated[float, Field(gt=0, lt=1)]] = Field(default_factory=dict)


class MlflowOptions(_Options):
    """Where models and their runs are kept.

    Attributes:
        tracking_uri: The tracking store and registry. When read from a file, a relative
            `sqlite:///` path is made absolute from the file's folder, `${NAME}` is an
            environment variable, and `MLFLOW_TRACKING_URI` in the environment wins.
        experiment: Name of the MLflow experiment.
    """

    tracking_uri: str = "sqlite:///mlflow.db"
    experiment: str = "regulars"


class MonitorOptions(_Options):
    """What is kept to look back at, and from when on a person is needed.

    Attributes:
        score_ledger: Where every scored list is recorded: a file, `duckdb:///FILE` or
            `postgresql://HOST/DATABASE?schema=NAME`; "" records nothing.
        calibration_gap: How far the mean churn probability may be from the share who left. On real
            ledgers a sound model is within 0.01 to 0.04 out of time; a season that was not met
            before moves it by 0.10 and more.
        auc_drop: How far the AUC may be below that of the training's test. From cutoff to cutoff of
            one shop it moves by 0.01 to 0.03.
        clv_bias: How far, as a share, the value foretold for all customers together may be from
            the one that came. A year's spend of a shop moves by a fifth without any model's doing.
        min_customers: Fewer customers say nothing.
        cohorts: For how many months back closed lists are looked at.
        drift_exempt: Features that may drift without anybody being called, beside those that the
            catalogue exempts because they grow by construction.
    """

    score_ledger: str = "score_ledger.duckdb"
    calibration_gap: float = Field(default=0.05, gt=0, lt=1)
    auc_drop: float = Field(default=0.05, gt=0, lt=0.5)
    clv_bias: float = Field(default=0.30, gt=0, allow_inf_nan=False)
    min_customers: int = Field(default=200, ge=30)
    cohorts: int = Field(default=12, ge=1, le=120)
    drift_exempt: tuple[str, ...] = ()


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
    campaigns: CampaignOptions = CampaignOptions()
    segments: SegmentOptions = SegmentOptions()
    monitor: MonitorOptions = MonitorOptions()
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
    except RecursionError:
        raise ConfigError(
            f"{path} is nested too deeply.", "No key takes more than a list."
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
    from features.reading.addresses import expand, is_postgres

    stated = os.environ.get("MLFLOW_TRACKING_URI")
    uri = stated or expand(uri)
    if is_postgres(uri) and find_spec("psycopg2") is None:
        return f"postgresql+psycopg://{uri.partition('://')[2]}"  # the driver of the postgres extra
    relative = None if stated else re.fullmatch(r"sqlite:///(?!/|[A-Za-z]:)(.+)", uri)
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
