"""Visits that are recorded and replayed: taken apart and put together, keyed, kept and dropped."""

import pytest
import torch
from models import conv_model, normal

from abprop import machine, replay
from abprop.inference import LeimkuhlerMatthews, Metric, State, infer
from abprop.noise import Noise
from abprop.operators import Identity, Mask, Operator, observe
from abprop.replay import replayed

SHAPE = (3, 32, 32)


class Played(replay.Recording):
    """A recording without a GPU: the work again, on copies of the first call's tensors."""

    made = 0

    def __init__(self, work: replay.Work, inputs: list[torch.Tensor]) -> None:
        type(self).made += 1
        self.work, self.inputs = work, [v.clone() for v in inputs]

    def __call__(self, *inputs: torch.Tensor) -> list[torch.Tensor]:
        for mine, new in zip(self.inputs, inputs, strict=True):
            assert mine.shape == new.shape and mine.dtype == new.dtype
            mine.copy_(new)
        return [v.clone() for v in self.work(*self.inputs)]


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> type[Played]:
    monkeypatch.setattr(replay, "Recording", Played)
    monkeypatch.setattr(replay, "possible", lambda y: True)
    monkeypatch.setattr(Played, "made", 0)
    return Played


def visits(A: Operator, y: torch.Tensor, model) -> list[State]:
    """Three visits, the weights moved in between."""
    ids, kernel = torch.arange(16), LeimkuhlerMatthews()
    metric, found = Metric(0.1 * torch.eye(6)), []
    state = State.begin(normal((16, 6)))
    for _ in range(3):
        state, info = infer(model, y, A, state, kernel, steps=3, noise=Noise(0).at(ids),
                            metric=metric, chunk=16)  # fmt: skip
        found.append(state)
        metric.update(info.bent)  # a new root
        with torch.no_grad():
            for parameter in model.network.parameters():
                parameter.mul_(1.01)
    return found


@pytest.mark.parametrize("masked", [False, True])
def test_a_replayed_visit_is_the_visit(masked: bool, recorded, monkeypatch) -> None:
    y, A = observe(normal((16, *SHAPE)).tanh(), torch.rand(16, 1, 32, 32) < 0.3)
    if not masked:
        y, A = normal((16, *SHAPE)).tanh(), Identity(16, SHAPE)
    found = visits(A, y, conv_model())
    assert recorded.made == 1  # the first visit looks at the curvature and is none
    monkeypatch.setattr(replay, "possible", lambda y: False)
    for mine, plain in zip(found, visits(A, y, conv_model()), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine, plain, strict=True))


def test_a_recording_is_made_for_each_kind_of_work_and_few_are_kept(recorded) -> None:
    model = torch.nn.Linear(2, 2)
    work = lambda v: [2 * v]
    for size in (1, 2, 1):
        (twice,) = replayed(model, "a", work, [torch.ones(size)])
        assert torch.equal(twice, 2 * torch.ones(size))
    assert recorded.made == 2
    replayed(model, "b", work, [torch.ones(1)])
    replayed(torch.nn.Linear(2, 2), "a", work, [torch.ones(1)])
    assert recorded.made == 4
    model.weight = torch.nn.Parameter(torch.zeros(2, 2))  # lies elsewhere now
    replayed(model, "a", work, [torch.ones(1)])
    assert recorded.made == 5
    for size in range(3, 3 + replay.KEPT):
        replayed(model, "a", work, [torch.ones(size)])
    assert len(replay._recordings[model]) == replay.KEPT


def test_what_holds_more_than_tensors_is_not_recorded() -> None:
    A = Identity(4, SHAPE)
    assert replay.parts_of(A) is not None
    vars(A)["inner"] = Identity(4, SHAPE)
    assert replay.parts_of(A) is None


def test_an_operator_is_put_together_from_other_tensors() -> None:
    hidden = torch.rand(4, 1, 8, 8) < 0.5
    A = Mask(hidden.expand(4, 3, 8, 8))
    told = replay.parts_of(A)
    assert told is not None
    key, tensors = told
    again = replay.with_parts(A, {name: v.flip(0) for name, v in tensors.items()})
    x = normal((4, 3, 8, 8))
    assert torch.equal(again(x), A[torch.tensor([3, 2, 1, 0])](x))
    other = replay.parts_of(Mask(hidden[:2].expand(2, 3, 8, 8)))
    assert other is not None and hash(key) and isinstance(other[0], tuple)


@pytest.mark.gpu
@pytest.mark.parametrize("masked", [False, True])
def test_a_graph_gives_the_bits_of_the_kernels(masked: bool, monkeypatch) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    made = normal((16, *SHAPE)).tanh()
    y, A = observe(made, torch.rand(16, 1, 32, 32) < 0.3) if masked else (made, None)
    y, A = y.cuda(), (A or Identity(16, SHAPE)).to("cuda")

    def on_gpu() -> list[State]:
        model, ids = conv_model().cuda(), torch.arange(16, device="cuda")
        state, found = State.begin(normal((16, 6)).cuda()), []
        for _ in range(3):
            state, _ = infer(model, y, A, state, LeimkuhlerMatthews(), steps=3,
                             noise=Noise(0).at(ids), metric=Metric(0.1 * torch.eye(6).cuda()),
                             chunk=16)  # fmt: skip
            found.append(state)
        return found

    machine.device("cuda")  # the same bits each time
    found = on_gpu()
    monkeypatch.setattr(replay, "possible", lambda y: False)
    for mine, plain in zip(found, on_gpu(), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine, plain, strict=True))
