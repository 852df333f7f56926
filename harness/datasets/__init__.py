"""Data sets: decoded once, checksummed, kept as uint8 arrays.

Importing a module of this package registers its sets under `DATASETS`: `digits`, the
image sets of `hub`, and points in the plane.
"""

from harness.datasets.base import DataSet, Source, Split
from harness.datasets.cache import cached
from harness.datasets.hub import HUB_SETS, HubSet
from harness.datasets.images import load_images
from harness.datasets.resample import area_resize, trim
from harness.datasets.source import find_source
from harness.datasets.split import stratified_split, stratified_subset

__all__ = [
    "HUB_SETS",
    "DataSet",
    "HubSet",
    "Source",
    "Split",
    "area_resize",
    "cached",
    "find_source",
    "load_images",
    "stratified_split",
    "stratified_subset",
    "trim",
]
