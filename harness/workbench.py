"""What a worker keeps on its device for the whole grid: data and shifted test sets."""

import os
from collections.abc import Callable

import torch

from harness.datasets import DataSet, Source, Split
from harness.environment import device_name
from harness.feed import DeviceCell, DeviceData, DeviceSplit
from harness.ood.base import OodCell
from harness.registry import DATASETS, OOD_SETS
from harness.seeds import stream
from harness.spec import Part, RunConfig

CPU_BYTES = 256 * 2**20
"""Shifted test images kept in memory on a CPU; more are loaded again when needed."""
CUDA_SHARE = 0.4
"""Share of a GPU's free memory that shifted test images may take."""


class Workbench:
    """Data sets and out-of-distribution cells on one device, loaded once."""

    def __init__(self, source: Source, device: torch.device) -> None:
        self._source = source
        self.device = device
        self._sets: dict[Part, tuple[DataSet, DeviceData]] = {}
        self._cells: dict[tuple[Part, tuple[Part, ...]], list[DeviceCell]] = {}
        self._prepared: set[tuple[Part, tuple[Part, ...]]] = set()
        self._room = _room(device)

    @property
    def device_name(self) -> str:
        """Return the name of the GPU, or cpu."""
        return device_name(self.device)

    def prepare(
        self,
        config: RunConfig,
        progress: Callable[[float], None] = lambda share: None,
    ) -> None:
        """Load the run's data and all its cells, once, so that scoring waits for none.

        Cells beyond the room on the device are made and kept on disk, where they are
        kept there at all. Workers that start together each take another order, so that
        they make different cells and find those of the others ready.

        Args:
            config: A resolved configuration.
            progress: Told the share of the cells that is there, after each of them.

        Raises:
            DataError: A data set is nowhere, or not as described.
        """
        self.data(config)
        cells = self.cells(config)
        if (key := (config.dataset, config.recording.ood)) in self._prepared:
            return
        self._prepared.add(key)
        order = stream(os.getpid(), "order of preparation").permutation(len(cells))
        for count, index in enumerate(order.tolist(), start=1):
            cells[index].load()
            progress(count / len(cells))

    def data(self, config: RunConfig) -> DeviceData:
        """Return the run's data set on the device."""
        return self._load(config.dataset)[1]

    def cells(self, config: RunConfig) -> list[DeviceCell]:
        """Return the cells of the run's out-of-distribution sets."""
        key = (config.dataset, config.recording.ood)
        if key not in self._cells:
            dataset, data = self._load(config.dataset)
            self._cells[key] = [
                DeviceCell(
                    cell.set_name,
                    cell.corruption,
                    cell.severity,
                    self._keeping(cell, data),
                )
                for part in config.recording.ood
                for cell in OOD_SETS.get(part.name)(
                    self._source, dataset, self.device, **part.params
                )
            ]
        return self._cells[key]

    def _load(self, part: Part) -> tuple[DataSet, DeviceData]:
        if part not in self._sets:
            dataset = DATASETS.get(part.name)(self._source, **part.params)
            self._sets[part] = (dataset, DeviceData(dataset, self.device))
        return self._sets[part]

    def _keeping(self, cell: OodCell, data: DeviceData) -> Callable[[], DeviceSplit]:
        """Return a loader that keeps the cell on the device while there is room."""
        kept: list[DeviceSplit] = []

        def load() -> DeviceSplit:
            if kept:
                return kept[0]
            split = cell.load()
            on_device = _moved(split, data)
            if split.inputs.nbytes <= self._room:
                self._room -= split.inputs.nbytes
                kept.append(on_device)
            return on_device

        return load


def _moved(split: Split, data: DeviceData) -> DeviceSplit:
    """Return a split on the device of `data`; a GPU fetches it without a wait."""
    moved = DeviceSplit(split, torch.device("cpu"))
    moved.inputs = data.to_device(split.inputs)
    moved.labels = data.to_device(split.labels)
    return moved


def _room(device: torch.device) -> int:
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free * CUDA_SHARE)
    return CPU_BYTES
