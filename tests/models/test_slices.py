"""New slices: cubic along slices at birth, an exact receptive field, and the same weights across rows and columns."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from geomedsr.errors import ModelError
from geomedsr.geometry import Factors
from geomedsr.models import Descriptor, load_model, save_model
from geomedsr.models.interpolation import keys_cubic
from geomedsr.models.ports import IMAGE
from geomedsr.models.slices import Slices
from geomedsr.models.store import build

HEADS = ((3, 1, 1), (2, 1, 1))


def card(**more: object) -> Descriptor:
    facts = {
        "name": "t",
        "version": "1",
        "architecture": "slices",
        "scale": 1,
        "frame_factor": 3,
        "heads": HEADS,
        "neighbours": 2,
        "value_range": (1, 99),
        "options": {"width": 6, "blocks": 2},
        "operator": "slice-profile",
    }
    return Descriptor(**(facts | more))  # type: ignore[arg-type]


def grown(seed: int = 0) -> Slices:
    """One that learnt something."""
    net = build(card())
    assert isinstance(net, Slices)
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(0, 0.3)
    return net


def test_a_new_one_is_cubic_along_the_slices() -> None:
    x = torch.rand(2, 5, 9, 7)
    made = build(card())(x)
    along = (np.arange(3) + 0.5) / 3 - 0.5
    taps = torch.tensor(keys_cubic(np.arange(-2, 3)[None, :] - along[:, None]), dtype=torch.float32)
    torch.testing.assert_close(made, torch.einsum("fs,bsyx->bfyx", taps, x))


def test_the_receptive_field_is_as_stated_along_rows_and_along_columns() -> None:
    net = grown()
    radius = net.receptive_radius
    assert radius == 1 + 2 * 2 + 1
    x = torch.rand(1, 5, 25, 27, requires_grad=True)
    net(x)[0, :, 12, 13].sum().backward()
    seen = x.grad.abs().amax((0, 1)) > 0
    rows, columns = np.nonzero(seen.numpy())
    assert (rows.min(), rows.max()) == (12 - radius, 12 + radius)
    assert (columns.min(), columns.max()) == (13 - radius, 13 + radius)
    assert set(rows[columns != 13]) == {12}  # planes across the slices, and nothing beside them
    assert (x.grad.abs().amax((0, 2, 3)) > 0).all()  # every slice has its say


def test_rows_and_columns_are_alike() -> None:
    net, x = grown(), torch.rand(1, 5, 20, 20)
    torch.testing.assert_close(net(x.transpose(2, 3)), net(x).transpose(2, 3))


def test_a_tile_equals_the_whole() -> None:
    net, x = grown(), torch.rand(1, 5, 60, 50)
    whole, r = net.planes({"image": x})["image"], net.receptive_radius
    assert whole.shape == (1, 1, 3, 60 - 2 * r, 50 - 2 * r)
    part = net.planes({"image": x[..., 7 : 7 + 20 + 2 * r, 5 : 5 + 11 + 2 * r]})["image"]
    torch.testing.assert_close(part, whole[..., 7:27, 5:16], atol=1e-5, rtol=0)


def test_the_number_of_threads_changes_no_bit() -> None:
    """As the engine runs it for results of 16 bits: convolutions in bfloat16, channels last."""
    net = grown()
    for part in net.modules():
        if isinstance(part, torch.nn.Conv2d):
            part.to(torch.bfloat16)
    x, threads = torch.rand(1, 5, 196, 196).contiguous(memory_format=torch.channels_last), torch.get_num_threads()
    made = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            with torch.inference_mode():
                made.append(net.planes({IMAGE: x})[IMAGE])
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*made)


def test_heads_share_a_trunk_and_profiles_change_what_is_made(tmp_path: Path) -> None:
    net, x = grown(), torch.rand(1, 5, 12, 12)
    save_model(net, card(), tmp_path / "t.safetensors")
    model = load_model(tmp_path / "t.safetensors")
    assert model.module(x).shape[1] == 3
    other = model.with_factors((2, 1, 1))
    assert other.module(x).shape[1] == 2
    assert other.module.head is model.module.head
    bell = model.with_profile(1.2)
    assert (model.module(x) - bell.module(x)).abs().max() > 1e-3
    assert bell.with_profile(0.0).module.profile == model.module.profile == 0
    again = pickle.loads(pickle.dumps(bell.with_factors(Factors(2, 1, 1))))
    torch.testing.assert_close(again.module(x), bell.with_factors((2, 1, 1)).module(x))


@pytest.mark.parametrize(
    "wrong", [{"scale": 2, "heads": ()}, {"channels": 2}, {"neighbours": 1}, {"options": {"width": 0}}]
)
def test_what_it_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ModelError, match="options"):
        build(card(**wrong))
