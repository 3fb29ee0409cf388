from __future__ import annotations

import numpy as np

from fanogan_mtl.data.rows import pixel_rows


def test_rows_are_pixels_in_reading_order_from_zero_to_one():
    images = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
    images[1, 2, 3, 2] = 255
    rows = pixel_rows(images)
    assert rows.shape == (2, 36)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows * 255, images.reshape(2, 36), rtol=1e-6)
    assert rows.max() == 1


def test_vectors_are_rows_as_they_are():
    vectors = np.array([[-3.5, 0, 400], [1e30, 255, -1e-30]], np.float32)
    for some in (vectors, vectors[:0]):
        rows = pixel_rows(some)
        assert rows.dtype == np.float32
        np.testing.assert_array_equal(rows, some)
