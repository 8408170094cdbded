"""Export of a model as an ONNX file, for deployment elsewhere."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path

import torch

from geomedsr._version import __version__
from geomedsr.errors import GeomedsrError, ModelError
from geomedsr.io.files import exists, reason, replacing, unwritable
from geomedsr.models.store import Model

#: The first operator set with all operators that torch's exporter emits for these networks; onnxruntime ≥ 1.17 reads
#: it.
OPSET = 18

#: The largest allowed difference between onnxruntime's and torch's results, for values of about 0 … 1.
TOLERANCE = 1e-4

#: Sizes that the file is checked with; it is traced with another.
_CHECKED = ((1, 40, 56), (3, 33, 17))


def export_onnx(model: Model, path: str | os.PathLike[str], *, overwrite: bool = False) -> float:
    """Write the generator as ONNX.

    Input ``lr``: ``(batch, C, height, width)`` float32, normalised as geomedsr does (see the metadata ``geomedsr``,
    which holds the model's card). Output ``sr``: ``(batch, C, s·height, s·width)``. Named bands are in the card's
    order. A model with ``k`` context slices on each side takes ``(2k + 1) · C`` channels, frame by frame.

    The file does not contain the observation operator: block means or k-space must be restored afterwards. Batch,
    height and width are dynamic. The file is checked with onnxruntime against torch, at sizes other than the traced
    one.

    Returns:
        The largest difference from torch.

    Raises:
        ModelError: packages are missing, the network is a third party's, or the results differ from torch's.
        OutputError: the path exists or cannot be written.
    """
    if not model.module.exports:
        raise ModelError(
            f"{model.descriptor.name}, a network of others", "a geomedsr model", "export it with its authors' tools"
        )
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401 - torch's exporter uses it
    except ImportError as error:
        raise ModelError(f"no package {error.name}", "it, for ONNX", "pip install 'geomedsr[onnx]'") from error
    target = Path(os.path.realpath(path))
    if target.exists() and not overwrite:
        raise exists(target)
    try:
        with replacing(target) as partial:
            return _exported(model, partial)
    except GeomedsrError:
        raise
    except OSError as error:
        raise unwritable(target, reason(error)) from error


def _exported(model: Model, partial: Path) -> float:
    """Write the ONNX file and return the largest difference from torch."""
    import onnx
    import onnxruntime

    card = model.descriptor
    example = torch.rand(2, card.inputs, 48, 64)
    free = {0: torch.export.Dim("batch"), 2: torch.export.Dim("height"), 3: torch.export.Dim("width")}
    with warnings.catch_warnings(), torch.inference_mode(False):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.module,
            (example,),
            str(partial),
            input_names=["lr"],
            output_names=["sr"],
            opset_version=OPSET,
            dynamic_shapes=(free,),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    proto = onnx.load(partial)
    facts = {**card.model_dump(mode="json"), "sha256": model.sha256, "realism": model.realism}
    onnx.helper.set_model_props(proto, {"geomedsr": json.dumps(facts)})
    proto.producer_name, proto.producer_version = "geomedsr", __version__
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, partial)
    session = onnxruntime.InferenceSession(str(partial), providers=["CPUExecutionProvider"])
    worst = 0.0
    for batch, height, width in _CHECKED:
        image = torch.rand(batch, card.inputs, height, width)
        with torch.inference_mode():
            wanted = model.module(image)
        got = torch.from_numpy(session.run(["sr"], {"lr": image.numpy()})[0])
        if got.shape != wanted.shape:
            raise ModelError(f"an ONNX file that gives {tuple(got.shape)}", f"{tuple(wanted.shape)}", "report it")
        worst = max(worst, float((got - wanted).abs().max()))
    if worst > TOLERANCE:
        raise ModelError(f"an ONNX file {worst:.2g} away from torch", f"at most {TOLERANCE:g}", "report it")
    return worst
