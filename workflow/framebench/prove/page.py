"""A proof as a page of its own: one self-contained HTML file in which every name is text."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

from framebench.certify.page import Nearest, nearest
from framebench.prove import words

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid #ccc; padding: .25rem .75rem .25rem 0; text-align: left; vertical-align: top; }
.outcome { font-size: 1.25rem; border-left: .4rem solid #555; padding-left: .75rem; }
.equal { border-color: #117733; } .equal_but { border-color: #999933; } .different { border-color: #882255; }
.number { white-space: nowrap; } .fail { font-weight: bold; color: #882255; } code { font-size: .9em; }
@media (prefers-color-scheme: dark) { body { background: #1a1a1a; color: #eee; } th, td { border-color: #555; } }
"""
BOUNDS = (
    "Every difference is ‖Keras − PyTorch‖ / ‖PyTorch‖, of shares absolute. A float64 bound is 8 times the change of a"
    " quantity when each operation is displaced as rounding can displace it: an inner product of n terms by n units"
    " roundoff of the sum of their sizes. In float32, 8 units stand for n. A control is a fault made on purpose, which"
    " must exceed the bound. Where rounding alone decides, as for a bias before a norm, whose gradient is zero in"
    " theory, nothing is compared."
)


NUMBER = re.compile(r"[\d.]+(e[+-]\d+)?")


def page(proof: Mapping[str, Any]) -> str:
    """The HTML of a proof."""
    name = escape(proof["model"])
    body = [
        f"<h1>{name}: {_question(proof)}</h1>",
        f'<p class="outcome {proof["outcome"]}"><strong>{_sentence(proof)}</strong></p>',
        f"<p>{escape(words.summary(proof))}.</p>",
    ]
    if proof["differences"]:
        body += ["<h2>Equal but for</h2>" if proof["outcome"] == "equal_but" else "<h2>Other differences</h2>"]
        body += ["<p>Both models were given the setting of Keras, or none, for everything below.</p>"]
        body += [
            _table(("difference", "Keras", "PyTorch", "layer in keras.py", "in pytorch.py", ""), _differences(proof))
        ]
    if proof["checks"]:
        body += ["<h2>Checks</h2>", _table(CHECKS, map(_check, nearest(proof["checks"])))]
        body += [f"<p>The row of a quantity shows the layer nearest to its bound. {BOUNDS}</p>"]
    if proof["matches"]:
        body += ["<h2>Matched layers</h2>", _table(("keras.py", "pytorch.py", "weights", "order"), _matches(proof))]
    lacking = [
        (side, one["layer"], _shapes(one["weights"]))
        for side in ("keras", "pytorch")
        for one in proof["unmatched"][side]
    ]
    if lacking:
        body += ["<h2>Without a partner</h2>", _table(("only in", "layer", "weights"), lacking)]
    body += [
        "<h2>Not decided by the files</h2>",
        "<ul>",
        *(f"<li>{escape(one)}</li>" for one in proof["settled"]),
        "</ul>",
    ]
    body += ["<h2>Circumstances</h2>", _table(("", ""), circumstances(proof))]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{name}: proof</title>'
    return f'<!doctype html>\n<html lang="en">\n<head>{head}<style>{STYLE}</style></head>\n<body>\n' + "\n".join(
        [*body, "</body>\n</html>\n"]
    )


def _question(proof: Mapping[str, Any]) -> str:
    if len(proof["files"]) > 1:
        return f"do {escape(' and '.join(proof['files']))} train the same function?"
    (file,) = map(escape, proof["files"])
    if proof.get("backends"):
        return f"does {file} train the same function on Keras's backends?"
    return f"does {file} compute in float32 what it computes in float64?"


def _sentence(proof: Mapping[str, Any]) -> str:
    sentence = words.outcome(proof)
    return escape(sentence[0].upper() + sentence[1:] + ".")


CHECKS = ("precision", "quantity", "compared", "largest difference", "in", "bound", "")


def _check(one: Nearest) -> Sequence[object]:
    difference = "not finite" if one.difference is None else f"{one.difference:.2g}"
    compared = f"{one.layers} arrays" if one.layers else "all"
    return (
        one.precision,
        one.quantity,
        compared,
        difference,
        one.place,
        f"{one.bound:.2g}",
        "pass" if one.passed else "FAIL",
    )


def _differences(proof: Mapping[str, Any]) -> Iterator[Sequence[object]]:
    for one in proof["differences"]:
        values = words.shown(one["keras_value"]), words.shown(one["pytorch_value"])
        yield one["kind"], *values, one["keras"] or "", one["pytorch"] or "", one["note"]


def _matches(proof: Mapping[str, Any]) -> Iterator[Sequence[object]]:
    for one in proof["matches"]:
        yield one["keras"], one["pytorch"], _shapes(one["weights"]), one["order"] or ""


def _shapes(weights: Mapping[str, Sequence[int]]) -> str:
    return "; ".join(f"{role} {' × '.join(map(str, shape))}" for role, shape in weights.items())


def circumstances(proof: Mapping[str, Any]) -> Iterator[Sequence[object]]:
    """Name and value of each condition of the proof."""
    yield from (("parameters in " + side, f"{count:,}") for side, count in proof["parameters"].items())
    flops = proof["flops_per_sample"] or {}
    yield from ((f"FLOPs of a forward pass in {side}", f"{count:,}") for side, count in flops.items())
    yield from ((f"version of {name}", version) for name, version in proof["versions"].items())
    if proof["requirements"]:
        yield "requirements.txt gave", ", ".join(proof["requirements"]["packages"]) or "nothing new"
        yield "environment", proof["requirements"]["environment"]
    yield from ((name.replace("_", " "), proof[name]) for name in ("folder_digest", "lock_digest", "seed"))


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    def cells(row: Sequence[object], tag: str) -> str:
        return "".join(f"<{tag}{_class(one)}>{escape(str(one))}</{tag}>" for one in row)

    lines = [f"<tr>{cells(row, 'td')}</tr>" for row in rows]
    return "\n".join(["<table>", f"<tr>{cells(header, 'th')}</tr>", *lines, "</table>"])


def _class(cell: object) -> str:
    if cell == "FAIL":
        return ' class="fail"'
    return ' class="number"' if NUMBER.fullmatch(str(cell)) else ""
