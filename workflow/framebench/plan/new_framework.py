"""Make the files of a new framework, as working copies of the template: `make new-framework NAME=…`."""

import keyword
import re
import sys
from pathlib import Path

from framebench.output import escape_unknown
from framebench.plan import catalogue

TEMPLATE = catalogue.PACKAGE / "frameworks" / "_template"
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
IMPORTS = re.compile("(?:^from framebench.*\n)+", re.MULTILINE)  # in another order with another name
FIRST_WORKLOAD = "article-cnn"
# Colours that colour-blind readers can distinguish (Paul Tol's muted scheme), none of them used by a figure for unknown
# frameworks.
COLOURS = ("#882255", "#117733", "#332288", "#999933", "#44AA99", "#AA4499", "#661100")
MARKERS = ("h", "p", "d", "8", "H", "1", "2")
NEXT = """
{name} is a copy of the template, NumPy as a framework, and can be measured as it stands:
  1. make lock                  its packages: {environment}
  2. config.yaml                add {name} to frameworks:, and leave the workloads in matrix: that it has a model
                                file of; now that is {workload}
  3. make run                   measured beside the others, and certified
Then put your framework in NumPy's place, in this order:
  {environment}
  {model}
  {adapter}  is enough to be measured; delete inspector.py until you come to it
  {inspector}  is needed to be certified, and so to be compared
  {folder}/faults.py, samples.py  are for the tests: make test-all ARGS="-k {name}"
What each must do is in workflow/framebench/frameworks/contract.py. It takes part in every workload that it has a
model file for."""


class RefusedError(Exception):
    """A name cannot be that of a new framework; one line with the reason."""


def planned(name: str, root: Path) -> dict[str, Path]:
    """File of the template → path of its copy, relative to the repository; RefusedError where it cannot be made."""
    module = name.replace("-", "_")
    if not NAME.fullmatch(name) or keyword.iskeyword(module):
        raise RefusedError(f"{name!r} is no name; a name has small letters, digits and single hyphens, such as my-net")
    folder = catalogue.folder(name)
    files = {
        "environment.in": Path(f"envs/{module}-cpu.in"),
        "adapter.py": folder / "adapter.py",
        "inspector.py": folder / "inspector.py",
        "faults.py": folder / "faults.py",
        "samples.py": folder / "samples.py",
        "model.py": catalogue.spec_path(FIRST_WORKLOAD).with_name(f"{module}.py"),
    }
    for path in (folder, *files.values()):
        if (root / path).exists():
            raise RefusedError(f"{name!r} cannot be made: {path} exists")
    return files


def make(name: str, root: Path) -> dict[str, Path]:
    """Write the files of framework `name`; returns them as `planned`."""
    files = planned(name, root)
    module = name.replace("-", "_")
    colour, marker = style(root)
    said = {
        'LABEL = "Template"': f'LABEL = "{name}"',
        "the template": name,
        "framework template": f"framework {name}",
        "_template": module,
        '"template"': f'"{module}"',
        "template.py": f"{module}.py",
        "envs/template-": f"envs/{module}-",
        'COLOUR = "#882255"': f'COLOUR = "{colour}"',
        'MARKER = "h"': f'MARKER = "{marker}"',
    }
    for kind, path in files.items():
        text = (root / TEMPLATE / kind).read_text(encoding="utf-8")
        for old, new in said.items():
            text = text.replace(old, new)
        text = IMPORTS.sub(lambda found: "".join(sorted(found[0].splitlines(keepends=True))), text)
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return files


def style(root: Path) -> tuple[str, str]:
    """A colour and a marker that no framework has yet."""
    adapters = [catalogue.adapter(framework, root) for framework in catalogue.frameworks(root)]
    colours, markers = {one.colour for one in adapters}, {one.marker for one in adapters}
    colour = next((one for one in COLOURS if one not in colours), COLOURS[0])
    return colour, next((one for one in MARKERS if one not in markers), MARKERS[0])


def main() -> None:
    escape_unknown()
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    try:
        files = make(name, catalogue.ROOT)
    except (RefusedError, catalogue.AdapterError) as error:
        sys.exit(f"make new-framework NAME=…: {error}")
    paths = {kind.partition(".")[0]: path for kind, path in files.items()}
    print(NEXT.format(name=name, workload=FIRST_WORKLOAD, folder=catalogue.folder(name), **paths).strip())


if __name__ == "__main__":
    main()
