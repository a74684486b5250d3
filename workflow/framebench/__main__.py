"""Every step of a campaign that needs no framework: `python -m framebench STEP --help`.

Steps that run under a framework's own interpreter are modules of their own: framebench.measure and framebench.certify.
"""

import sys
from importlib import import_module

from framebench import output

# Step → the module with its `main`.
STEPS = {
    "data": "framebench.data.command",
    "plan": "framebench.plan.matrix",
    "rounds": "framebench.analyse.rounds_needed",
    "table": "framebench.analyse.command",
    "figure": "framebench.figures.command",
    "figures": "framebench.figures.translated",
    "verdict": "framebench.answer.command",
    "page": "framebench.report.command",
    "rehearse": "framebench.report.rehearsal",
    "rerun": "framebench.analyse.rerun",
    "failures": "framebench.analyse.failures",
    "aa": "framebench.analyse.aa",
    "export": "framebench.exchange.export",
    "merge": "framebench.exchange.merge",
}


def main() -> None:
    """Run the step that the command line names first."""
    output.escape_unknown()
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in ("-h", "--help"):
        print(f"{__doc__}\nsteps: {', '.join(STEPS)}")
    elif name not in STEPS:
        sys.exit(f"python -m framebench: {name!r} is no step; allowed: {', '.join(STEPS)}")
    else:
        import_module(STEPS[name]).main(sys.argv[2:])


if __name__ == "__main__":
    main()
