"""Threads, processes, signals."""

import concurrent.futures
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import models
import plica

DIGITS = os.path.join(os.path.dirname(__file__), "..", "..", "models", "digits", "digits.onnx")


def pictures(count, seed=0):
    return np.random.default_rng(seed).random((count, 1, 8, 8), dtype=np.float32)


def test_other_threads_go_on_during_a_run():
    session = plica.Session(models.loop())
    ticks, done = 0, threading.Event()

    def tick():
        nonlocal ticks
        while not done.is_set():
            ticks += 1
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    before = ticks
    with pytest.raises(plica.CancelledError):
        session.run(models.forever(), timeout=0.5)
    during = ticks - before
    done.set()
    thread.join()
    assert during > 50


def test_eight_threads_on_one_session():
    session = plica.Session(DIGITS, threads=1)
    inputs = [pictures(1 + i % 3, i) for i in range(8)]
    expected = [session.run(x, "probabilities") for x in inputs]

    def work(i):
        for _ in range(200):
            if not np.array_equal(session.run(inputs[i], "probabilities"), expected[i]):
                return False
        return True

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


def test_cancelled_by_another_thread():
    session, token = plica.Session(models.loop()), plica.CancelToken()
    threading.Timer(0.1, token.cancel).start()
    with pytest.raises(plica.CancelledError):
        session.run(models.forever(), cancel=token, timeout=60)


def test_a_session_may_go_while_it_runs():
    sessions = [plica.Session(models.loop())]

    def work():
        with pytest.raises(plica.CancelledError):
            sessions[0].run(models.forever(), timeout=0.3)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.1)
    sessions.clear()
    thread.join()


def test_callbacks_from_threads():
    lines = []
    session = plica.Session(DIGITS, log=lambda level, message: lines.append(message))

    def work(count):
        steps = []
        session.run(pictures(count), on_step=lambda step, start, duration: steps.append(step.kind))
        return len(steps)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert min(pool.map(work, range(1, 9))) > 0
    assert lines


def run_in_child(session, x, queue):
    queue.put(session.run(x, "probabilities"))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes(method):
    # By fork the session comes along as it is, after runs with two threads; else it is pickled.
    session = plica.Session(DIGITS, threads=2)
    x = pictures(4)
    expected = session.run(x, "probabilities")
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    for _ in range(2):
        process = context.Process(target=run_in_child, args=(session, x, queue))
        process.start()
        assert np.array_equal(queue.get(timeout=60), expected)
        process.join(60)
        assert process.exitcode == 0
    assert np.array_equal(session.run(x, "probabilities"), expected)


def probabilities(session, x):
    return session.run(x, "probabilities")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_pool_of_forked_workers():
    session = plica.Session(DIGITS, threads=2)
    inputs = [pictures(2, i) for i in range(8)]
    expected = [session.run(x, "probabilities") for x in inputs]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        results = pool.starmap(probabilities, [(session, x) for x in inputs])
    assert all(np.array_equal(a, b) for a, b in zip(results, expected))


def test_control_c_ends_a_run():
    session = plica.Session(models.loop())
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        session.run(models.forever(), timeout=60)
    assert time.monotonic() - start < 5
    assert session.run({"n": np.int64(1), "m": np.eye(32, dtype=np.float32)})["y"].shape == (32, 32)


def test_handlers_of_signals_run_during_a_run():
    seen = []
    previous = signal.signal(signal.SIGUSR1, lambda *_: seen.append(time.monotonic()))
    try:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        with pytest.raises(plica.CancelledError):
            plica.Session(models.loop()).run(models.forever(), timeout=0.6)
        assert seen and time.monotonic() - seen[0] > 0.2
    finally:
        signal.signal(signal.SIGUSR1, previous)


def test_control_c_in_a_program():
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import models, plica\n"
        "session = plica.Session(models.loop()); print('ready', flush=True)\n"
        "session.run(models.forever())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, os.path.dirname(__file__)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        restore_signals=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in errors and process.returncode != 0


def test_the_environment_stays():
    program = (
        "import os; before = dict(os.environ); import plica; assert dict(os.environ) == before"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_exit_while_threads_run():
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import models, plica, threading, time\n"
        "session = plica.Session(models.loop(), log=lambda *a: None)\n"
        "work = threading.Thread(target=session.run, args=(models.forever(),), daemon=True)\n"
        "work.start(); time.sleep(0.3)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, os.path.dirname(__file__)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
