"""The JPEG streams of the frames of a series."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.encaps import get_frame

from geomedsr.errors import InputError
from geomedsr.jpeg.coded import Streams
from geomedsr_dicom.attributes import load, quiet

#: Transfer syntaxes of the JPEG family (PS3.5, annex A.4).
_JPEG = "1.2.840.10008.1.2.4."

#: Those of it that are no JPEG: MPEG, and what follows.
_FIRST_OTHER = 100


@dataclass(frozen=True)
class SeriesStreams(Streams):
    """One stream for each frame: ``places`` are files, and frames in them."""

    places: tuple[tuple[str, int], ...]
    size: tuple[int, int]
    tile: tuple[int, int]
    name: str
    luma: bool | None = None

    def stream(self, frame: int, row: int, column: int) -> tuple[bytes, bytes]:
        """See :class:`geomedsr.jpeg.coded.Streams`."""
        path, index = self.places[frame]
        try:
            with quiet():
                dataset, _ = load(path, pixels=True)
                count = int(dataset.get("NumberOfFrames") or 1)
                if not _compressed(str(dataset.file_meta.get("TransferSyntaxUID", ""))):
                    raise InputError(f"slice {frame + 1} of {self.name}, which is not compressed", "JPEG", "give JPEG")
                return get_frame(dataset.PixelData, index, number_of_frames=count), b""
        except InputError:
            raise
        except Exception as error:  # pydicom raises whatever it likes; some texts quote header values
            raise InputError(
                f"slice {frame + 1} of {self.name}, whose JPEG stream cannot be read", "a whole file", "copy it again"
            ) from error


def streams_of(places: tuple[tuple[str, int], ...], size: tuple[int, int]) -> SeriesStreams | None:
    """The streams of the frames of a series, if its first one is compressed as JPEG."""
    with quiet():
        dataset, _ = load(places[0][0])
    if not _compressed(str(dataset.file_meta.get("TransferSyntaxUID", ""))):
        return None
    high, wide = (-(-length // 32) * 32 for length in size)
    return SeriesStreams(places, size, (high, wide), "the series")


def _compressed(syntax: str) -> bool:
    """Whether a transfer syntax is of the JPEG family."""
    last = syntax.removeprefix(_JPEG)
    return syntax.startswith(_JPEG) and last.isdigit() and int(last) < _FIRST_OTHER
