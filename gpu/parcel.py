"""Results in few files of limited size, and out of them again."""

from __future__ import annotations

import io
import shutil
import zipfile
from pathlib import Path

#: Bytes of a file, less than 16 MiB.
PIECE = 15 << 20

#: What need not travel: it can be made again, or was only of use on the way.
LEFT = ("scratch", "probe", "checkpoint.previous.pt")


def pack(results: Path, folder: Path) -> None:
    """The report, the models in one archive, and all that the same command goes on from in pieces of another."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("report.json", "report.md"):
        if (results / name).exists():
            shutil.copy(results / name, folder / name)
    files = [path for path in sorted(results.rglob("*")) if path.is_file()]
    files = [path for path in files if not any(part in LEFT for part in path.relative_to(results).parts)]
    done = {path.parent for path in files if path.name == "model.safetensors"}
    files = [path for path in files if path.name != "checkpoint.pt" or path.parent not in done]
    for old in folder.glob("results.zip.*"):
        old.unlink()
    data = archived(results, files)
    for number in range(-(-len(data) // PIECE)):
        (folder / f"results.zip.{number}").write_bytes(data[number * PIECE : (number + 1) * PIECE])
    models = [path for path in files if path.parent.name == "models"]
    if models:
        (folder / "models.zip").write_bytes(archived(results, models))


def archived(results: Path, files: list[Path]) -> bytes:
    """Files as an archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in files:
            archive.write(path, path.relative_to(results))
    return buffer.getvalue()


def unpack(folder: Path, results: Path) -> None:
    """What :func:`pack` left, back to its places."""
    pieces = sorted(folder.glob("results.zip.*"), key=lambda path: int(path.suffix[1:]))
    if not pieces:
        raise SystemExit(f"error: got {folder} without results.zip.0, expected what --copy left there")
    with zipfile.ZipFile(io.BytesIO(b"".join(piece.read_bytes() for piece in pieces))) as archive:
        archive.extractall(results)
