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

from zipper.data.batching import BatchPlan
from zipper.errors import ConfigError
from zipper.training.loop import LoopConfig, Trainer, learning_rate


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


def test_two_processes_equal_one(tmp_path: Path) -> None:
    Trainer(Line(), batch, config(6, accumulate=2, log_steps=1), tmp_path / "one").run(resume=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import test_loop as t;"
        "t.Trainer(t.Line(), t.batch, t.config(6, accumulate=2, log_steps=1), Path(sys.argv[2])).run(False)"
    )
    children = []
    for rank in range(2):
        env = {
            **os.environ,
            "RANK": str(rank),
            "WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "OMP_NUM_THREADS": "1",
        }
        command = [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path / "two")]
        children.append(subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True))
    for child in children:
        _, errors = child.communicate(timeout=120)
        assert child.returncode == 0, errors
    from safetensors.torch import load_file

    one = load_file(tmp_path / "one" / "weights.safetensors")
    two = load_file(tmp_path / "two" / "weights.safetensors")
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, two[name], rtol=1e-4, atol=1e-5)
    assert losses(tmp_path / "one") == pytest.approx(losses(tmp_path / "two"), rel=1e-3)


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
