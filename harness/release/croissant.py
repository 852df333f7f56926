"""`croissant.json` of a release: Croissant 1.0 with the responsible-AI fields.

Describes files, tables and columns for machines (mlcommons.org/croissant/1.0).
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from harness.manifest import HIDDEN_TABLES, TABLES
from harness.release.columns import ROWS_ARE, describe
from harness.release.licence import LICENCES, bibtex_entry
from harness.release.notes import Notes, Version
from harness.release.responsible import HUB, PROV, provenance, statements

_CONFORMS_TO: Final = (
    "http://mlcommons.org/croissant/1.0",
    "http://mlcommons.org/croissant/RAI/1.0",
)
_REPOSITORY: Final = "repo"
_NO_DIGEST: Final = "https://github.com/mlcommons/croissant/issues/80"
"""What stands for the digest of a repository, which has none."""
_FORMATS: Final = {
    ".parquet": "application/x-parquet",
    ".md": "text/markdown",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".cff": "application/yaml",
    ".json": "application/json",
}
_KEYWORDS: Final = (
    "learning curves",
    "training dynamics",
    "performance prediction",
    "hyperparameters",
    "benchmark",
)


def croissant_text(
    folder: Path, manifest_fields: Mapping[str, Any], notes: Notes
) -> str:
    """Return the text of `croissant.json`; equal arguments give equal text.

    In a folder addresses are relative to it. Of a Hub data set they are those of its
    version, and whoever has downloaded it tells mlcroissant so:
    `Dataset("croissant.json", mapping={"repo": FOLDER})`.

    Args:
        folder: The release, whose tables are in place.
        manifest_fields: Its manifest with every file that is to be listed.
        notes: Version, changes, licence.

    Raises:
        KeyError: A column is described nowhere.
    """
    import mlcroissant as mlc

    files: Mapping[str, Mapping[str, Any]] = manifest_fields["files"]
    tables = _tables(files)
    metadata = mlc.Metadata(
        name=manifest_fields["name"],
        description=_description(manifest_fields),
        license=[_licence(notes)],
        version=notes.version,
        date_published=notes.released,
        cite_as=bibtex_entry(
            manifest_fields["name"], manifest_fields["rows"]["runs"], notes
        ),
        creators=[mlc.Organization(name=author) for author in notes.authors],
        url=None if notes.repo is None else f"{HUB}/{notes.repo}",
        keywords=list(_KEYWORDS),
        conforms_to=list(_CONFORMS_TO),
        distribution=[*_objects(files, notes), *_sets(tables, notes)],
        record_sets=[
            _record_set(folder, table, names, imported="origin" in manifest_fields)
            for table, names in tables.items()
        ],
        **statements(manifest_fields),
    )
    data = metadata.to_json()
    data["@context"]["prov"] = PROV
    return json.dumps(data | provenance(folder, manifest_fields), indent=1) + "\n"


def _licence(notes: Notes) -> str:
    """Return the address of the licence, its name where there is none."""
    known = LICENCES.get(notes.licence)
    return known[1].removesuffix("legalcode") if known else notes.licence


def _tables(files: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the Parquet files of each table, in the order of the tables."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name in sorted(files):
        if name.endswith(".parquet"):
            found[name.split("/")[0]].append(name)
    return {table: found[table] for table in (*TABLES, *HIDDEN_TABLES) if found[table]}


def _objects(files: Mapping[str, Mapping[str, Any]], notes: Notes) -> Iterator[Any]:
    """Yield every file with its digest; of a Hub data set first the repository."""
    import mlcroissant as mlc

    base = ""
    if notes.repo is not None:
        tag = Version.of(notes.version).tag
        base = f"{HUB}/{notes.repo}/resolve/{tag}/"
        yield mlc.FileObject(
            id=_REPOSITORY,
            name=_REPOSITORY,
            description=f"The repository at {tag}",
            content_url=f"{HUB}/{notes.repo}/tree/{quote(f'refs/tags/{tag}', safe='')}",
            encoding_formats=["git+https"],
            sha256=_NO_DIGEST,
        )
    for name, entry in sorted(files.items()):
        yield mlc.FileObject(
            id=name,
            name=name,
            content_url=base + quote(name),
            content_size=f"{entry['bytes']} B",
            encoding_formats=[_FORMATS.get(Path(name).suffix, "text/plain")],
            sha256=entry["sha256"],
        )


def _sets(tables: Mapping[str, list[str]], notes: Notes) -> Iterator[Any]:
    import mlcroissant as mlc

    for table in tables:
        yield mlc.FileSet(
            id=f"{table}-files",
            name=f"{table}-files",
            description=f"Files of the table {table}",
            contained_in=[] if notes.repo is None else [_REPOSITORY],
            encoding_formats=["application/x-parquet"],
            includes=[f"{table}/*.parquet"],
        )


def _record_set(folder: Path, table: str, names: list[str], *, imported: bool) -> Any:
    """Return a table; one of a single file is read without knowing the others."""
    import mlcroissant as mlc

    def source(column: str) -> Any:
        extract = mlc.Extract(column=column)
        if len(names) == 1:
            return mlc.Source(file_object=names[0], extract=extract)
        return mlc.Source(file_set=f"{table}-files", extract=extract)

    fields = []
    for column in pq.read_schema(folder / names[0]):
        meaning, unit = describe(table, column.name, imported=imported)
        is_list = pa.types.is_list(column.type)
        kind = column.type.value_type if is_list else column.type
        fields.append(
            mlc.Field(
                id=f"{table}/{column.name}",
                name=column.name,
                description=f"{meaning} [{unit}]" if unit else meaning,
                data_types=[_data_type(kind)],
                repeated=is_list or None,
                source=source(column.name),
            )
        )
    return mlc.RecordSet(
        id=table,
        name=table,
        description=f"A row is {ROWS_ARE[table]}.",
        key=["runs/run_id"] if table == "runs" else None,
        fields=fields,
    )


def _data_type(kind: pa.DataType) -> str:
    import mlcroissant as mlc

    if pa.types.is_boolean(kind):
        return str(mlc.DataType.BOOL)
    if pa.types.is_integer(kind):
        return str(mlc.DataType.INTEGER)
    if pa.types.is_floating(kind):
        return str(mlc.DataType.FLOAT)
    return str(mlc.DataType.TEXT)  # a column without any value, too


def _description(manifest: Mapping[str, Any]) -> str:
    rows = manifest["rows"]
    hidden = (
        " Some runs are hidden: of them only the beginning is here, under random ids."
        if rows.get("hidden_runs")
        else ""
    )
    return (
        f"{rows['runs']:,} training runs of neural networks with configuration, "
        f"curves along the run, final scores and costs.{hidden} For predicting how a "
        "run ends from its first epochs."
    )
