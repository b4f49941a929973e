"""The loop learns, resumes exactly, and gives the same over two processes as over one."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from training.second_device import GPU, second_device
from training.work import make_work
from zipper.data.batching import BatchPlan
from zipper.errors import ConfigError, StorageError
from zipper.model import checkpoint
from zipper.training import cli
from zipper.training.loop import Trainer
from zipper.training.optimizers import build_optimizers
from zipper.training.schedule import LoopConfig, learning_rate
from zipper.training.state import STATE_FILE
from zipper.training.transfer import Batches


class Line(nn.Module):
    """A small regression with a matrix large enough for Muon and a scalar gate."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.hidden = nn.Linear(80, 96)
        self.out = nn.Linear(96, 1)
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        y = self.out(self.hidden(batch).tanh())[:, 0] * (1 + self.gate)
        loss = (y - batch.mean(1) * 8).pow(2).mean()
        return {"loss": loss, "tokens": torch.tensor(float(len(batch)))}


def batch(number: int) -> Tensor:
    return torch.randn(16, 80, generator=torch.Generator().manual_seed(number))


def config(steps: int, **changes: object) -> LoopConfig:
    values: dict[str, object] = {"lr": 3e-3, "warmup": 2, "autocast": False, "log_steps": 5, **changes}
    return LoopConfig(steps=steps, **values)  # type: ignore[arg-type]


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text().splitlines()]


def test_loss_falls_and_is_logged(tmp_path: Path) -> None:
    Trainer(Line(), batch, config(300), tmp_path).run(resume=False)
    found = losses(tmp_path)
    assert len(found) == 60
    assert found[-1] < found[0] / 3


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = Line()
    Trainer(whole, batch, config(20), tmp_path / "whole").run(resume=False)

    class Stop(Exception):
        pass

    def until_eight(number: int) -> Tensor:
        if number == 8:
            raise Stop
        return batch(number)

    first = Trainer(Line(), until_eight, config(20, save_seconds=0.0), tmp_path / "parts")
    with pytest.raises(Stop):
        first.run(resume=False)
    second = Line()
    resumed = Trainer(second, batch, config(20), tmp_path / "parts")
    resumed.run(resume=True)
    for a, b in zip(whole.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_a_resumed_run_has_the_average_and_random_numbers_of_before(tmp_path: Path) -> None:
    class Noisy(Line):
        def forward(self, batch: Tensor) -> dict[str, Tensor]:
            return super().forward(batch + 0.1 * torch.randn_like(batch))

    whole, part, rest = Noisy(), Noisy(), Noisy()
    Trainer(whole, batch, config(8, average=0.9), tmp_path / "whole").run(resume=False)
    half = Trainer(part, batch, config(8, average=0.9), tmp_path / "parts")
    half.progress = lambda: 1.0 if half.step == 4 else half.step / 8  # type: ignore[method-assign]
    half.run(resume=False)
    Trainer(rest, batch, config(8, average=0.9), tmp_path / "parts").run(resume=True)
    for a, b in zip(whole.parameters(), rest.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_a_save_that_fails_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(Line(), batch, config(3), tmp_path)
    trainer.run(resume=False)
    before = (tmp_path / STATE_FILE).read_bytes()
    trainer.step = 7

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StorageError, match="No space left"):
        trainer.save()
    assert (tmp_path / STATE_FILE).read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [STATE_FILE]  # one file: nothing to mismatch
    again = Trainer(Line(), batch, config(3), tmp_path)
    again._load()
    assert again.step == 3


def test_a_state_of_another_network_is_one_clear_error(tmp_path: Path) -> None:
    Trainer(Line(), batch, config(1), tmp_path).run(resume=False)
    with pytest.raises(ConfigError, match="without --resume"):
        Trainer(nn.Linear(2, 2), batch, config(2), tmp_path).run(resume=True)
    torch.save({"step": 3}, tmp_path / STATE_FILE)
    with pytest.raises(ConfigError, match="without --resume"):
        Trainer(Line(), batch, config(2), tmp_path).run(resume=True)


def test_settings_of_the_optimizers_are_those_of_now(tmp_path: Path) -> None:
    Trainer(Line(), batch, config(1, weight_decay=0.5), tmp_path).run(resume=False)
    again = Trainer(Line(), batch, config(2, weight_decay=0.25, matrix_lr=3.0), tmp_path)
    again._load()
    muon = again.optimizers[0].param_groups[0]
    assert (muon["weight_decay"], muon["scale"]) == (0.25, 3.0)
    assert again.optimizers[0].state_dict()["state"]  # and the momentum is that of before


def test_two_processes_equal_one(tmp_path: Path, model_folder: Path) -> None:
    """The command line under torchrun trains as one process does, and the main process alone writes."""
    (tmp_path / "config.yaml").write_text(
        "loop: {steps: 6, lr: 3.0e-3, warmup: 2, autocast: false, log_steps: 1, accumulate: 2}\n"
        "tower: {width: 80, depth: 1, heads: 2, kv_heads: 1, ff_width: 96}\nrows: 2\nlength: 8\n"
    )
    for name in ("one", "two"):
        make_work(tmp_path / name, model_folder, ["set/0"])
    command = ["train", "pretrain-text", "--config", str(tmp_path / "config.yaml"), "--work"]
    cli.main([*command[1:], str(tmp_path / "one")])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torchrun = [
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--master-addr",
        "127.0.0.1",
        "--master-port",
        f"{port}",
    ]
    run = [sys.executable, "-m", *torchrun, "-m", "zipper", *command, str(tmp_path / "two")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=240, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    one, two = (checkpoint.load_tower(tmp_path / name / "pretrain-text") for name in ("one", "two"))
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=2e-3, atol=2e-4)
    folders = [tmp_path / name / "runs" / "pretrain-text" for name in ("one", "two")]
    assert losses(folders[0]) == pytest.approx(losses(folders[1]), rel=1e-3) and len(losses(folders[1])) == 6
    states = [torch.load(folder / STATE_FILE, weights_only=True) for folder in folders]
    assert [len(state["random"]) for state in states] == [1, 2]
    assert not torch.equal(states[1]["random"][0]["cpu"], states[1]["random"][1]["cpu"])


def test_a_profile_shows_where_a_step_goes(
    tmp_path: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_work(tmp_path, model_folder, ["set/0"])
    sizes = ["tower={width: 16, depth: 1, heads: 2, kv_heads: 1, ff_width: 24}", "rows=2", "length=8"]
    settings = [word for setting in (*sizes, "loop.steps=7", "loop.autocast=false") for word in ("--set", setting)]
    command = ["pretrain-text", "--work", str(tmp_path), *settings]
    cli.main(command)
    assert "Time of" not in capsys.readouterr().out
    cli.main([*command, "--profile", "2"])
    shown = capsys.readouterr().out
    assert "Time of 2 steps on cpu" in shown
    for part in ("zipper: forward", "zipper: backward", "zipper: optimizer", "aten::"):
        assert part in shown
    with pytest.raises(ConfigError, match="at least 14"):
        cli.main([*command, "--profile"])


def test_the_next_batch_is_made_while_a_gpu_computes() -> None:
    asked: list[int] = []

    def record(number: int) -> tuple[int, Tensor]:
        asked.append(number)
        if number == 6:
            raise ValueError("batch 6")
        return number, torch.full((2,), float(number))

    batches = Batches(record, torch.device("cuda"), stride=2)
    batches.device = torch.device("cpu")  # where there is no GPU, the copy ends here
    assert [int(batches(number)[1][0]) for number in (0, 2)] == [0, 2]
    assert batches(4)[0] == 4
    with pytest.raises(ValueError, match="batch 6"):
        batches(6)
    batches.close()
    assert asked == [0, 2, 4, 6]


def test_adamw_is_fused_on_a_gpu_and_not_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not build_optimizers(Line(), config(1))[-1].param_groups[0]["fused"]
    with second_device(monkeypatch):
        assert build_optimizers(Line().to(GPU), config(1))[-1].param_groups[0]["fused"]


def test_uneven_accumulation_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="does not divide"):
        Trainer(Line(), batch, config(1, accumulate=3), tmp_path)


def test_learning_rate_rises_then_falls_to_zero() -> None:
    settings = config(10, warmup=4)
    rates = [learning_rate(step, step / settings.steps, settings) for step in range(11)]
    assert rates[:4] == pytest.approx([0.25 * 3e-3, 0.5 * 3e-3, 0.75 * 3e-3, 3e-3])
    assert rates[10] == 0 and all(a > b for a, b in zip(rates[4:-1], rates[5:], strict=True))


def test_batch_plan_covers_every_item_once_in_each_epoch_within_its_budget() -> None:
    lengths = [5 + (7 * i) % 40 for i in range(200)]
    plan = BatchPlan(lengths, 100, seed=3)
    sizes = [len(plan.batches(epoch)) for epoch in range(12)]
    assert len(set(sizes)) > 1  # epochs of different size, where an epoch's batches could get lost
    start = 0
    for size in sizes:
        batches = [plan[i] for i in range(start, start + size)]
        assert sorted(item for items in batches for item in items) == list(range(200))
        assert all(len(items) * max(lengths[i] for i in items) <= 100 for items in batches)
        start += size
    again = BatchPlan(lengths, 100, seed=3)
    assert [again[i] for i in reversed(range(start))] == [plan[i] for i in reversed(range(start))]
    assert plan.batches(0) != plan.batches(1)
