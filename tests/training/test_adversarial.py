"""What a step makes of the adversarial losses and the discriminators."""

from pathlib import Path

import pytest
import torch
from conftest import SAMPLE, recipe_file

from geomedsr.errors import RecipeError
from geomedsr.training import load_recipe
from geomedsr.training.run import Run
from geomedsr.training.step import step

RECIPE = {
    "data": {"root": str(SAMPLE), "train": [{"path": "reference.tif", "attribution": "none"}]},
    "content": {"steps": 0},
    "adversarial": {
        "steps": 8,
        "patch": 32,
        "batch": 4,
        "losses": [{"kind": "l1"}, {"kind": "wasserstein", "weight": 0.1}],
        "discriminator": {"architecture": "unet", "options": {"width": 4}, "learning_rate": 1e-3},
        "optimiser": {"learning_rate": 1e-4, "warmup_steps": 0, "clip_norm": 1e9},
    },
}


def begun(folder: Path, *words: str) -> Run:
    run = Run(load_recipe(recipe_file(folder, **RECIPE), words), torch.device("cpu"))
    run.begin_stage()
    return run


def use(run: Run, seed: int = 0) -> dict[str, float]:
    fine = torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(seed))
    return step(run, {"target": fine, "image": torch.nn.functional.avg_pool2d(fine, 4)})


def judgement(run: Run) -> torch.Tensor:
    """All that the discriminator has learnt, in one piece."""
    assert run.discriminator is not None
    return torch.cat([p.detach().flatten() for p in run.discriminator.parameters()])


PAIRS = [
    (loss, judge)
    for loss in ("vanilla", "relativistic", "least-squares", "wasserstein")
    for judge in ("dcgan", "patchgan", "srgan", "unet")
    if (loss, judge) != ("wasserstein", "srgan")
]


@pytest.mark.parametrize(("loss", "judge"), PAIRS)
def test_every_discriminator_learns_by_every_loss(tmp_path: Path, loss: str, judge: str) -> None:
    options = "{width: 4, dense: 8}" if judge == "srgan" else "{width: 4}"
    if loss == "wasserstein" and judge != "unet":
        options = "{width: 4, batch_norm: 0}"
    part = f"{{architecture: {judge}, options: {options}, learning_rate: 0.002}}"
    words = f"adversarial.losses=[{{kind: l1}}, {{kind: {loss}, weight: 0.01}}]", f"adversarial.discriminator={part}"
    run = begun(tmp_path, *words)
    told = [use(run) for _ in range(8)]
    assert set(told[0]) == {"l1", loss, "discriminator"}
    assert told[-1]["discriminator"] < told[0]["discriminator"] - 0.01


def test_wasserstein_tells_the_discriminator_its_three_terms(tmp_path: Path) -> None:
    run = begun(tmp_path, "adversarial.losses.1.penalty=0")
    penalised = begun(tmp_path)
    assert torch.equal(judgement(run), judgement(penalised))
    apart, together = use(run), use(penalised)
    assert apart["wasserstein"] == together["wasserstein"]
    # At first slopes are near 0 (a pixel's judgement is averaged over all), so that λ (‖∇D‖ − 1)² is near λ.
    assert together["discriminator"] - apart["discriminator"] == pytest.approx(10, abs=1)
    assert not torch.equal(judgement(run), judgement(penalised))


def test_a_resumed_run_mixes_as_if_it_had_not_been_stopped(tmp_path: Path) -> None:
    whole = begun(tmp_path)
    for index in range(3):
        use(whole, index)
    stopped = begun(tmp_path)
    use(stopped, 0)
    stopped.save(tmp_path)
    torch.manual_seed(99)
    resumed = Run(load_recipe(recipe_file(tmp_path, **RECIPE)), torch.device("cpu"))
    resumed.load(tmp_path)
    for index in (1, 2):
        use(resumed, index)
    assert torch.equal(judgement(resumed), judgement(whole))
    other = begun(tmp_path, "seed=1")
    other.discriminator.load_state_dict(stopped.discriminator.state_dict())
    other.generator.load_state_dict(stopped.generator.state_dict())
    other.step = 1
    assert use(other, 1)["discriminator"] != use(stopped, 1)["discriminator"]  # the mixes are the seed's


def test_parts_of_a_batch_are_mixed_as_the_whole(tmp_path: Path) -> None:
    given = []
    for parts in (1, 2, 4):
        run = begun(tmp_path, f"adversarial.accumulate={parts}", "adversarial.discriminator.options={width: 4}")
        slopes: list[torch.Tensor] = []
        run.discriminator_optimiser.register_step_pre_hook(
            lambda *_, run=run, slopes=slopes: slopes.append(
                torch.cat([p.grad.flatten() for p in run.discriminator.parameters()])
            )
        )
        # Spectral normalisation goes a step with each pass: held still, so that parts see one network.
        run.discriminator.eval()
        use(run)
        given.append(slopes[0])
    assert float(given[0].abs().max()) > 1e-3
    for parts in given[1:]:
        torch.testing.assert_close(parts, given[0], atol=1e-6, rtol=1e-3)


def test_the_penalty_survives_half_precision(tmp_path: Path) -> None:
    exact, half = (use(begun(tmp_path, f"precision={p}"))["discriminator"] for p in ("float32", "bfloat16"))
    assert half == pytest.approx(exact, rel=1e-2)


def test_ldl_sees_what_the_moving_average_makes(tmp_path: Path) -> None:
    word = "adversarial.losses=[{kind: ldl}, {kind: vanilla, weight: 0.01}]"
    run, other = begun(tmp_path, word), begun(tmp_path, word)
    with torch.no_grad():
        for parameter in other.average.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)), alpha=0.3)
    same, further = use(run)["ldl"], use(other)["ldl"]
    assert 0 < further < same  # where the average is further off, training improves, and nothing counts


def test_a_discriminator_of_details_learns_and_sees_them_in_full_precision(tmp_path: Path) -> None:
    words = (
        "adversarial.discriminator.options={width: 4, wavelets: 2}",
        "adversarial.discriminator.learning_rate=0.002",
    )
    run = begun(tmp_path, *words, "adversarial.losses=[{kind: vanilla, weight: 0.01}]")
    told = [use(run)["discriminator"] for _ in range(8)]
    assert told[-1] < told[0] - 0.01
    assert run.discriminator is not None
    seen: list[torch.Tensor] = []
    run.discriminator.discriminator.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    image = torch.full((1, 1, 32, 32), 0.5)
    image[..., 16:] += 1e-3  # far less than bfloat16 tells from nothing beside a half
    with torch.autocast("cpu", torch.bfloat16):
        run.discriminator(image)
    assert seen[0].abs().max() == pytest.approx(1e-3, rel=1e-3)


def test_patches_too_small_for_the_discriminator_are_told_at_once(tmp_path: Path) -> None:
    words = "adversarial.discriminator={architecture: patchgan, options: {width: 4, layers: 5}}"
    losses = "adversarial.losses=[{kind: vanilla}]"
    with pytest.raises(RecipeError, match=r"adversarial\.patch 32 for the discriminator patchgan"):
        begun(tmp_path, words, losses)
    begun(tmp_path, words, losses, "adversarial.patch=96")
