"""One row for each run of a campaign: its record, flattened."""

import pandas as pd

from framebench.analyse.table import table
from framebench.analyse.tables import Table
from framebench.record import CELL


def measurements(records: list[dict]) -> pd.DataFrame:
    """Make one table of all run records."""
    return table(records)


TABLE = Table("measurements", measurements, keys=CELL)
