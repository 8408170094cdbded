"""Model files: safetensors weights with one JSON blob, found by name or path. No code in a file is ever run.

Third-party checkpoints are read by :mod:`geomedsr.models.third_party`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import pydantic
import torch
from safetensors import SafetensorError, safe_open

from geomedsr.errors import ModelError
from geomedsr.geometry import Factors
from geomedsr.models.compact import Compact
from geomedsr.models.deblocking import Deblocking
from geomedsr.models.descriptor import Descriptor, IntervalFacts
from geomedsr.models.files import ADVERSARIAL, BLOB, INTERVAL
from geomedsr.models.filling import Filling
from geomedsr.models.guided import Guided
from geomedsr.models.half_width import INVENTED, PORT, FaithfulBeside, HalfWidthHead, attached
from geomedsr.models.network import Network
from geomedsr.models.ports import Ports
from geomedsr.models.rrdb import RRDBNet
from geomedsr.models.slices import Slices
from geomedsr.models.srresnet import SRResNet
from geomedsr.models.third_party import SUFFIXES, load_community
from geomedsr.operators import OPERATORS
from geomedsr.plugins import Registry, imported
from geomedsr.providers import provider
from geomedsr.scene.scaling import PERCENTILES

#: Architectures by their name in descriptors. Plugins add their own with ``ARCHITECTURES.register(name, network)``.
#: They are called with ``scale`` and ``channels``, the descriptor's options, and, where a descriptor has them,
#: ``frames`` (the frame itself and its context), ``frame_factor``, ``heads`` (the Factors of each) and ``ports``.
ARCHITECTURES: Registry[Callable[..., Network]] = Registry(
    "architecture",
    {
        "compact": Compact,
        "deblocking": Deblocking,
        "filling": Filling,
        "guided": Guided,
        "rrdb": RRDBNet,
        "slices": Slices,
        "srresnet": SRResNet,
    },
)

#: The default model for each domain.
_DEFAULTS = {"satellite": "satellite-x4", "CT": "ct-x2", "MR": "mr-x2"}

#: The model for new slices of each domain.
_SLICES = {"CT": "ct-slices", "MR": "mr-slices"}

_SUFFIX = ".safetensors"


@dataclass(frozen=True, eq=False)
class Model:
    """A loaded model: its ``descriptor``, its ``module`` (a torch module in eval mode), its file's hash.

    ``realism`` is the share of the adversarial weights in the ones that it uses. With several heads, it uses the one
    for the descriptor's factors. ``profile`` is how wide it takes slices to be. ``interval`` tells that it makes
    half-widths, too. It is pickled as a reference to its file, so that each worker process loads the weights itself,
    once.
    """

    descriptor: Descriptor
    module: Network
    sha256: str
    path: str
    realism: float = 0.0
    profile: float = 0.0
    interval: bool = False

    @property
    def radius(self) -> int:
        """The generator's receptive radius in input pixels."""
        return self.module.receptive_radius

    @property
    def tiling(self) -> str:
        """``"exact"``: tiles equal the untiled result. Else, for some third-party networks, what is done instead."""
        return self.module.tiling

    @property
    def halo(self) -> tuple[int, int, int]:
        """The context that the generator sees on each side of what it makes: frames, rows, columns."""
        return self.descriptor.neighbours, self.radius, self.radius

    def with_factors(self, factors: Iterable[int]) -> Model:
        """The model with its head for these factors, along ``(frame, y, x)``: a Factors, or three whole numbers.

        Raises:
            InputError: it has no such head.
        """
        card = self.descriptor.choosing(factors)
        if card.factors == self.descriptor.factors:
            return self
        return replace(self, descriptor=card, module=self.module.chosen(card.factors))

    def with_profile(self, profile: float) -> Model:
        """The model for slices of another profile (:class:`geomedsr.geometry.profile.Profile`), if it asks for it."""
        if not self.module.knows_profile or profile == self.profile:
            return self
        return replace(self, profile=profile, module=self.module.through(profile))

    def with_realism(self, realism: float) -> Model:
        """The model with another share of its adversarial weights, 0 … 1, loaded from its file.

        Raises:
            ModelError: as for :func:`load_model`.
        """
        model = load_model(self.path, realism).with_factors(self.descriptor.factors).with_profile(self.profile)
        return model.with_interval() if self.interval else model

    def with_interval(self) -> Model:
        """The model with its output ``halfwidth``: half-widths around its result at realism 0, not yet calibrated.

        Raises:
            ModelError: its file has no head for them.
        """
        if self.interval:
            return self
        facts = self.descriptor.interval
        if facts is None:
            raise ModelError(
                f"an interval of the model {self.descriptor.name} {self.descriptor.version}, which has no head for it",
                "a model that has one",
                "leave it out, or train one with `geomedsr train RECIPE --interval-of FILE`",
            )
        content = self if self.realism == 0 else load_model(self.path, 0.0 if self.descriptor.adversarial else None)
        return with_head(self, content.module, _head_in(self.path, facts))

    def __reduce__(self) -> tuple[Any, ...]:
        shipped = available().get(self.descriptor.name)
        found = self.descriptor.name if shipped and os.fspath(shipped.resolve()) == self.path else self.path
        parts = (ARCHITECTURES.module(self.descriptor.architecture), OPERATORS.module(self.descriptor.operator))
        modules = tuple(dict.fromkeys(module for module in parts if module is not None))
        realism = self.realism if self.descriptor.adversarial else None
        chosen = tuple(self.descriptor.factors), self.profile, self.interval
        return _the_same, (found, realism, self.sha256, modules, *chosen)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        chosen = (tuple(self.descriptor.factors),) if self.descriptor.heads else ()
        told = ((self.profile,) if self.profile else ()) + (("interval",) if self.interval else ())
        return self.sha256, self.realism, *chosen, *told

    def __repr__(self) -> str:
        d = self.descriptor
        return f"<geomedsr.Model {d.name} {d.version}: {d.offered}, {d.sees}, {d.architecture}>"

    def _repr_html_(self) -> str:
        return str(provider("model.card")(self))


def build(descriptor: Descriptor) -> Network:
    """A new module of a descriptor's architecture.

    Raises:
        ModelError: unknown architecture, or options that it does not accept.
    """
    make = ARCHITECTURES.find(descriptor.architecture)
    facts: dict[str, Any] = {"scale": descriptor.scale, "channels": descriptor.channels}
    if descriptor.neighbours:  # passed only where a descriptor has it, as the options below
        facts["frames"] = descriptor.frames
    if descriptor.frame_factor > 1:
        facts["frame_factor"] = descriptor.frame_factor
    if descriptor.heads:
        facts["heads"] = tuple(Factors(*head) for head in descriptor.heads)
    if descriptor.ports != Ports():
        facts["ports"] = descriptor.ports
    try:
        if "frames" in descriptor.options:
            raise ValueError("frames follow from neighbours")
        return make(**facts, **descriptor.options)
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        raise ModelError(
            f"options {descriptor.options} for {descriptor.architecture}", "options it takes", str(error)
        ) from error


def available() -> dict[str, Path]:
    """The shipped models: name → file."""
    folder = resources.files("geomedsr.models") / "weights"
    return {p.name.removesuffix(_SUFFIX): Path(str(p)) for p in folder.iterdir() if p.name.endswith(_SUFFIX)}


def default_model(domain: str) -> str:
    """The name of the model shipped for a domain.

    Raises:
        ModelError: the domain is unknown, or no model is shipped for it.
    """
    if domain in _DEFAULTS:
        return _DEFAULTS[domain]
    what = f"a scene of the domain {domain}" if domain else "a file that does not say what it shows"
    raise ModelError(what, "a model", f"name one with --model: {', '.join(sorted(available()))}, or a file")


def default_slices(domain: str) -> str:
    """The name of the model for new slices of a domain.

    Raises:
        ModelError: there is none.
    """
    if domain in _SLICES:
        return _SLICES[domain]
    what = "a file that does not say what it shows" if not domain else f"a scene of the domain {domain}"
    raise ModelError(f"new slices for {what}", "CT or MR", "name a model with --model: ct-slices or mr-slices")


def load_model(name_or_file: str | os.PathLike[str], realism: float | None = None) -> Model:
    """Load a shipped model by name, or a file by path.

    The file is a geomedsr model, or a third-party checkpoint (``.pth``, ``.pt``, ``.ckpt``, ``.safetensors``) of an
    architecture that the package ``spandrel`` knows.

    ``realism`` interpolates between the weights from the content stage (0, the most faithful) and those from the
    adversarial stage (1), weight by weight (ESRGAN, arXiv:1809.00219, section 3.4). The default is the card's.

    Raises:
        ModelError: there is no such model or file; the file is truncated or holds no weights; its architecture is
            unknown, or the weights do not fit it; ``realism`` is outside 0 … 1, or the model has content weights alone.
    """
    if realism is not None and not 0 <= realism <= 1:
        raise ModelError(
            f"a realism of {realism:g}", "0 (most faithful) … 1 (most lifelike)", "choose a number between them"
        )
    text = os.fspath(name_or_file)
    path = available().get(text, Path(text))
    if not path.is_file():
        what = f"the model {text!r}" + (" (a directory)" if path.is_dir() else ", which is no file")
        raise ModelError(what, f"one of {sorted(available())} or a {_SUFFIX} or .pth file", "see `geomedsr models`")
    stat = path.stat()
    return _load(str(path.resolve()), realism, stat.st_mtime_ns, stat.st_size)


def with_head(model: Model, content: Network, head: HalfWidthHead) -> Model:
    """A model with a head of half-widths around the result of its ``content`` weights.

    Raises:
        ModelError: its architecture has no place for a head.
    """
    try:
        faithful = attached(content, head)
    except TypeError as error:
        raise _headless(model) from error
    module = faithful if model.realism == 0 else FaithfulBeside(model.module, faithful)
    added = (PORT,) if model.realism == 0 else (PORT, INVENTED)
    ports = Ports(inputs=model.descriptor.ports.inputs, outputs=(*model.descriptor.ports.outputs, *added))
    card = model.descriptor.model_copy(update={"ports": ports})
    return replace(model, descriptor=card, module=module.eval().requires_grad_(False), interval=True)


def new_head(model: Model, hidden: int) -> HalfWidthHead:
    """A new head that fits a model's network.

    Raises:
        ModelError: its architecture has no place for one.
    """
    make = getattr(model.module, "head_of_half_widths", None)
    if make is None:
        raise _headless(model)
    head: HalfWidthHead = make(hidden)
    return head


def _headless(model: Model) -> ModelError:
    return ModelError(
        f"a head of half-widths for {model.descriptor.name} of the architecture {model.descriptor.architecture}",
        "the architecture compact",
        "use another model",
    )


def _head_in(path: str, facts: IntervalFacts) -> HalfWidthHead:
    """The head that a model file holds."""
    with safe_open(path, framework="pt") as file:
        names = [name for name in file.keys() if name.startswith(INTERVAL)]  # noqa: SIM118 (no mapping)
        state = {name.removeprefix(INTERVAL): file.get_tensor(name) for name in names}
    width, made = state["first.weight"].shape[1], state["last.weight"].shape[0]
    head = HalfWidthHead(width, made, facts.hidden)
    head.load_state_dict(state)
    return head


def _the_same(
    name_or_file: str,
    realism: float | None,
    sha256: str,
    modules: tuple[str, ...],
    factors: tuple[int, int, int],
    profile: float,
    interval: bool,
) -> Model:
    """Unpickle a model: load it again in this process, by name from this installation, or from the same path.

    ``modules`` are imported first; they register its architecture and its operator. ``factors`` select its head,
    ``profile`` is how wide it takes slices to be, and ``interval`` whether it makes half-widths, too.

    Raises:
        ModelError: the file differs in this process, or a module cannot be imported.
    """
    imported(modules)
    model = load_model(name_or_file, realism)
    if model.sha256 != sha256:
        raise ModelError(
            f"the model {name_or_file}, which is another file in this process",
            "the same everywhere",
            "install it there",
        )
    model = model.with_factors(factors).with_profile(profile)
    return model.with_interval() if interval else model


@lru_cache(maxsize=8)
def _load(path: str, realism: float | None, mtime_ns: int, size: int) -> Model:
    # mtime_ns and size are only part of the cache's key: a file that has changed is loaded again.
    def broken(why: str) -> ModelError:
        return ModelError(f"the model file {path} ({why})", "a whole geomedsr model file", "copy or train it again")

    if path.lower().endswith(SUFFIXES):
        return _foreign(path, realism)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
        sha256 = _sha256(path)
    except (SafetensorError, OSError) as error:
        raise broken(f"not readable as safetensors: {error}") from error
    if BLOB not in metadata:
        return _foreign(path, realism, state)
    try:
        descriptor = Descriptor.model_validate_json(metadata[BLOB])
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        raise broken(f"description: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    if descriptor.value_scale == "percentiles" and descriptor.value_range != PERCENTILES:
        raise broken(f"a value range of percentiles {descriptor.value_range}, where {PERCENTILES} is known")
    if not descriptor.value_range[0] < descriptor.value_range[1]:
        raise broken(f"a value range {descriptor.value_range} whose ends are not in order")
    if descriptor.heads and tuple(descriptor.factors) != descriptor.heads[0]:
        raise broken(f"a scale and frame_factor for {tuple(descriptor.factors)}, not for the first of its heads")
    with torch.device("meta"):  # shapes only: a wrong description must not allocate memory
        expected = {key: tensor.shape for key, tensor in build(descriptor).state_dict().items()}
        head = _expected_head(descriptor)
    sets = ("", ADVERSARIAL) if descriptor.adversarial else ("",)
    shapes = {prefix + key: shape for prefix in sets for key, shape in expected.items()} | head
    if shapes != {key: tensor.shape for key, tensor in state.items()}:
        raise broken(f"weights do not fit {descriptor.architecture} {descriptor.options}")
    _check_dial(descriptor, realism)
    amount = descriptor.realism if realism is None and descriptor.adversarial else realism or 0.0
    module = build(descriptor)
    module.load_state_dict({key: _between(state, key, amount) for key in expected})
    return Model(descriptor, module.eval().requires_grad_(False), sha256, path, amount)


def _expected_head(descriptor: Descriptor) -> dict[str, torch.Size]:
    """The shapes of a head's weights, by their names in the file."""
    if descriptor.interval is None:
        return {}
    make = getattr(build(descriptor), "head_of_half_widths", None)
    head = make(descriptor.interval.hidden).state_dict() if make is not None else {}
    return {INTERVAL + key: tensor.shape for key, tensor in head.items()}


def _foreign(path: str, realism: float | None, state: Mapping[str, torch.Tensor] | None = None) -> Model:
    sha256 = _sha256(path)
    descriptor, module = load_community(path, sha256, state)
    _check_dial(descriptor, realism)
    return Model(descriptor, module, sha256, path)


def _sha256(path: str) -> str:
    with open(path, "rb") as raw:
        return hashlib.file_digest(raw, "sha256").hexdigest()


def _check_dial(descriptor: Descriptor, realism: float | None) -> None:
    if realism is not None and not descriptor.adversarial:
        raise ModelError(
            f"a realism of {realism:g} for {descriptor.name} {descriptor.version}, which has content weights alone",
            "a model with adversarial weights",
            "leave it out, or choose another model",
        )


def _between(state: Mapping[str, torch.Tensor], key: str, realism: float) -> torch.Tensor:
    """A weight interpolated between content and adversarial; exact at both ends."""
    return state[key] if realism == 0 else state[key].lerp(state[ADVERSARIAL + key], realism)


def count_parameters(module: torch.nn.Module) -> int:
    """The number of a module's parameters."""
    return sum(p.numel() for p in module.parameters())
