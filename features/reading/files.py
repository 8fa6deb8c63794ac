"""Find the files of a source."""

from pathlib import Path

from features.errors import InputError
from features.schema import TABLES, nearest, plain
from features.settings import SourceSettings, TableSettings

__all__ = [
    "PACKED",
    "SUFFIXES",
    "files_in",
    "find_files",
    "kind_of",
    "shown_path",
    "source_folder",
    "stem_of",
]

SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".pq")
PACKED = (".gz", ".zst")


def source_folder(source: SourceSettings, base: Path) -> Path:
    """The folder (or the one file) of a source; an `InputError` when it is not there."""
    folder = base / source.url
    if not folder.exists():
        raise InputError(
            f"The source folder {source.url!r} is not there (looked in {base}).",
            "Set [source] url to the folder with your files, or to duckdb:///file.duckdb.",
        )
    return folder


def files_in(folder: Path) -> list[Path]:
    """The data files of a folder, in order of their names."""
    if folder.is_file():
        return [folder]
    return sorted(path for path in folder.iterdir() if path.is_file() and kind_of(path) in SUFFIXES)


def kind_of(path: Path) -> str:
    """The ending that says what a file holds: `.csv` for `orders.csv.gz`."""
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix in PACKED else suffix


def stem_of(path: Path) -> str:
    """The name without endings: `orders` for `orders.csv.gz`."""
    return Path(path.stem).stem if path.suffix.lower() in PACKED else path.stem


def shown_path(path: Path, base: Path) -> str:
    """How a file is called: relative to the configuration where it lies below it."""
    try:
        return str(path.resolve().relative_to(base.resolve()))
    except ValueError:
        return str(path)


def find_files(
    source: SourceSettings, name: str, settings: TableSettings, base: Path
) -> list[Path]:
    """The files of a table: what `from` names (file, folder or glob), or the likely one.

    Raises:
        InputError: There is none, or it is not clear which one.
    """
    folder = source_folder(source, base)
    if settings.from_ is None:
        return [_guess_file(folder, name)]
    roots = [folder if folder.is_dir() else folder.parent, base]
    for root in roots:
        exact = root / settings.from_
        if exact.is_file():
            if kind_of(exact) not in SUFFIXES:
                raise InputError(
                    f"[tables.{name}] from = {settings.from_!r} is no file that can be read.",
                    f"Supported: {', '.join(SUFFIXES)}, also packed as .gz or .zst.",
                )
            return [exact]
        if exact.is_dir():
            found = files_in(exact)
        elif any(c in settings.from_ for c in "*?["):
            found = _glob(root, settings.from_)
        else:
            found = []
        if found:
            return found
    there = [path.name for path in files_in(folder)]
    hint = nearest(settings.from_, there) or (
        f"Files there: {', '.join(there[:10])}." if there else "The folder holds no data files."
    )
    raise InputError(
        f"[tables.{name}] from = {settings.from_!r}: no such file in {source.url!r}.", hint
    )


def _glob(root: Path, pattern: str) -> list[Path]:
    try:
        if Path(pattern).is_absolute():
            anchor = Path(Path(pattern).anchor)
            paths = anchor.glob(str(Path(pattern).relative_to(anchor)))
        else:
            paths = root.glob(pattern)
        return sorted(path for path in paths if path.is_file() and kind_of(path) in SUFFIXES)
    except (ValueError, NotImplementedError):
        return []


def _guess_file(folder: Path, name: str) -> Path:
    files = files_in(folder)
    table = TABLES[name]
    for group in ({plain(name)}, set(table.aliases)):
        found = [path for path in files if plain(stem_of(path)) in group]
        if len(found) == 1:
            return found[0]
        if found:
            raise InputError(
                f"Several files could hold {name}: {', '.join(path.name for path in found)}.",
                f'Say which in [tables.{name}]: from = "{found[0].name}"; a glob takes several.',
            )
    if len(files) == 1 and name == "transactions":
        return files[0]
    listed = ", ".join(path.name for path in files[:10]) or "no CSV or Parquet files"
    example = files[0].name if files else "orders.csv"
    raise InputError(
        f"No file for {name} in {folder.name!r}: found {listed}.",
        f'Name it in regulars.toml: [tables.{name}] from = "{example}".',
    )
