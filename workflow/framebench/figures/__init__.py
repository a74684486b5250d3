"""The figures: one module each, drawn from files alone, in any language of `framebench.languages`."""

import logging
import os
import sys
from contextlib import chdir
from pathlib import Path


def _import_matplotlib() -> None:
    """Import Matplotlib with its own settings and fonts, before any module here does.

    By itself it takes settings, styles, a backend and a list of fonts from variables, from folders of the user's, and
    from a file `matplotlibrc` in the working folder; a backend or an encoding that it does not know ends the import.
    """
    given = dict(os.environ)
    os.environ.pop("MATPLOTLIBRC", None)
    # Beside the fonts that it lists: Matplotlib makes a list for each process where it cannot write there, and says so.
    os.environ["MPLCONFIGDIR"] = str(Path(sys.prefix, "share", "framebench"))
    os.environ |= {"MPLBACKEND": "agg", "MPL_IGNORE_SYSTEM_FONTS": "1"}
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    try:
        with chdir(Path(__file__).parent):
            import matplotlib.font_manager  # noqa: F401, PLC0415
    finally:
        os.environ.clear()
        os.environ.update(given)


_import_matplotlib()
