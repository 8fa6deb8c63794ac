"""Models are logged, loaded and promoted the same on PostgreSQL, with a server or without."""

import importlib.util
import urllib.error
import urllib.request

import boto3
import pandas as pd
import pytest
from mlflow import MlflowClient
from moto.server import ThreadedMotoServer

from features.errors import InputError
from regulars.config import load_config
from serving.registry import load
from training.champions import move_champion, registry_lock, reigns
from training.tracking import Tracking

pytestmark = pytest.mark.slow


def add_and_use(registry_kind, uri, churn_folder, churn_model, features):
    """Log a model as training does, twice; load it, move the champion, look back."""
    registry = registry_kind(uri)
    columns = features[churn_model.feature_names]
    tracking = Tracking(uri, "regulars")
    tracking.check()
    for _ in range(2):
        registry.add("regulars-churn", churn_folder, columns.head(3), metrics={"churn/auc": 0.7})
    loaded = load("regulars-churn", tracking_uri=uri)
    assert loaded.version == "2"
    expected = churn_model.predict(columns.head(20))
    pd.testing.assert_frame_equal(loaded.predict(columns.head(20)), expected, check_dtype=False)
    with registry_lock(uri, "regulars-churn"):
        move_champion(tracking.client, "regulars-churn", "1", way="hand", why="tried by a test")
    assert load("regulars-churn", tracking_uri=uri).version == "1"
    assert "tried by a test" in {reign.why for reign in reigns(tracking.client, "regulars-churn")}


@pytest.fixture
def used(churn_folder, churn_model, features, full_registry):
    """`add_and_use` with the small model."""
    kind = type(full_registry)
    return lambda uri: add_and_use(kind, uri, churn_folder, churn_model, features)


def test_a_server_on_postgresql_with_proxied_artifacts(
    used, mlflow_store, stores, server_module, tmp_path, capfd
):
    log, artifacts = tmp_path / "server.log", tmp_path / "artifacts"
    process, address = stores.start_server(mlflow_store, str(artifacts), log)
    try:
        used(address)
        located = MlflowClient(address).get_experiment_by_name("regulars").artifact_location
        assert located.startswith("mlflow-artifacts:/")
        assert len(list(artifacts.rglob("card.json"))) == 2
        # As compose.yaml has it: the name of the service is let in, any other is not.
        search = f"{address}/api/2.0/mlflow/registered-models/search?max_results=1"
        asked = urllib.request.Request(search, headers={"Host": "mlflow:5000"})
        urllib.request.urlopen(asked, timeout=30).close()
        asked = urllib.request.Request(search, headers={"Host": "elsewhere:5000"})
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(asked, timeout=30)
    finally:
        stores.stop(process)
    with pytest.raises(InputError) as gone:
        load("regulars-churn", tracking_uri=address)
    said = [*capfd.readouterr(), log.read_text(), str(gone.value)]
    kept = stores.everything_in(mlflow_store)
    stores.check_secrets(server_module.PASSWORD, [*said, kept], [artifacts])


def test_postgresql_without_a_server(
    used, mlflow_store, stores, server_module, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)  # where MLflow puts artifacts
    (tmp_path / "regulars.toml").write_text(f'[mlflow]\ntracking_uri = "{mlflow_store}"\n')
    uri = load_config(tmp_path / "regulars.toml").mlflow.tracking_uri
    if importlib.util.find_spec("psycopg2") is None:
        assert uri.startswith("postgresql+psycopg://")
    used(uri)
    wrong = uri.replace("s3cret", "wr0ng")
    for call in (
        lambda: load("regulars-churn", tracking_uri=wrong),
        Tracking(wrong, "regulars").check,
    ):
        with pytest.raises(InputError, match="password authentication failed") as refused:
            call()
        assert "wr0ng" not in str(refused.value)
    said = [*capfd.readouterr(), stores.everything_in(mlflow_store)]
    (tmp_path / "regulars.toml").unlink()
    stores.check_secrets(server_module.PASSWORD, said, [tmp_path])


def test_a_server_with_an_s3_store(used, mlflow_store, stores, server_module, tmp_path):
    simulated = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    simulated.start()
    try:
        host, port = simulated.get_host_and_port()
        keys = {"aws_access_key_id": "shop", "aws_secret_access_key": server_module.PASSWORD}
        place = f"http://{host}:{port}"
        s3 = boto3.client("s3", endpoint_url=place, region_name="us-east-1", **keys)
        s3.create_bucket(Bucket="models")
        process, address = stores.start_server(
            mlflow_store,
            "s3://models/regulars",
            tmp_path / "server.log",
            AWS_DEFAULT_REGION="us-east-1",
            MLFLOW_S3_ENDPOINT_URL=place,
            **{name.upper(): value for name, value in keys.items()},
        )
        try:
            used(address)
        finally:
            stores.stop(process)
        found = s3.list_objects_v2(Bucket="models")["Contents"]
        assert sum(entry["Key"].endswith("card.json") for entry in found) == 2
        said = [(tmp_path / "server.log").read_text(), stores.everything_in(mlflow_store)]
        stores.check_secrets(server_module.PASSWORD, said, [tmp_path])
    finally:
        simulated.stop()
