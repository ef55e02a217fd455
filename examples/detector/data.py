"""Images with boxes: made scenes, whose ratio of background to foreground is set, and a folder of real ones."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHAPES = ("disc", "square", "cross")


@dataclass(frozen=True)
class Images:
    """Pixels (n, channels, height, width) in [0, 1]; per image boxes (m, 4) as x1, y1, x2, y2 and class ids (m,)."""

    pixels: NDArray[np.float32]
    boxes: list[NDArray[np.float32]]
    labels: list[NDArray[np.int64]]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.pixels)


@dataclass(frozen=True)
class Scenes:
    """How scenes are made: side of an image in pixels, objects on it and their sides, how rare each class is."""

    side: int = 96
    most_objects: int = 3
    smallest: float = 12.0
    largest: float = 32.0
    shares: tuple[float, ...] = (0.6, 0.3, 0.1)
    clutter: int = 14
    noise: float = 0.12


def make_scenes(n: int, recipe: Scenes, seed: int) -> Images:
    """Shapes on clutter: lines, blobs and corners that look like parts of objects, under noise."""
    rng = np.random.default_rng(seed)
    pixels = np.empty((n, 1, recipe.side, recipe.side), np.float32)
    boxes, labels = [], []
    for image in pixels:
        canvas = rng.normal(0.5, recipe.noise, (recipe.side, recipe.side)) + _shading(recipe.side, rng)
        for _ in range(recipe.clutter):
            _draw_clutter(canvas, rng)
        placed: list[NDArray[np.float32]] = []
        ids: list[int] = []
        for _ in range(int(rng.integers(1, recipe.most_objects + 1))):
            box = _free_place(placed, recipe, rng)
            if box is None:
                break
            kind = int(rng.choice(len(recipe.shares), p=recipe.shares))
            _draw_object(canvas, box, kind, rng)
            placed.append(box)
            ids.append(kind)
        image[0] = np.clip(canvas, 0.0, 1.0)
        boxes.append(np.array(placed, np.float32).reshape(-1, 4))
        labels.append(np.array(ids, np.int64))
    return Images(pixels, boxes, labels, SHAPES)


def _shading(side: int, rng: np.random.Generator) -> NDArray[np.float64]:
    y, x = np.mgrid[0:side, 0:side] / side
    a, b, phase = rng.normal(0, 2, 3)
    return 0.12 * np.sin(a * x + b * y + phase)


def _window(canvas: NDArray[np.float64], x: tuple[float, float], y: tuple[float, float]) -> tuple[Any, Any, Any]:
    """The part of a canvas between two columns and two rows, and its pixels' rows and columns: a cheap drawing."""
    side = len(canvas)
    (left, right), (top, bottom) = ((max(int(low), 0), min(int(high) + 1, side)) for low, high in (x, y))
    return canvas[top:bottom, left:right], *np.mgrid[top:bottom, left:right]


def _draw_clutter(canvas: NDArray[np.float64], rng: np.random.Generator) -> None:
    """A stroke or a soft blob, as bright as objects are."""
    x, y = rng.uniform(0, len(canvas), 2)
    length = rng.uniform(3, 14)
    delta = rng.choice([-1, 1]) * rng.uniform(0.2, 0.45)
    reach = 1.5 * length + 2  # beyond, a stroke has ended and a blob is less than half of float32's last digit
    part, grid_y, grid_x = _window(canvas, (x - reach, x + reach), (y - reach, y + reach))
    if rng.random() < 0.5:
        angle = rng.uniform(0, np.pi)
        along = (grid_x - x) * np.cos(angle) + (grid_y - y) * np.sin(angle)
        across = (grid_y - y) * np.cos(angle) - (grid_x - x) * np.sin(angle)
        part[(np.abs(along) < length) & (np.abs(across) < 1.2)] += delta
    else:
        part += delta * np.exp(-((grid_x - x) ** 2 + (grid_y - y) ** 2) / (2 * (length / 4) ** 2))


def _free_place(
    placed: list[NDArray[np.float32]], recipe: Scenes, rng: np.random.Generator
) -> NDArray[np.float32] | None:
    for _ in range(20):
        width = float(np.exp(rng.uniform(np.log(recipe.smallest), np.log(recipe.largest))))
        height = min(recipe.largest, width * float(np.exp(rng.normal(0, 0.25))))
        x, y = rng.uniform(0, recipe.side - width), rng.uniform(0, recipe.side - height)
        box = np.array([x, y, x + width, y + height], np.float32)
        if all(min(box[2], o[2]) < max(box[0], o[0]) or min(box[3], o[3]) < max(box[1], o[1]) for o in placed):
            return box
    return None


def _draw_object(canvas: NDArray[np.float64], box: NDArray[np.float32], kind: int, rng: np.random.Generator) -> None:
    part, grid_y, grid_x = _window(canvas, (box[0], box[2]), (box[1], box[3]))
    u = (grid_x + 0.5 - (box[0] + box[2]) / 2) / ((box[2] - box[0]) / 2)
    v = (grid_y + 0.5 - (box[1] + box[3]) / 2) / ((box[3] - box[1]) / 2)
    if kind == 0:
        inside = u**2 + v**2 <= 1
    elif kind == 1:
        inside = (np.abs(u) <= 1) & (np.abs(v) <= 1)
    else:
        inside = (np.abs(u) <= 1) & (np.abs(v) <= 1) & ((np.abs(u) < 0.35) | (np.abs(v) < 0.35))
    part[inside] += rng.choice([-1, 1]) * rng.uniform(0.25, 0.5)


def read_bccd(folder: Path, split: str, side: int = 128) -> Images:
    """Blood cells (BCCD, MIT licence): 640 × 480 photographs, here ``side`` pixels high; three classes, the rarest 8 %.

    ``split`` is "train", "val" or "test", as the folder's ImageSets has them. Degenerate boxes are skipped.
    """
    from PIL import Image

    names = (folder / "ImageSets" / "Main" / f"{split}.txt").read_text().split()
    classes = ("RBC", "WBC", "Platelets")
    rows: dict[str, list[tuple[float, ...]]] = {}
    with (folder / "boxes.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            box = tuple(float(row[key]) for key in ("xmin", "ymin", "xmax", "ymax"))
            if box[2] > box[0] and box[3] > box[1]:
                rows.setdefault(row["filename"], []).append((*box, classes.index(row["cell_type"])))
    pixels, boxes, labels = [], [], []
    for name in names:
        with Image.open(folder / "JPEGImages" / f"{name}.jpg") as image:
            scale = side / image.height
            small = image.convert("RGB").resize((round(image.width * scale / 16) * 16, side))
            factors = np.array([small.width / image.width, scale] * 2, np.float32)
        found = np.array(rows.get(f"{name}.jpg", []), np.float32).reshape(-1, 5)
        pixels.append(np.asarray(small, np.float32).transpose(2, 0, 1) / 255)
        boxes.append(found[:, :4] * factors)
        labels.append(found[:, 4].astype(np.int64))
    return Images(np.stack(pixels), boxes, labels, classes)
