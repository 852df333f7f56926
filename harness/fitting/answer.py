"""The answer of `harness fit`: found, as one JSON document, as text, and saved."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from harness.columns import aligned
from harness.fits.multi_power import CurveErrors
from harness.fitting.pairs import fit_pairs
from harness.fitting.request import LOSS_TO_LOSS, MULTI_POWER, Request
from harness.fitting.result import GIVEN, TEST, TRAIN, Answer, Fit, Scored, mean_errors
from harness.fitting.scheduled import fit_scheduled
from harness.fitting.single import fit_single
from harness.measure import OK
from harness.storage import replacing, write_text

_COLUMNS: Final = ("R2", "MAE", "RMSE", "PredE", "WorstE")
_HEADINGS: Final = {TRAIN: "training files", TEST: "test files"}


def fit_files(request: Request) -> Answer:
    """Fit the law that is asked for, or score given parameters.

    Raises:
        ValueError: A file, an option or the parameters cannot be used.
    """
    if request.law == MULTI_POWER:
        return fit_scheduled(request)
    return fit_pairs(request) if request.law == LOSS_TO_LOSS else fit_single(request)


def document(answer: Answer) -> dict[str, Any]:
    """Return everything as one JSON document; what has no value is null."""
    return {
        "law": answer.law,
        "formula": answer.formula,
        "fits": [_fit_document(fit) for fit in answer.fits],
        **{part: _part_document(answer, part) for part in (TRAIN, TEST)},
        "notes": list(answer.notes),
    }


def write_files(request: Request, answer: Answer) -> list[str]:
    """Write parameters and figure where they are asked for; return what was done.

    Raises:
        StorageError: A file could not be written.
    """
    said = []
    if request.save is not None:
        done = save_parameters(answer, request.save)
        said.append(
            f"parameters: {request.save if done else 'none were found, none written'}"
        )
    if request.figure is not None:
        from harness.fitting.figure import fit_figure  # brings matplotlib

        with replacing(request.figure) as temporary:
            kind = request.figure.suffix[1:]
            fit_figure(answer).savefig(temporary, dpi=150, format=kind)
        said.append(f"figure: {request.figure}")
    return said


def save_parameters(answer: Answer, path: Path) -> bool:
    """Write the parameters for `--params`; return whether there are any.

    One set for all files, or one by file.

    Raises:
        StorageError: The file could not be written.
    """
    found = [fit for fit in answer.fits if fit.has_law]
    if not found:
        return False
    parameters: Mapping[str, Any] = {str(f.file): dict(f.values) for f in found}
    if found[0].file is None:
        parameters = dict(found[0].values)
    data = {
        "law": answer.law,
        "parameters": parameters,
        "fitted_to": [s.file for s in answer.scored if s.part == TRAIN],
    }
    write_text(path, json.dumps(data, indent=1) + "\n")
    return True


def answer_text(answer: Answer) -> str:
    """Return the answer as text: parameters, then errors a file and their mean."""
    lines = [f"{answer.law}: {answer.formula}"]
    for fit in answer.fits:
        lines += ["", *_fit_lines(fit)]
    for part in (TRAIN, TEST):
        scored = _of(answer, part)
        if scored:
            lines += ["", *_part_lines(scored, _HEADINGS[part])]
    if answer.notes:
        lines += ["", *answer.notes]
    return "\n".join(lines)


def _of(answer: Answer, part: str) -> list[Scored]:
    return [s for s in answer.scored if s.part == part]


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


def _fit_document(fit: Fit) -> dict[str, Any]:
    return {
        "file": fit.file,
        "status": fit.status,
        "n": fit.n,
        "window": None if fit.window is None else list(fit.window),
        "estimator": fit.estimator,
        "settings": dict(fit.settings),
        "parameters": {
            name: {
                "value": value,
                "se": _finite(fit.errors.get(name)),
                "unit": fit.units.get(name),
            }
            for name, value in fit.values.items()
        },
        "diagnostics": {q: _finite(value) for q, value in fit.diagnostics.items()},
    }


def _part_document(answer: Answer, part: str) -> dict[str, Any]:
    scored = _of(answer, part)
    files = []
    for s in scored:
        row: dict[str, Any] = {
            "file": s.file,
            "status": s.status,
            "rows": len(s.x),
            "scored": int(s.scored.sum()),
            **_errors_document(s.errors()),
        }
        if s.known is not None:
            fresh = ~s.known
            unseen = _errors_document(s.errors(fresh))
            row["unseen"] = {"scored": int((s.scored & fresh).sum()), **unseen}
        files.append(row | {"note": s.note or None})
    mean, count = mean_errors(scored)
    found: dict[str, Any] = {
        "files": files,
        "mean": {"files": count, **_errors_document(mean)},
    }
    masks = [~s.known for s in scored if s.known is not None]
    if masks:
        mean, count = mean_errors(scored, masks)
        found["mean_unseen"] = {"files": count, **_errors_document(mean)}
    return found


def _errors_document(errors: CurveErrors | None) -> dict[str, float | None]:
    values = [None] * len(CurveErrors._fields) if errors is None else list(errors)
    return {
        name: _finite(v) for name, v in zip(CurveErrors._fields, values, strict=True)
    }


def _fit_lines(fit: Fit) -> list[str]:
    """Return the parameters with standard errors, a line each."""
    where = fit.file or "all files"
    used = "" if fit.n is None else f", {fit.n} rows"
    if fit.window is not None:
        used += f" from {fit.window[0]:g} to {fit.window[1]:g}"
    head = f"parameters, {where}{used}: {fit.status}"
    if not fit.has_law:
        return [f"{head}; no parameters"]
    rows = [("", "value", "se", "unit")]
    for name, value in fit.values.items():
        error = _finite(fit.errors.get(name))
        se = "-" if error is None else f"{error:.3g}"
        rows.append((f"  {name}", f"{value + 0.0:.8g}", se, fit.units.get(name, "")))
    return [head, *aligned(rows, right=(1, 2))]


def _part_lines(scored: Sequence[Scored], heading: str) -> list[str]:
    """Return a line of errors a file, their mean, and the notes about files."""
    rows = [[heading, "scored", *_COLUMNS, ""]]
    for s in scored:
        why = "no row to score" if s.status in (OK, GIVEN) else s.status
        cells = _cells(s.errors())
        rows.append(
            [f"  {s.file}", f"{s.scored.sum()}", *cells, "" if s.scored.any() else why]
        )
    mean, count = mean_errors(scored)
    rows.append([f"  mean of {count} of {len(scored)}", "", *_cells(mean), ""])
    masks = [~s.known for s in scored if s.known is not None]
    if any(not mask.all() for mask in masks):
        mean, count = mean_errors(scored, masks)
        rows.append([f"  mean of {count}, unseen", "", *_cells(mean), ""])
    notes: dict[str, list[str]] = {}
    for s in scored:
        if s.note:
            notes.setdefault(s.note, []).append(s.file)
    told = [
        f"  {'every file' if len(files) == len(scored) else ', '.join(files)}: {note}"
        for note, files in notes.items()
    ]
    return [*aligned(rows, right=range(1, len(rows[0]) - 1)), *told]


def _cells(errors: CurveErrors | None) -> list[str]:
    """Return the five errors with the digits of arXiv 2503.12811."""
    if errors is None:
        return ["-"] * len(_COLUMNS)
    cells = [f"{errors.r2:.4f}", *(f"{value:.5f}" for value in errors[1:])]
    return ["-" if cell == "nan" else cell for cell in cells]
