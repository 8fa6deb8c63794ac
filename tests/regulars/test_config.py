"""regulars.toml: what it may say, and how it says no."""

from pathlib import Path

import pytest

from features.settings import TableSettings
from models.decision import Offer
from regulars.config import Config, ConfigError, OfferOptions, load_config, parse_config
from regulars.settings import churn_settings, clv_settings, decision

WHERE = Path("shop") / "regulars.toml"


def test_an_empty_file_gives_the_defaults_that_the_documentation_states():
    config = parse_config("", WHERE)
    assert (config.churn.horizon_days, config.churn.gap_days) == (90, 0)
    assert (config.clv.horizon_days, config.clv.annual_discount_rate, config.clv.margin) == (
        365,
        0.10,
        1.0,
    )
    assert config.mlflow.experiment == "regulars"


def test_columns_stand_beside_from_and_where():
    config = parse_config(
        '[tables.transactions]\nfrom = "o.csv"\namount = "Quantity * Price"\nwhere = "Price > 0"',
        WHERE,
    )
    table = config.tables["transactions"]
    assert table.from_ == "o.csv"
    assert table.where == "Price > 0"
    assert table.columns == {"amount": "Quantity * Price"}


def test_the_clv_model_can_be_told_of_columns_and_priors():
    config = parse_config(
        '[clv]\nsegment = "channel"\ncandidates = ["mbg_nbd"]\n'
        '[clv.covariates]\nrate = ["age"]\n[clv.priors.mbg_nbd]\nr = [1.0, 0.5]',
        WHERE,
    )
    settings = clv_settings(config)
    assert settings.attributes == ("age", "channel")
    assert settings.candidates == ("mbg_nbd",)
    assert settings.priors == {"mbg_nbd": {"r": (1.0, 0.5)}}


def test_the_offer_has_the_defaults_of_the_literature():
    said = parse_config("[decision]\nsave_rate = 0.1\nvalue = 80", WHERE).decision
    assert (said.contact_cost, said.offer_cost, said.redemption) == (1.0, 10.0, 1.0)
    assert (said.save_rate, said.value, said.use_acquisition_cost) == (0.1, 80.0, False)
    assert parse_config("", WHERE).decision.value is None


def test_offers_have_what_they_do_not_say_from_the_decision():
    said = parse_config(
        """
        [decision]
        contact_cost = 0.5
        save_rate = 0.2
        budget = 300
        [[decision.offers]]
        name = "gift"
        offer_cost = 7.0
        only = { risk_tier = ["high"] }
        [[decision.offers]]
        name = "call me"
        effect = "uplift"
        campaign = "call"
        keeps_days = 60
        """,
        WHERE,
    )
    found = decision(said)
    gift, call = found.offers
    assert gift.offer == Offer(0.5, 7.0, 0.2, 1.0)
    assert (gift.name, gift.effect, gift.only) == ("gift", "assumed", {"risk_tier": ("high",)})
    assert (call.effect, call.campaign, call.keeps_days) == ("uplift", "call", 60)
    assert (found.budget, found.control_share, found.margin) == (300.0, 0.1, 1.0)
    # Candidates are judged by the offer of [decision] itself.
    assert churn_settings(said).offer == Offer(0.5, 10.0, 0.2, 1.0)
    (only,) = decision(parse_config("[decision]\nsave_rate = 0.2", WHERE)).offers
    assert (only.name, only.offer.save_rate) == ("offer", 0.2)


def test_a_file_with_features_lies_beside_the_configuration(tmp_path):
    config = parse_config('[features]\nextra = "mine.py"', tmp_path / "regulars.toml")
    assert config.features.extra == str(tmp_path / "mine.py")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "[churn]\nhorizon_day = 3",
            "unknown key horizon_day in [churn].\nDid you mean horizon_days?",
        ),
        ("[tabels.x]\nfrom = 'a'", "unknown key tabels.\nDid you mean tables?"),
        ("[tables.order]\nfrom = 'a'", "unknown table [tables.order]"),
        ("[tables.transactions]\ncustmer_id = 'a'", "Did you mean customer_id?"),
        ("[policies]\nduplicate = 'keep'", "Did you mean duplicates?"),
        ("[churn]\nhorizon_days = 'x'", "churn.horizon_days"),
        ("[churn]\nhorizon_days = 0", "greater than or equal to 1"),
        ("[clv]\nmargin = 0.0", "clv.margin"),
        ("[decision]\nsave_rate = 30", "less than or equal to 1"),
        ("[decision]\noffer_costs = 3", "Did you mean offer_cost or"),
        ("[decision]\nvalue = 0", "decision.value"),
        ("[decision]\nbudget = -1", "decision.budget"),
        ("[decision]\ncontrol_share = 1.0", "less than 1"),
        ("[[decision.offers]]\nsave_rate = 0.1", "decision.offers.0.name: Field required"),
        ("[[decision.offers]]\nname = 'a:b'", "an offer is called by letters"),
        ("[[decision.offers]]\nname = 'none'", "which stands for no offer"),
        ("[[decision.offers]]\nname = 'a'\nsave_rat = 0.1", "Did you mean save_rate?"),
        ("[[decision.offers]]\nname = 'a'\n" * 2, "two offers are called a"),
        ("[[decision.offers]]\nname = 'a'\neffect = 'learnt'", "'assumed' or 'uplift'"),
        ("[[decision.offers]]\nname = 'a'\ncampaign = 'b'", 'read where effect = "uplift"'),
        (
            "[[decision.offers]]\nname = 'a'\neffect = 'uplift'\nsave_rate = 0.1",
            "there is no save_rate to assume",
        ),
        ("[[decision.offers]]\nname = 'a'\nearns = 'spend'", "what customers spend more is known"),
        ("[[decision.offers]]\nname = 'a'\nonly = {country = []}", "at least 1 item"),
        ("[features]\nextras = 'f.py'", "Did you mean extra?"),
        ("[clv]\nsegments = 'x'", "Did you mean segment?"),
        ("[clv.covariates]\nrates = ['x']", "unknown key rates in [clv.covariates]"),
        ("[clv.priors.mbg_nbd]\nr = [1.0]", "clv.priors.mbg_nbd.r"),
        ("[clv.priors.mbg_nbd]\nr = [1.0, -1.0]", "greater than 0"),
        ("[source]\ntimezone = 'Mars'", "Europe/London"),
        ("[source\nurl = 3", "not valid TOML"),
        ("base = 'x'", "unknown key base"),
        ("[tables.transactions]\nseparator = ';;'", "no separator"),
        ("[tables.transactions]\nheader = false", "column_names"),
    ],
)
def test_a_wrong_file_gets_one_message_with_the_remedy(text, says):
    with pytest.raises(ConfigError) as caught:
        parse_config(text, WHERE)
    assert says in str(caught.value)
    assert str(WHERE) in str(caught.value)
    assert caught.value.hint or "base" in text


def test_a_missing_file_says_how_to_write_one(tmp_path):
    with pytest.raises(ConfigError, match="regulars init"):
        load_config(tmp_path / "regulars.toml")


def test_a_folder_means_the_file_in_it(tmp_path):
    (tmp_path / "regulars.toml").write_text("[churn]\nhorizon_days = 30", encoding="utf-8")
    assert load_config(tmp_path).churn.horizon_days == 30


def test_a_byte_order_mark_does_no_harm(tmp_path):
    (tmp_path / "regulars.toml").write_bytes(b"\xef\xbb\xbf[churn]\nhorizon_days = 30")
    assert load_config(tmp_path).churn.horizon_days == 30


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sqlite:///mlflow.db", "sqlite:///{base}/mlflow.db"),
        ("sqlite:////srv/mlflow.db", "sqlite:////srv/mlflow.db"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
    ],
)
def test_a_relative_store_lies_beside_the_file(uri, expected, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    config = parse_config(f'[mlflow]\ntracking_uri = "{uri}"', tmp_path / "regulars.toml")
    assert config.mlflow.tracking_uri == expected.format(base=tmp_path)


def test_the_environment_wins_over_the_file(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking:5000")
    assert parse_config("", WHERE).mlflow.tracking_uri == "http://tracking:5000"


def test_every_key_is_in_the_documentation():
    text = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
    sections = {
        name: field.annotation.model_fields
        for name, field in Config.model_fields.items()
        if name not in ("tables", "base")
    }
    keys = [f.alias or name for name, f in TableSettings.model_fields.items() if name != "columns"]
    keys += [key for fields in sections.values() for key in fields]
    keys += list(OfferOptions.model_fields)
    missing = [key for key in keys if f"`{key}`" not in text]
    missing += [f"[{name}]" for name in sections if f"## [{name}]" not in text]
    assert missing == []
