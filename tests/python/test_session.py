import pickle
import sys
import time

import numpy as np
import pytest

import models
import plica

X = np.arange(4, dtype=np.float32)
Y = X + np.array([1, 2, 3, 4], np.float32)


@pytest.fixture
def session():
    return plica.Session(models.add())


def test_inputs_by_name_by_position_and_alone(session):
    for inputs in ({"x": X}, [X], (X,), X):
        assert np.array_equal(session.run(inputs)["y"], Y)

    class Names:  # a mapping that is no dict
        def keys(self):
            return ["x"]

        def __getitem__(self, key):
            return X

    assert np.array_equal(session.run(Names())["y"], Y)


def test_outputs():
    session = plica.Session(models.two_outputs())
    a = np.array([1, 2, 3], np.float32)
    assert {k: v.tolist() for k, v in session.run(a).items()} == {"s": [3, 4, 5], "p": [2, 4, 6]}
    assert [v.tolist() for v in session.run([a, [3.0]], ["p", "s"])] == [[3, 6, 9], [4, 5, 6]]
    assert session.run({"a": a, "b": [3.0]}, "p").tolist() == [3, 6, 9]
    p, again = session.run(a, ("p", "p"))
    assert p is again
    with pytest.raises(plica.InvalidArgumentError, match="no output 'q'; it has 's', 'p'"):
        session.run(a, ["q"])
    with pytest.raises(plica.InvalidArgumentError, match="q"):
        session.run(a, {"q": a})


def test_what_is_wrong_with_inputs(session):
    for inputs, words in [
        ({}, "input 'x' is missing"),
        ({"z": X}, "no input 'z'; it has 'x'"),
        ({"x": X, "z": X}, "z"),
        ([X, X], "2 inputs are given, and the model has 1"),
        ({"x": X[:3]}, r"shape \[3\], the model takes \[4\]"),
        ({"x": X.astype(np.float64)}, "float64, the model takes float32"),
        ({"x": None}, "None"),
        ({"x": object()}, "'x' is a object"),
    ]:
        with pytest.raises(plica.InvalidArgumentError, match=words):
            session.run(inputs)
    with pytest.raises(TypeError, match="str"):
        session.run({3: X})
    with pytest.raises(plica.InvalidArgumentError, match="a dict by name, or a list"):
        plica.Session(models.one_node("Add", [("a", [4]), ("b", [4])], [("y", [4])])).run(X)


def test_results_into_arrays():
    session = plica.Session(models.two_outputs())
    a = np.array([1, 2, 3], np.float32)
    s = np.zeros(3, np.float32)
    results = session.run(a, {"s": s, "p": None})
    assert list(results) == ["s", "p"] and results["s"] is s
    assert s.tolist() == [3, 4, 5] and results["p"].tolist() == [2, 4, 6]
    strided = np.zeros((3, 2), np.float32)
    assert session.run(a, {"s": strided[:, 1]})["s"].base is strided and strided[:, 1].tolist() == [
        3,
        4,
        5,
    ]
    for array, words in [
        (np.zeros(4, np.float32), "memory given"),
        (np.zeros(3, np.int32), "memory given"),
        (np.zeros((4, 2), np.float32)[:, 1], "array given"),
        (np.zeros((3, 2), np.float64)[:, 1], "array given"),
    ]:
        with pytest.raises(plica.InvalidArgumentError, match=words):
            session.run(a, {"s": array})
    s.flags.writeable = False
    with pytest.raises(plica.InvalidArgumentError, match="written"):
        session.run(a, {"s": s})
    with pytest.raises(TypeError, match="numpy"):
        session.run(a, {"s": [1, 2, 3]})


def test_arrays_are_read_and_written_where_they_lie():
    # One memory for both is refused, by address.
    session = plica.Session(models.two_outputs())
    a = np.array([1, 2, 3], np.float32)
    with pytest.raises(plica.InvalidArgumentError, match="overlaps an input"):
        session.run(a, {"s": a})


def test_optimizes_what_is_no_model():
    source = models.batch_norms()
    assert plica.Session(source).model.summarize().batch_norms == 1
    assert plica.Session(source, optimize=False).model.summarize().batch_norms == 2
    assert plica.Session(plica.Model(source)).model.summarize().batch_norms == 2


def test_a_session_keeps_its_model():
    model = plica.Model(models.batch_norms())
    session = plica.Session(model)
    model.optimize()
    assert session.model.summarize().batch_norms == 2


def test_options(tmp_path):
    source = models.add()
    assert plica.Session(source, threads=1).threads == 1
    assert plica.Session(source).threads == plica.default_threads()
    assert "1 threads" in repr(plica.Session(source, threads=1)) and "x: float32[4]" in repr(
        plica.Session(source)
    )
    with pytest.raises(plica.InvalidArgumentError, match="negative"):
        plica.Session(source, threads=-1)
    with pytest.raises(plica.IoError):
        plica.Session(source, tuning=tmp_path / "no.json")
    with pytest.raises(TypeError):
        plica.Session(source, log="no function")
    with pytest.raises(TypeError):
        plica.Session(3)


def test_log():
    lines = []
    session = plica.Session(models.add(), log=lambda level, message: lines.append((level, message)))
    session.run(X)
    assert lines and {level for level, _ in lines} <= {"debug", "info", "warning"}


def test_what_log_raises_is_reported(monkeypatch):
    def fail(*_):
        raise RuntimeError("of the log")

    seen = []
    monkeypatch.setattr(sys, "unraisablehook", lambda it: seen.append(str(it.exc_value)))
    assert np.array_equal(plica.Session(models.add(), log=fail).run(X)["y"], Y)
    assert seen and set(seen) == {"of the log"}


def test_limits():
    session = plica.Session(models.loop())
    start = time.monotonic()
    with pytest.raises(plica.CancelledError, match="time limit of 0.2 s"):
        session.run(models.forever(), timeout=0.2)
    assert time.monotonic() - start < 5
    big = plica.Session(models.one_node("Relu", [("x", ["N"])], [("y", ["N"])]))
    x = np.zeros(1 << 20, np.float32)
    with pytest.raises(plica.LimitError):
        big.run(x, max_memory=1 << 20)
    assert big.run(x, max_memory=1 << 24)["y"].size == 1 << 20
    with pytest.raises(plica.InvalidArgumentError):
        big.run(x, timeout=-1)
    token = plica.CancelToken()
    token.cancel()
    assert token.cancelled and "cancelled" in repr(token)
    with pytest.raises(plica.CancelledError):
        big.run(x, cancel=token)
    token.reset()
    assert big.run(x, cancel=token)["y"].size == 1 << 20


def test_on_step(session):
    steps = []
    session.run(X, on_step=lambda step, start, duration: steps.append((step.kind, start, duration)))
    assert [kind for kind, _, _ in steps] and all(start >= 0 and d >= 0 for _, start, d in steps)

    def fail(*_):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        session.run(X, on_step=fail)


def test_looks_inside():
    session = plica.Session(models.batch_norms())
    x = np.zeros((1, 3, 16, 16), np.float32)
    plan = session.plan({"x": x})
    assert (
        any("conv" in step.nodes for step in plan.steps)
        and plan.arena_bytes >= plan.arena_lower_bound
    )
    assert "steps" in repr(plan) and all(step.kind in repr(step) for step in plan.steps)
    profile = session.profile({"x": x}, runs=3)
    assert len(profile.durations) == len(profile.runs) == 3 and "3 runs" in repr(profile)
    assert all(run.step < len(profile.steps) and run.duration >= 0 for run in profile.runs[0])
    memory = session.memory()
    assert memory.plans == 1 and memory.weights > 0 and "plans=1" in repr(memory)
    session.trim()
    assert session.memory().workspaces == session.memory().results == 0
    assert session.tuning_note == ""


def test_pickle():
    session = plica.Session(models.batch_norms(), threads=1, exact=True)
    other = pickle.loads(pickle.dumps(session))
    x = np.random.default_rng(0).standard_normal((2, 3, 16, 16)).astype(np.float32)
    assert other.threads == 1
    assert np.array_equal(session.run(x, "y"), other.run(x, "y"))
    with pytest.raises(TypeError, match="log function can't be pickled"):
        pickle.dumps(plica.Session(models.add(), log=print))


def test_versions():
    assert plica.__version__ == plica.version() and plica.onednn_version()[0].isdigit()
    assert plica.default_threads() >= 1
