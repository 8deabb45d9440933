"""Dynamical systems to learn: against SciPy's integrators, loops, and what defines them."""

import jax
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from ntkrnn.data import systems

ALL = [systems.linear_state_space, systems.narma10, systems.pendulum, systems.van_der_pol]


@pytest.mark.parametrize("make", ALL)
def test_shapes_norms_keys_and_causality(make):
    found = make(3, 12, 25)
    d = found.x.shape[2]
    assert found.x.shape == (12, 25, d) and found.y.shape == (12, 25, 1) and found.name
    assert np.linalg.norm(found.x, axis=2).max() <= 1
    assert np.isfinite(found.y).all() and found.y.std() > 0.05
    again, other = make(3, 12, 25), make(jax.random.key(3), 12, 25)
    assert np.array_equal(again.x, found.x) and np.array_equal(again.y, found.y)
    assert not np.array_equal(other.x, found.x)
    with pytest.raises(ValueError, match="n: got 0"):
        make(3, 0, 25)
    with pytest.raises(TypeError, match="T: got 2"):
        make(3, 4, 2.5)


def test_the_linear_system_is_linear_causal_stationary_and_of_its_order():
    length = 8
    x, y, _ = systems.linear_state_space(0, 400, length, states=2, channels=2, radius=0.9)
    response, left, rank, _ = np.linalg.lstsq(x.reshape(400, -1), y[:, :, 0], rcond=None)
    assert rank == 2 * length and left.max() < 1e-20
    response = response.reshape(length, 2, length)  # from step, channel, to step
    by_lag = response[0]  # [channel, lag]
    for s in range(length):
        assert np.abs(response[s, :, :s]).max(initial=0) < 1e-12
        assert np.abs(response[s, :, s:] - by_lag[:, : length - s]).max() < 1e-12
    # Markov parameters of two states: the Hankel matrix has rank 2; their norms add up to 1.
    hankel = np.concatenate([[by_lag[:, i + j] for j in range(4)] for i in range(4)], axis=1)
    sizes = np.linalg.svd(hankel, compute_uv=False)
    assert sizes[2] < 1e-10 < 1e-3 * sizes[1]
    assert np.linalg.norm(by_lag, axis=0).sum() == pytest.approx(1, rel=1e-12)
    assert np.abs(y).max() <= 1


def test_narma_is_its_recursion():
    x, y, _ = systems.narma10(1, 3, 40)
    for one, output in zip(x, y[:, :, 0], strict=True):
        assert one[:, 1] == pytest.approx(np.sqrt(0.5), rel=1e-12)
        u = (one[:, 0] * np.sqrt(2) + 1) / 4
        assert u.min() >= -1e-12 and u.max() <= 0.5 + 1e-12
        for t in range(40):
            past = [output[t - i] if t >= i else 0.0 for i in range(1, 11)]
            delayed = u[t - 9] if t >= 9 else 0.0
            new = 0.3 * past[0] + 0.05 * past[0] * sum(past) + 1.5 * delayed * u[t] + 0.1
            assert output[t] == pytest.approx(new, rel=1e-10)
    long = systems.narma10(0, 2, 3000)
    assert np.abs(long.y).max() <= 1


@pytest.mark.parametrize("name", ["pendulum", "van_der_pol"])
def test_oscillators_against_an_adaptive_integrator(name):
    dt, steps = 0.4, 12
    if name == "pendulum":
        x, y, _ = systems.pendulum(2, 2, steps, dt=dt, damping=0.2, torque=1.5, noise=0.0)
        drive, start, read = x[:, :, 0], [0.0, 0.0], np.sin
        field = lambda t, s, f: [s[1], -np.sin(s[0]) - 0.2 * s[1] + 1.5 * f]  # noqa: E731
    else:
        x, y, _ = systems.van_der_pol(2, 2, steps, dt=dt, mu=1.5, force=0.7)
        drive, start, read = x[:, :, 0] * np.sqrt(2), [1.0, 0.0], lambda s: s / 3
        field = lambda t, s, f: [s[1], 1.5 * (1 - s[0] ** 2) * s[1] - s[0] + 0.7 * f]  # noqa: E731
    for row, output in zip(drive, y[:, :, 0], strict=True):
        state = start
        for force, found in zip(row, output, strict=True):
            run = solve_ivp(field, (0, dt), state, args=(force,), rtol=1e-11, atol=1e-12)
            state = run.y[:, -1]
            # Eight steps of 0.05 of a rule of fourth order: some 0.05^4 for every unit of time.
            assert found == pytest.approx(read(state[0]), abs=10 * 0.05**4)


def test_noise_is_added_to_the_output_alone():
    quiet, noisy = systems.pendulum(0, 200, 20, noise=0.0), systems.pendulum(0, 200, 20, noise=0.1)
    assert np.array_equal(quiet.x, noisy.x)
    off = noisy.y - quiet.y
    assert abs(off.std() / 0.1 - 1) < 5 / np.sqrt(2 * off.size)


def test_a_recording_is_cut_into_windows(tmp_path):
    path = tmp_path / "tank.csv"
    table = np.random.default_rng(0).normal(size=(11, 2)) * [3, 0.1] + [5, -2]
    path.write_text("u,y\n" + "\n".join(f"{a!r},{b!r}" for a, b in table.tolist()))
    low, high = table.min(axis=0), table.max(axis=0)
    scaled = 2 * (table - low) / (high - low) - 1
    for stride, starts in ((None, (0, 4)), (3, (0, 3, 6))):
        found = systems.from_csv(str(path), 4, stride=stride)
        assert found.name == "tank" and found.x.shape == (len(starts), 4, 2)
        for i, s in enumerate(starts):
            np.testing.assert_allclose(found.x[i, :, 0] * np.sqrt(2), scaled[s : s + 4, 0], atol=1e-12)
            np.testing.assert_allclose(found.x[i, :, 1], np.sqrt(0.5), rtol=1e-12)
            np.testing.assert_allclose(found.y[i, :, 0], scaled[s : s + 4, 1], atol=1e-12)
        assert np.linalg.norm(found.x, axis=2).max() <= 1


@pytest.mark.parametrize(
    ("text", "window", "message"),
    [
        ("1,2,3\n4,5,6\n", 1, r"has 3 columns, expected two"),
        ("1,2\n3,4\n", 3, r"window: got 3 for the 2 time steps"),
        ("1,2\n3,x\n", 1, r"line 2, column 2: got 'x'"),
        ("1,2\n3,nan\n", 1, r"line 2, column 2: got nan"),
        ("1,2\n3,\n", 1, r"line 2, column 2: got nan"),
        ("1,2\n1,3\n", 1, r"column 1: is 1 throughout"),
        ("time,y\n1,2\n2,3\n", 1, r"line 1: the column 'time' holds times"),
        ("1_0,2\n1,2\n", 1, r"line 1, column 1: got '1_0' in the first row"),
        ("", 1, r"the file is empty"),
    ],
)
def test_recordings_that_are_none_are_refused(tmp_path, text, window, message):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        systems.from_csv(path, window)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        systems.from_csv(tmp_path / "none.csv", window)


def test_what_a_system_cannot_be():
    with pytest.raises(ValueError, match=r"dt: got 40, for which the integration leaves"):
        systems.van_der_pol(0, 2, 5, dt=40.0)
    with pytest.raises(ValueError, match="noise: got -1"):
        systems.pendulum(0, 2, 5, noise=-1.0)
    with pytest.raises(ValueError, match="states: got 0"):
        systems.linear_state_space(0, 2, 5, states=0)
