"""Made-up run records, from given speeds."""

from collections.abc import Sequence

from framebench.record import record

WITHIN = {"cpu": 0.1, "gpu": 0.03}  # the margins of sameness, as config.yaml has them


def run(framework: str, number: int, speed: float | None, **changes) -> dict:
    """The run of round `number`; one without a speed failed."""
    values = {
        "device": "cpu",
        "workload": "article-cnn",
        "framework": framework,
        "track": "default",
        "precision": "float32",
        "input": "device",
        "batch_size": 32,
        "round": number,
        "order": 1,
        "seed": 1,
        "status": "ok" if speed else "failed",
        "images_per_s": speed,
    }
    return record(**values | changes)


def runs(block: dict | None = None, /, **speeds: Sequence[float | None]) -> list[dict]:
    """One run per framework and round, in a block that differs by these values from the one above."""
    return [
        run(framework, number, speed, **block or {})
        for framework, values in speeds.items()
        for number, speed in enumerate(values, start=1)
    ]
