"""What a run tells: ``log.csv``, ``log.jsonl``, TensorBoard if asked, and a progress bar."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from geomedsr.errors import GeomedsrError
from geomedsr.progress import bar
from geomedsr.training.recipe import Recipe
from geomedsr.training.run import Run

_SCORES = ("psnr", "psnr_bicubic", "vgg", "vgg_bicubic", "grid", "grid_native")


class Logger:
    """One row every ``log_every`` steps: mean losses since the last, each alone and without its weight, and scores.

    A resumed run drops the rows past its checkpoint.
    """

    def __init__(self, folder: Path, recipe: Recipe, start: int, quiet: bool) -> None:
        losses = dict.fromkeys(loss.kind for _, stage in recipe.stages for loss in stage.losses)
        discriminator = ("discriminator",) if recipe.adversarial else ()
        self.columns = ("step", "stage", *losses, *discriminator, "learning_rate", "images_per_second", *_SCORES)
        self.csv, self.jsonl = folder / "log.csv", folder / "log.jsonl"
        self._keep_rows(start)
        self._board = _board(folder, start) if recipe.tensorboard else None
        self.bar = bar(recipe.steps, unit="step", done=start, title=recipe.name, wanted=not quiet)
        self.scores: dict[str, float] = {}
        self.row: dict[str, Any] = {}
        self._images, self._since = 0, time.perf_counter()

    def __enter__(self) -> Logger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()
        if self._board is not None:
            self._board.close()

    def add(self, run: Run, stage: str, terms: Mapping[str, float], rate: float, images: int) -> None:
        """A step's losses. They gather in the run, whose checkpoints hold them."""
        for name, value in {**terms, "steps": 1.0}.items():
            run.sums[name] = run.sums.get(name, 0.0) + value
        self._images += images
        self.row = {"step": run.step, "stage": stage, "learning_rate": rate}
        self.bar.update()

    def validated(self, scores: Mapping[str, float], bicubic: Mapping[str, float]) -> None:
        """Validation results, for the row to come and those after it."""
        self.scores = {**scores, **{f"{name}_bicubic": value for name, value in bicubic.items()}}

    def write(self, run: Run) -> None:
        """Write a row and begin the next."""
        speed = self._images / max(time.perf_counter() - self._since, 1e-9)
        steps = run.sums.pop("steps")
        means = {name: total / steps for name, total in run.sums.items()}
        run.sums.clear()
        row = {**self.row, **means, "images_per_second": speed, **self.scores}
        with open(self.csv, "a", newline="") as file:
            csv.DictWriter(file, self.columns, restval="").writerow({k: _short(v) for k, v in row.items()})
        with open(self.jsonl, "a") as file:
            file.write(json.dumps(row) + "\n")
        if self._board is not None:
            for name, value in row.items():
                if isinstance(value, float):
                    self._board.add_scalar(name, value, row["step"])
        shown = {name: f"{value:.4f}" for name, value in means.items()}
        self.bar.set_postfix({**shown, "images/s": f"{speed:.1f}"})
        self._images, self._since = 0, time.perf_counter()

    def _keep_rows(self, start: int) -> None:
        rows: list[dict[str, Any]] = []
        if self.csv.exists():
            with open(self.csv, newline="") as file:
                rows = [r for r in csv.DictReader(file) if tuple(r) == self.columns and _step(r) <= start]
        with open(self.csv, "w", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(rows)
        lines = self.jsonl.read_text().splitlines() if self.jsonl.exists() else []
        self.jsonl.write_text("".join(f"{line}\n" for line in lines if _step(_parsed(line)) <= start))


def _parsed(line: str) -> dict[str, Any]:
    try:
        return dict(json.loads(line))
    except ValueError:  # cut short by a kill
        return {}


def _step(row: Mapping[str, Any]) -> float:
    try:
        return int(row["step"])
    except (KeyError, TypeError, ValueError):
        return float("inf")


def _short(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value


def _board(folder: Path, start: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise GeomedsrError(
            "tensorboard: true without the package", "it installed", "pip install 'geomedsr[tensorboard]'"
        ) from error
    return SummaryWriter(str(folder / "tensorboard"), purge_step=start + 1)
