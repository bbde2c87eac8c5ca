import copy
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

import gen.learner
import gen.train
from gen.conditions import CONDITIONS
from gen.data import WindowDataset
from gen.learner import LORA_TARGETS, Learner, load_network
from gen.losses import critic_loss
from gen.models.patch_critic import PatchCritic
from gen.objective import persuade, pixel_weights, predict, regression_loss
from gen.pipeline_signer import SignerVideoPipeline
from gen.reference import HEAD
from gen.signers.body import PARTS
from gen.train import sample_grid, train, validation_windows
from gen.train_config import DropRates, RendererTrainConfig
from poses.keypoints import PARTS as POINTS

ALL_GIVEN = DropRates(*[0.0] * len(CONDITIONS))
ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def config(clips, tmp_path):
    return RendererTrainConfig(
        data=clips,
        output=tmp_path / "run",
        steps=4,
        batch_size=2,
        num_frames=2,
        crop_size=16,
        warmup_steps=1,
        block_channels=(8, 64, 64),
        num_blocks=(1, 1, 1),
        bf16=False,
        checkpoint_every=2,
    )


@pytest.fixture
def batch(clips):
    windows = WindowDataset(clips / "train", num_windows=3, num_frames=2, crop_size=16, seed=0)
    return torch.utils.data.default_collate([windows[index] for index in range(3)])


def weights(config) -> dict[str, torch.Tensor]:
    return load_file(config.output / "pipeline" / "unet" / "diffusion_pytorch_model.safetensors")


def loss_of(unet, batch, config, seed=0) -> torch.Tensor:
    return regression_loss(predict(unet, batch, config, torch.Generator().manual_seed(seed)), config)


def no_grid(*_) -> np.ndarray:
    """Instead of samples, where they are not what is looked at."""
    return np.zeros((1, 1, 3), np.uint8)


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, rtol=0, atol=0)


def test_the_loss_is_finite_and_its_gradient_reaches_every_parameter(unet, batch, config):
    unet = copy.deepcopy(unet).train()
    loss = loss_of(unet, batch, replace(config, drop=DropRates(*[0.3] * len(CONDITIONS))))
    assert loss.isfinite()
    assert loss > 0
    loss.backward()
    for name, parameter in unet.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_the_generator_decides_the_loss(unet, batch, config):
    first, second, third = (loss_of(unet, batch, config, seed).item() for seed in (0, 0, 1))
    assert first == second != third


def test_conditions_are_dropped_as_often_as_asked(unet, batch, config, monkeypatch):
    told, forward, counts = [], unet.forward, []

    def record(sample, timestep, **conditions):
        told.append((timestep, conditions))
        return forward(sample, timestep, **conditions)

    monkeypatch.setattr(unet, "forward", record)
    for rates in (ALL_GIVEN, replace(ALL_GIVEN, keypoints=1.0, previous=1.0)):
        prediction = predict(unet, batch, replace(config, drop=rates), torch.Generator().manual_seed(0))
        counts.append(prediction.weight.flatten(2).any(dim=2))
    (levels, all_given), (other_levels, some) = told
    assert all_given["given"].all()
    assert (levels[:, 0] == 0).all()
    assert (other_levels[:, 0] > 0).all()
    assert [of.tolist() for of in counts] == [
        [[False, True]] * 3,
        [[True, True]] * 3,
    ]  # nothing is learned of the given
    assert some["given"].tolist() == [[name not in ("keypoints", "previous") for name in CONDITIONS]] * 3
    assert not some["keypoints"].any()
    assert all_given["keypoints"].any()
    assert [field.name for field in fields(DropRates)] == list(CONDITIONS)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_windows_begin_with_noise_alone_as_often_as_asked(share, unet, batch, config, monkeypatch):
    """The same in all frames, as in use."""
    told, forward = [], unet.forward
    monkeypatch.setattr(unet, "forward", lambda *given, **told_of: told.append(given) or forward(*given, **told_of))
    config = replace(config, full_noise=share, drop=replace(ALL_GIVEN, previous=1.0, keep=1.0))
    predict(unet, batch, config, torch.Generator().manual_seed(0))
    ((sample, timestep),) = told
    assert timestep.eq(1000).tolist() == [[share == 1.0] * 2] * 3
    assert torch.equal(timestep[:, 0], timestep[:, 1])
    level = (timestep / 1000)[:, None, :, None, None]
    clean = batch["frames"].permute(0, 4, 1, 2, 3) / 127.5 - 1
    noise = (sample - (1 - level) * clean) / level
    torch.testing.assert_close(noise[:, :, 0], noise[:, :, 1], atol=1e-4, rtol=1e-4)
    assert noise.std() == pytest.approx(1, abs=0.05)


def test_what_is_kept_is_learned_from_the_picture(unet, batch, config):
    prediction = predict(unet, batch, replace(config, drop=ALL_GIVEN), torch.Generator().manual_seed(0))
    picture = batch["reference"][:, None, ..., :3].expand_as(batch["frames"])
    expected = torch.where(batch["keep"][:, None, ..., None], picture, batch["frames"])
    torch.testing.assert_close(127.5 * (prediction.target.permute(0, 2, 3, 4, 1) + 1), expected.float())


def test_contrast_counts_as_much_as_asked(unet, batch, config):
    losses = [loss_of(unet, batch, replace(config, structure_weight=weight)).item() for weight in (0.0, 0.5, 1.0)]
    assert losses[0] < losses[1]
    assert losses[2] - losses[1] == pytest.approx(losses[1] - losses[0], rel=1e-3)


def test_the_loss_is_computed_where_the_network_and_the_batch_are(unet, batch, config):
    """The meta device refuses to be mixed with others, as an accelerator would, and computes nothing."""
    unet = copy.deepcopy(unet).to("meta")
    batch = {name: value.to("meta") for name, value in batch.items()}
    assert loss_of(unet, batch, config).device.type == "meta"


@pytest.mark.parametrize("sure", [1.0, 0.5])
def test_hands_count_most_then_faces_and_where_the_pictures_hands_were(sure):
    palm = PARTS.index("left_palm") + 1
    keypoints = torch.zeros(1, 1, 128, 3)
    keypoints[:, :, POINTS["left_hand"], 2] = sure
    maps = torch.zeros(1, 1, 48, 48, 12, dtype=torch.uint8)
    reference = torch.zeros(1, 48, 48, 7, dtype=torch.uint8)
    maps[0, 0, 8, 8, 8] = palm
    maps[0, 0, 8, 30, 8] = HEAD
    reference[0, 30, 8, 6] = palm
    weight = pixel_weights(maps, keypoints, reference, hand_weight=4.0, face_weight=2.0)[0, 0]
    expected = torch.ones(48, 48)
    expected[3:14, 25:36] = expected[25:36, 3:14] = 2  # five pixels around
    expected[3:14, 3:14] = 1 + 3 * sure
    torch.testing.assert_close(weight, expected)


def test_a_critic_weighs_what_is_asked_beside_the_regression(unet, batch, config):
    """At the last layer, its gradient is half as long, whatever the scale of its judgement."""
    unet = copy.deepcopy(unet).train()
    last_layer = unet.conv_out.weight
    prediction = predict(unet, batch, config, torch.Generator().manual_seed(0))
    loss = regression_loss(prediction, config)
    (alone,) = torch.autograd.grad(loss, last_layer, retain_graph=True)
    for scale in (1.0, 100.0):
        torch.manual_seed(0)
        critic = PatchCritic(channels=4)
        critic.out.register_forward_hook(lambda *of, scale=scale: scale * of[-1])
        both = persuade(loss, prediction, critic, last_layer, 0.5)
        (together,) = torch.autograd.grad(both, last_layer, retain_graph=True)
        assert ((together - alone).norm() / alone.norm()).item() == pytest.approx(0.5, rel=1e-3)


def test_a_critic_speaks_when_it_has_warmed_up_and_is_taught_by_its_own_loss_alone(config, batch, monkeypatch):
    learner = Learner(replace(config, adversarial_weight=0.5, warmup_steps=1), Accelerator())
    assert learner.critic is not None
    persuaded, taught = [], []

    def teach(critic, prediction):
        taught.append([(parameter.requires_grad, parameter.grad is None) for parameter in critic.parameters()])
        return critic_loss(critic, prediction)

    monkeypatch.setattr(gen.learner, "persuade", lambda *given: persuaded.append(len(taught)) or persuade(*given))
    monkeypatch.setattr(gen.learner, "critic_loss", teach)
    for step in range(3):
        learner.learn(batch, step, torch.Generator().manual_seed(step))
    assert persuaded == [1, 2]
    assert {state for states in taught for state in states} == {(True, True)}


def test_averages_are_given_and_the_network_learns_on_from_where_it_is(config):
    learner = Learner(config, Accelerator())
    for average in learner.ema.shadow_params:
        average.fill_(7)
    before = copy.deepcopy(learner.network.state_dict())
    averaged = learner.averaged()
    assert all(parameter.eq(7).all() for parameter in averaged.parameters())
    assert_same(before, learner.network.state_dict())


def test_a_network_is_trained_as_the_configuration_says(config, batch, monkeypatch):
    compiled, computed = [], []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda network: compiled.append(network))
    monkeypatch.setattr(
        gen.learner, "predict", lambda *given: computed.append(torch.is_autocast_enabled("cpu")) or predict(*given)
    )
    for chosen in (False, True):
        options = replace(config, gradient_checkpointing=chosen, compile=chosen, bf16=chosen)
        learner = Learner(options, Accelerator())
        learner.learn(batch, 0, torch.Generator().manual_seed(0))
        assert learner.network.is_gradient_checkpointing is chosen
        assert computed.pop() is chosen
    assert compiled == [learner.network]


@pytest.mark.long
@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param({"adversarial_weight": 0.5, "batch_size": 1, "gradient_accumulation": 2}, marks=pytest.mark.slow),
    ],
)
def test_a_stopped_run_goes_on_to_the_same_weights(options, config, tmp_path, monkeypatch):
    monkeypatch.setattr(gen.train, "sample_grid", no_grid)
    config = replace(config, **options)
    batches = 4 * config.gradient_accumulation
    train(config)
    parted = replace(config, output=tmp_path / "parted")
    step = 0

    def interrupted(*args):
        nonlocal step
        step += 1
        if step == batches:
            raise KeyboardInterrupt
        return predict(*args)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(gen.learner, "predict", interrupted)
        train(parted)
    train(parted)
    assert step == batches
    assert_same(weights(config), weights(parted))


@pytest.mark.long
def test_a_run_stopped_while_it_wrote_its_last_pipeline_writes_it_anew(config, tmp_path, monkeypatch):
    """And its curve tells of each step once."""
    monkeypatch.setattr(gen.train, "sample_grid", no_grid)
    train(config)
    parted = replace(config, output=tmp_path / "parted")
    save = SignerVideoPipeline.save_pretrained

    def interrupted(pipeline, folder):
        if (folder / "unet").exists():
            raise KeyboardInterrupt
        save(pipeline, folder)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(SignerVideoPipeline, "save_pretrained", interrupted)
        train(parted)
    train(parted)
    assert_same(weights(config), weights(parted))
    curves = [(run.output / "curve.jsonl").read_text() for run in (config, parted)]
    assert curves[0] == curves[1]


@pytest.mark.slow
@pytest.mark.parametrize("killed_in", ["predict", "sample_grid"])
def test_a_killed_run_goes_on_to_the_same_weights(killed_in, config, tmp_path):
    """Killed between checkpoints, and while one is written."""
    train(config)
    parted = replace(config, output=tmp_path / "parted")
    program = (
        "import os, signal, sys, json, gen.learner, gen.train as trainer\n"
        "from pathlib import Path\n"
        "given = json.loads(sys.argv[1])\n"
        "given |= {name: Path(given[name]) for name in ('data', 'output')}\n"
        f"where = {'gen.learner' if killed_in == 'predict' else 'trainer'}\n"
        f"called, do = [], where.{killed_in}\n"
        "def killed(*args):\n"
        "    called.append(args)\n"
        f"    if len(called) == {3 if killed_in == 'predict' else 2}: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return do(*args)\n"
        f"where.{killed_in} = killed\n"
        "from gen.train_config import DropRates\n"
        "given['drop'] = DropRates(**given['drop'])\n"
        "trainer.train(trainer.RendererTrainConfig(**given))"
    )
    done = subprocess.run([sys.executable, "-c", program, json.dumps(asdict(parted), default=str)], cwd=ROOT)
    assert done.returncode == -signal.SIGKILL
    train(parted)
    assert_same(weights(config), weights(parted))


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one_that_accumulates(config, tmp_path):
    """As `configs/signer-large.yaml` says to start it, but on a CPU."""
    config = replace(config, batch_size=1)
    train(replace(config, gradient_accumulation=2))
    shared = replace(config, output=tmp_path / "shared")
    (tmp_path / "shared.yaml").write_text(json.dumps(asdict(shared), default=str))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    order = ["-m", "pipelines.cli", "train", "renderer", "--config", str(tmp_path / "shared.yaml")]
    subprocess.run([*launch, *order], cwd=ROOT, env=os.environ | {"ACCELERATE_USE_CPU": "true"}, check=True)
    apart, together = weights(config), weights(shared)
    assert apart.keys() == together.keys()
    for name, tensor in apart.items():
        torch.testing.assert_close(together[name], tensor, rtol=0, atol=1e-4)
    assert sorted(os.listdir(config.output)) == sorted(os.listdir(shared.output))
    curves = [(run.output / "curve.jsonl").read_text().splitlines() for run in (config, shared)]
    for points in zip(*curves, strict=True):
        one, two = map(json.loads, points)
        assert two == pytest.approx(one, rel=1e-4)


def test_a_run_starts_from_the_weights_it_is_given(config, tmp_path, monkeypatch):
    monkeypatch.setattr(gen.train, "sample_grid", no_grid)
    train(replace(config, steps=1))
    on = replace(config, output=tmp_path / "on", weights=config.output / "pipeline", steps=1, learning_rate=0.0)
    train(on)
    assert_same(weights(config), weights(on))
    with pytest.raises(ValueError, match=r"`weights` must be signer-small or a saved pipeline's folder, found no unet"):
        train(replace(config, output=tmp_path / "third", weights=tmp_path))


def test_the_bundled_weights_go_by_their_name(config, tmp_path, monkeypatch):
    """From wherever the package is."""
    monkeypatch.chdir(tmp_path)
    config = replace(config, weights=Path("signer-small"))
    unet = load_network(replace(config, block_channels=None, num_blocks=None))
    assert unet.num_parameters() / 1e6 == pytest.approx(7.5, abs=0.05)
    with pytest.raises(ValueError, match=r"`block_channels` must be \(48, 96, 192, 256\), as in .*signer-small, or"):
        load_network(config)


def test_averages_go_on_where_the_network_is(config, monkeypatch):
    """The meta device stands for an accelerator: a checkpoint's tensors do not come there by themselves."""
    learner = Learner(config, Accelerator())
    learner.save(config.output, 1)
    monkeypatch.setattr(Accelerator, "device", torch.device("meta"))
    assert learner.resume(config.output) == 1
    assert {parameter.device.type for parameter in learner.ema.shadow_params} == {"meta"}


def test_accumulated_batches_are_one_step(config, tmp_path, monkeypatch):
    """Each weighs as much as the other, and the schedule goes by steps."""
    monkeypatch.setattr(gen.train, "sample_grid", no_grid)
    batches = []
    monkeypatch.setattr(gen.learner, "predict", lambda *given: batches.append(given[1]) or predict(*given))
    train(replace(config, steps=2, batch_size=1, gradient_accumulation=2))
    assert [len(batch["frames"]) for batch in batches] == [1] * 4
    train(replace(config, steps=1, output=tmp_path / "whole"))
    torch.testing.assert_close(
        torch.cat([batches[0]["frames"], batches[1]["frames"]]), batches[4]["frames"], rtol=0, atol=0
    )


def test_blocks_that_are_computed_anew_give_the_same_gradient(unet, batch, config):
    gradients = []
    for anew in (False, True):
        network = copy.deepcopy(unet).train()
        if anew:
            network.enable_gradient_checkpointing()
        loss_of(network, batch, config).backward()
        gradients.append({name: parameter.grad for name, parameter in network.named_parameters()})
    assert_same(*gradients)


@pytest.mark.long
def test_updates_of_low_rank_leave_most_weights_as_they_are(config, tmp_path, monkeypatch):
    """They learn, are added to the layers they lie beside, and what is saved is the plain network."""
    monkeypatch.setattr(gen.train, "sample_grid", no_grid)
    train(replace(config, steps=2))  # the last layer starts at zero and lets nothing through
    start = config.output / "pipeline"
    updated = replace(
        config, steps=2, output=tmp_path / "updated", weights=start, lora_rank=2, learning_rate=0.01, ema_decay=0.0
    )
    train(updated)
    before, after = weights(config), weights(updated)
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.split(".")[-2] in LORA_TARGETS and name.endswith(".weight") for name in changed)


def test_the_last_two_checkpoints_are_kept(config, monkeypatch):
    monkeypatch.setattr(gen.train, "sample_grid", no_grid)
    train(replace(config, steps=3, checkpoint_every=1))
    assert sorted(os.listdir(config.output)) == [
        "checkpoint-0000002", "checkpoint-0000003", "curve.jsonl", "pipeline",
        "samples-0000001.png", "samples-0000002.png", "samples-0000003.png",
    ]  # fmt: skip


def test_clips_to_look_at_are_missed_before_the_training(config, clips, tmp_path):
    shutil.copytree(clips / "train", tmp_path / "data" / "train")
    with pytest.raises(ValueError, match=r"`data` must hold clips with maps, found none in .*validation; `signloop"):
        train(replace(config, data=tmp_path / "data"))
    assert not config.output.exists()


def test_clips_to_look_at_may_be_as_short_as_what_is_trained_on(config):
    assert {len(window["frames"]) for window in validation_windows(replace(config, num_frames=1))} == {1}
    assert {len(window["frames"]) for window in validation_windows(replace(config, num_frames=4))} == {2}


def test_clips_to_look_at_that_are_too_small_are_told_of_before_the_training(config, clips, tmp_path):
    for split in ("train", "validation"):
        shutil.copytree(clips / split, tmp_path / "data" / split)
    short = tmp_path / "data" / "validation" / "000000"
    for name in ("frames", "maps", "driving"):
        np.save(short / f"{name}.npy", np.load(short / f"{name}.npy")[: 2 if name == "frames" else 1])
    with pytest.raises(ValueError, match="`num_frames` must be at most the clips' 1, got 2"):
        train(replace(config, data=tmp_path / "data"))
    assert not config.output.exists()


def test_samples_show_a_column_for_each_window(unet, config):
    """True frame, composite, made in one step, made in four."""
    grid = sample_grid(unet, validation_windows(config)[:2])
    assert grid.shape == (4 * 16, 2 * 16, 3)
    # In the tiny clips, the composite is the true frame.
    np.testing.assert_array_equal(grid[16:32], grid[:16])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "`steps` must be at least 1, got 0"),
        ({"crop_size": 6}, "`crop_size` must be at least 7, got 6"),
        ({"hand_weight": -4.0}, r"`hand_weight` must be at least 0, got -4\.0"),
        ({"face_weight": float("nan")}, r"`face_weight` must be at least 0, got nan"),
        ({"learning_rate": -1e-4}, r"`learning_rate` must be at least 0, got -0\.0001"),
        ({"warmup_steps": -1}, r"`warmup_steps` must be at least 0, got -1"),
        ({"seed": -1}, r"`seed` must be at least 0, got -1"),
        ({"workers": -1}, r"`workers` must be at least 0, got -1"),
        ({"structure_weight": -1.0}, r"`structure_weight` must be at least 0, got -1\.0"),
        ({"adversarial_weight": -0.5}, r"`adversarial_weight` must be at least 0, got -0\.5"),
        ({"lora_rank": -1}, r"`lora_rank` must be at least 0, got -1"),
        ({"lora_rank": 4}, r"`weights` must be given where `lora_rank` is 4: updates need something"),
        ({"gradient_accumulation": 0}, r"`gradient_accumulation` must be at least 1, got 0"),
        ({"full_noise": 1.5}, r"`full_noise` must be in \[0, 1\], got 1.5"),
        ({"ema_decay": -0.1}, r"`ema_decay` must be in \[0, 1\], got -0.1"),
    ],
)
def test_wrong_configurations_are_refused(change, message, config):
    with pytest.raises(ValueError, match=message):
        replace(config, **change)


def test_a_loss_that_is_no_number_ends_training(config, monkeypatch):
    monkeypatch.setattr(gen.learner, "regression_loss", lambda *given: regression_loss(*given) * float("nan"))
    with pytest.raises(ValueError, match="`learning_rate` must be lower: the loss is nan before step"):
        train(config)
    assert not list(config.output.iterdir())


def test_crops_that_the_network_does_not_take_are_refused(config):
    with pytest.raises(ValueError, match="`crop_size` must be a multiple of 8, got 20"):
        train(replace(config, crop_size=20))
    assert not config.output.exists()


def test_data_without_clips_is_refused(config, tmp_path):
    with pytest.raises(ValueError, match="`data` must hold clips with maps, found none in"):
        train(replace(config, data=tmp_path))
