"""What a worker keeps on its device for the whole grid: data and shifted test sets."""

from collections.abc import Callable

import torch

from harness.datasets import DataSet, Source
from harness.feed import DeviceCell, DeviceData, DeviceSplit
from harness.ood.base import OodCell
from harness.registry import DATASETS, OOD_SETS
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
        self._room = _room(device)

    def data(self, config: RunConfig) -> DeviceData:
        """Return the run's data set on the device."""
        return self._load(config.dataset)[1]

    def cells(self, config: RunConfig) -> list[DeviceCell]:
        """Return the cells of the run's out-of-distribution sets."""
        key = (config.dataset, config.recording.ood)
        if key not in self._cells:
            dataset = self._load(config.dataset)[0]
            self._cells[key] = [
                DeviceCell(
                    cell.set_name, cell.corruption, cell.severity, self._keeping(cell)
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

    def _keeping(self, cell: OodCell) -> Callable[[], DeviceSplit]:
        """Return a loader that keeps the cell on the device while there is room."""
        kept: list[DeviceSplit] = []

        def load() -> DeviceSplit:
            if kept:
                return kept[0]
            split = cell.load()
            on_device = DeviceSplit(split, self.device)
            if split.inputs.nbytes <= self._room:
                self._room -= split.inputs.nbytes
                kept.append(on_device)
            return on_device

        return load


def _room(device: torch.device) -> int:
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free * CUDA_SHARE)
    return CPU_BYTES
