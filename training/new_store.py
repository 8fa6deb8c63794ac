"""Make a new SQLite store of MLflow, whole or not at all.

MLflow fills a new database in hundreds of steps. A process that is killed between two of them
leaves a file that MLflow can neither use nor mend, so the file is made aside and moved into place.
"""

import secrets
from pathlib import Path

from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

__all__ = ["make_store"]


def make_store(database: Path) -> None:
    """Make the store if there is none.

    Call it inside `training.champions.store_lock`: what a killed process left aside is removed.

    Args:
        database: Where; its folder is there.
    """
    if database.exists():
        if database.stat().st_size:
            return
        database.unlink()
    for old in database.parent.glob(f".{database.name}.*.new*"):
        old.unlink(missing_ok=True)
    aside = database.with_name(f".{database.name}.{secrets.token_hex(6)}.new")
    try:
        store = SqlAlchemyStore(f"sqlite:///{aside}", DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH)  # type: ignore[no-untyped-call]
        store.engine.dispose()
        try:
            database.hardlink_to(aside)
        except FileExistsError:
            return  # another program has made one meanwhile
        except OSError:  # a file system without hard links
            aside.replace(database)
    finally:
        aside.unlink(missing_ok=True)
