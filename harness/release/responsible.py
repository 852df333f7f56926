"""What a release says about responsible use: the RAI and PROV fields of Croissant.

Of the vocabulary (mlcommons.org/croissant/RAI/1.0) these are the fields that NeurIPS
asks of a data set, and those that have an answer here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import polars as pl

from harness.datasets.hub import HUB_SETS
from harness.foreign import UNKNOWN

HUB: Final = "https://huggingface.co/datasets"
"""Where published data sets are, whatever Hub a release was prepared with."""
PROV: Final = "http://www.w3.org/ns/prov#"
"""Vocabulary of provenance, prefix "prov" of `provenance`."""


def statements(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the RAI fields as arguments of `mlcroissant.Metadata`.

    Args:
        manifest: Manifest of the release; it tells imported runs and hidden ones.
    """
    origin = manifest.get("origin")
    particular = _recorded(manifest) if origin is None else _imported(origin)
    limitations = [
        *particular.pop("data_limitations"),
        "Runs of one family differ in the seed only, so data must be split by "
        "family_id, never by run.",
        "Seconds depend on the device and on what else it did.",
    ]
    if manifest["rows"].get("hidden_runs"):
        limitations.append(
            "Targets of the hidden runs are not part of the data set, and their "
            "configurations must not be trained again to find them."
        )
    return {
        **particular,
        "data_limitations": limitations,
        "data_collection_missing_data": "Null is not measured; NaN is measured and not "
        "finite. A step without a value is left out of its curve.",
        "data_preprocessing_protocol": [
            "Curves are neither smoothed nor thinned; they are cut into the segments "
            "0-4-10-20-30-50-100 % of a run's updates."
        ],
        "data_use_cases": [
            "Predicting final accuracy, robustness or divergence from early training.",
            "Comparing early signals by what they foretell and what they cost.",
            "Not meant for choosing a model to deploy.",
        ],
        "data_social_impact": "Runs that are stopped early save energy. A predictor "
        "that errs may stop good runs; scores should be read with their intervals.",
        "personal_sensitive_information": [
            "No data about people were collected. Images that were trained on are not "
            "included. The column error may hold tracebacks, which can name folders of "
            "a machine."
        ],
        "data_release_maintenance_plan": "A version never changes. Corrections come as "
        "a new version with an entry in the changelog of the card.",
    }


def _recorded(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is so of runs that this harness trained."""
    grids = ", ".join(manifest["grids"])
    return {
        "data_collection": "Recorded by runcast while it trained the configurations "
        f"{f'of the grids {grids}' if grids else 'in the table runs'}: training "
        "signals at each update, evaluations and probes at the steps that the "
        "configuration names. Version, commit and device stand in every row.",
        "data_collection_type": ["Software Collection"],
        "data_biases": [
            "The configurations are those that the authors of the grids chose; they "
            "are no random sample of what is trained in practice.",
            "A diverged run keeps its curve up to the first bad update and the "
            "accuracy of its last finite state; leaving it out favours bold settings.",
        ],
        "data_limitations": [
            "Small image and point sets and small networks: nothing says that what is "
            "learnt here holds for large models or other data."
        ],
    }


def _imported(origin: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is so of runs of another program."""
    return {
        "data_collection": "Recorded by another program and imported by runcast from "
        f"files of the format {origin['format']}; names of signals and settings are "
        "those of the source.",
        "data_collection_type": ["Secondary Data analysis"],
        "data_biases": [
            "The configurations are those that the authors of the source chose and "
            "kept; they are no random sample of what is trained in practice."
        ],
        "data_limitations": [
            "What the source does not tell is unknown here, and nothing of what it "
            "tells could be checked."
        ],
    }


def provenance(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that `mlcroissant.Metadata` has no argument for.

    Args:
        folder: The release, whose table of runs is in place.
        manifest: Its manifest.
    """
    urls = {s.name: f"{HUB}/{s.repo}" for s in HUB_SETS if s.repo is not None}
    runs = pl.scan_parquet(sorted((folder / "runs").glob("*.parquet")), glob=False)
    names: list[str] = []
    if "dataset.name" in runs.collect_schema():
        found = runs.select(pl.col("dataset.name").drop_nulls().unique().sort())
        names = [n for n in found.collect()["dataset.name"] if n != UNKNOWN]
    sources = [
        {"@type": "Dataset", "name": name}
        | ({"url": urls[name]} if name in urls else {})
        for name in names
    ]
    how = "training" if "origin" not in manifest else "import of another program's runs"
    activity = {
        "@type": "prov:Activity",
        "name": how,
        "description": f"By runcast {manifest['runcast_version']}, without annotators.",
    }
    return {
        "rai:hasSyntheticData": False,
        **({"prov:wasDerivedFrom": sources} if sources else {}),
        "prov:wasGeneratedBy": [activity],
    }
