"""Random images that a small network can learn, for measuring without a network connection or an archive."""

import numpy as np

SIDE = 32
CHANNELS = 3
CLASSES = 10
ENLARGED = 7

GRID = 4  # random values per side of a class template; the pixels between them are interpolated
SHIFT = 4  # largest displacement of a template, in pixels
BACKGROUNDS = 100  # smooth images unrelated to the class, each mixed into many images
CHUNK = 1000  # images made at a time, which limits the memory needed besides the result


def synthetic_images(samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (samples, 32, 32, 3) and labels uint8 (samples,), the same for the same arguments.

    An image is an equal mixture of its class's smooth template, shifted with wrap-around, and a background unrelated to
    the class, with its own contrast and brightness and with noise on every value. (With the template alone, the
    VGG-style net learns so fast at its learning rate that its loss jumps up again; on real images, as on these, it does
    not.) The ten classes are equally frequent, to within one image, in random order.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    templates = _smooth(random, CLASSES)
    backgrounds = _smooth(random, BACKGROUNDS)
    order = np.argsort(random.random(samples), kind="stable")
    labels = (np.arange(samples) % CLASSES).astype(np.uint8)[order]
    images = np.empty((samples, SIDE, SIDE, CHANNELS), np.uint8)
    for start in range(0, samples, CHUNK):
        chosen = labels[start : start + CHUNK]
        count = len(chosen)
        rows = (np.arange(SIDE) + random.integers(-SHIFT, SHIFT + 1, (count, 1))) % SIDE
        columns = (np.arange(SIDE) + random.integers(-SHIFT, SHIFT + 1, (count, 1))) % SIDE
        # Integers only, so that no processor rounds differently; 255 * 128 is the largest product that int16 holds.
        contrast = random.integers(64, 129, (count, 1, 1, 1), dtype=np.int16)
        brightness = random.integers(-32, 97, (count, 1, 1, 1), dtype=np.int16)
        noise = random.integers(-24, 25, (count, SIDE, SIDE, CHANNELS), dtype=np.int16)
        pixels = rows[:, :, None], columns[:, None, :]
        background = random.integers(0, BACKGROUNDS, (count, 1, 1))
        smooth = (templates[chosen[:, None, None], *pixels] + backgrounds[background, *pixels]) // 2
        images[start : start + count] = np.clip((smooth * contrast >> 7) + brightness + noise, 0, 255)
    return images, labels


def large_images(samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The same, each pixel a square of 7 × 7 with noise on every value: uint8 (samples, 224, 224, 3), and labels."""
    small, labels = synthetic_images(samples, seed)
    random = np.random.Generator(np.random.PCG64([seed, 1]))
    images = small.repeat(ENLARGED, axis=1).repeat(ENLARGED, axis=2)
    for image in images:
        noisy = image + random.integers(-24, 25, image.shape, dtype=np.int16)
        image[:] = np.clip(noisy, 0, 255)
    return images, labels


def _smooth(random: np.random.Generator, count: int) -> np.ndarray:
    """Smooth images, int16 (count, 32, 32, 3) in 0..255, whose edges continue at the other side."""
    grid = random.integers(0, 256, (count, GRID, GRID, CHANNELS))
    step = SIDE // GRID
    cell, offset = np.divmod(np.arange(SIDE), step)
    following = (cell + 1) % GRID
    down = offset[:, None, None]
    rows = grid[:, cell] * (step - down) + grid[:, following] * down
    right = offset[:, None]
    pixels = rows[:, :, cell] * (step - right) + rows[:, :, following] * right
    return (pixels // step**2).astype(np.int16)
