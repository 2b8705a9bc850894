"""Soft shapes and smooth noise."""

import numpy as np

from medsam_exp.data.phantom.fields import ellipse, grid, smooth_noise, step


def test_grid_holds_pixel_centres():
    y, x = grid((2, 4))
    assert y[:, 0].tolist() == [0.25, 0.75]
    assert x[0].tolist() == [0.125, 0.375, 0.625, 0.875]


def test_step_is_a_ramp_around_zero():
    values = np.array([-1, -0.25, 0, 0.25, 1], np.float32)
    assert step(values, 1.0).tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_ellipse_has_the_area_of_its_radii():
    for angle in (0.0, 0.7):
        drawn = ellipse((400, 400), (0.5, 0.45), (0.3, 0.2), 0.02, angle)
        assert abs(drawn.mean() - np.pi * 0.3 * 0.2) < 0.005
        y, x = np.argwhere(drawn > 0.5).mean(0) / 400
        assert abs(y - 0.5) < 0.01
        assert abs(x - 0.45) < 0.01


def test_smooth_noise_has_unit_variance_and_the_scale_asked_for():
    generator = np.random.default_rng(0)
    coarse = np.stack([smooth_noise(generator, (120, 80), (3, 3)) for _ in range(200)])
    fine = smooth_noise(generator, (120, 80), (40, 40))
    assert coarse.shape == (200, 120, 80)
    assert np.allclose(coarse.std(0), 1, atol=0.2)
    assert np.abs(np.diff(coarse[0], axis=0)).mean() < 0.2 * np.abs(np.diff(fine, axis=0)).mean()
