"""Cards of image sets: what is registered in the harness, beside what only people know.

The corpus card quotes `harness.release.sources`; these pages have the particulars.
"""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Final

from harness.datasets import HUB_SETS, HubSet
from harness.datasets.digits import FINGERPRINT
from harness.ood import external, natural
from harness.ood.suite import SUITE, kept
from harness.registry import DATASETS, OOD_SETS, settable
from harness.release.sources import SOURCES
from harness.release.templates import render

FOLDER: Final = Path(__file__).parent
"""Where the cards lie."""
_CORRUPTED: Final = (external.CIFAR10_C, external.CIFAR100_C)
_NATURAL: Final = (external.CIFAR10_1_V4, external.CIFAR10_1_V6)
_SIDES: Final = (8, 16, 28, 32)


def names() -> list[str]:
    """Return the data sets and out-of-distribution sets of the harness, sorted."""
    return sorted(
        name
        for registry in (DATASETS, OOD_SETS)
        for name in registry.names()
        if registry.get(name).__module__.startswith("harness.")
    )


def card(name: str) -> str:
    """Return the card of a registered set.

    Raises:
        KeyError: Its origin and licence are not in `harness.release.sources`.
    """
    if name not in SOURCES:
        raise KeyError(
            f"nothing is known of the set {name!r}: add its origin, licence and limits "
            "to harness/release/sources.py"
        )
    registry = DATASETS if name in DATASETS.names() else OOD_SETS
    arguments = {
        key: _default(parameter)
        for key, parameter in settable(registry.get(name)).items()
    }
    role = "trained on" if registry is DATASETS else "scored on, out of distribution"
    return render(
        "image_set.md.j2",
        source=SOURCES[name],
        facts={"role": role, **_facts(name)},
        arguments=arguments,
    )


def write_cards() -> list[Path]:
    """Write the card of every registered set; return the paths."""
    paths = [FOLDER / f"{name}.md" for name in names()]
    for path in paths:
        path.write_text(card(path.stem), encoding="utf-8")
    return paths


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is inspect.Parameter.empty:
        return "must be given"
    return {"None": "all, or as stored", "()": "all"}.get(
        str(parameter.default), str(parameter.default)
    )


def _facts(name: str) -> dict[str, str]:
    """Return what the harness knows of a set, as rows of a table in Markdown."""
    hub = {found.name: found for found in HUB_SETS}
    if name in hub:
        return _hub(hub[name])
    for corrupted in _CORRUPTED:
        if name == corrupted.set_name:
            return _corrupted(corrupted)
    for files in _NATURAL:
        if name == files.set_name:
            return _natural(files)
    return _OTHERS.get(name, dict)()


def _hub(hub: HubSet) -> dict[str, str]:
    at = "in a local mirror only"
    if hub.repo is not None:
        at = f"`{hub.repo}` on the Hugging Face Hub, folder `{hub.folder}`"
    channels, height, width = hub.shape
    return {
        "read from": at,
        "pinned commit": "none" if hub.revision is None else f"`{hub.revision}`",
        "images": f"{channels} x {height} x {width}, stored as {hub.image_format}",
        "classes": str(hub.num_classes),
        "training part": f"`{hub.train}`: {hub.train_rows:,} images, of which "
        f"{hub.validation_size:,} are kept for validation unless told otherwise",
        "test part": f"`{hub.test}`: {hub.test_rows:,} images",
        "fingerprint of the decoded arrays": f"`{hub.fingerprint}`, required"
        if hub.fingerprint
        else "not pinned; that of each run is in `environment.data_fingerprint`",
    }


def _corrupted(files: external.CorruptedFiles) -> dict[str, str]:
    return {
        "read from": f"a local folder `{files.folder}` ({files.origin})",
        "cells": f"{len(files.corruptions)} corruptions x {external.SEVERITIES} "
        f"severities of {files.num_images:,} images",
        "images": f"3 x {files.side} x {files.side}",
        "classes": str(files.num_classes),
        "for models of": f"`{files.family}`",
        "checked": "shape, type and labels; digests where a file SHA256SUMS lies there",
    }


def _natural(files: external.NaturalFiles) -> dict[str, str]:
    return {
        "read from": f"a local folder `{files.folder}` ({files.origin}), files "
        f"`{files.images}` and `{files.labels}`",
        "cells": f"1 of {files.num_images:,} images",
        "images": f"3 x {files.side} x {files.side}",
        "classes": str(files.num_classes),
        "for models of": f"`{files.family}`",
        "checked": "shape, type and labels; digests where a file SHA256SUMS lies there",
    }


def _digits() -> dict[str, str]:
    return {
        "read from": "scikit-learn; nothing is downloaded",
        "images": "1,797 of 1 x 8 x 8, uint8: (255 v + 8) // 16 of the stored 0 to 16",
        "classes": "10",
        "parts": "fixed and stratified; what is neither training nor validation is "
        "the test part",
        "fingerprint of the decoded arrays": f"`{FINGERPRINT}`, required",
    }


def _suite() -> dict[str, str]:
    rows = {
        "corruptions": ", ".join(f"`{name}`" for name in SUITE),
        "severities": "1 to 5",
    }
    for side in _SIDES:
        for channels, kind in ((1, "grey"), (3, "colour")):
            count = len(kept(channels, side))
            rows[f"kept at {side} pixels, {kind}"] = f"{count} of {len(SUITE)}"
    return rows


def _cinic() -> dict[str, str]:
    files = natural.ImageFolders()
    return {
        "read from": f"a local folder `{files.folder}` ({files.origin})",
        "cells": f"1 of {files.num_images:,} images",
        "images": f"3 x {files.side} x {files.side}",
        "classes": str(len(natural.CLASSES)),
        "for models of": "`cifar10`",
    }


def _mnist_8() -> dict[str, str]:
    return {
        "read from": "the set `mnist`",
        "cells": "1 of 10,000 images",
        "images": "1 x 8 x 8",
        "classes": "10",
        "for models of": "`digits`",
    }


def _plane() -> dict[str, str]:
    return {"points": "float32, 2 coordinates", "classes": "2"}


_OTHERS: Final[dict[str, Callable[[], dict[str, str]]]] = {
    "digits": _digits,
    "corrupted": _suite,
    "cinic10": _cinic,
    "mnist-8": _mnist_8,
    "koch": _plane,
    "two-moons": _plane,
    "circles": _plane,
}
