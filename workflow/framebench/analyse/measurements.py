"""One row for each run of a campaign: its record, flattened."""

import pandas as pd

from framebench.analyse.table import measurement_columns, table
from framebench.analyse.tables import Table
from framebench.record import CELL

COLUMNS = measurement_columns()


def measurements(records: list[dict]) -> pd.DataFrame:
    """Make one table of all run records."""
    return table(records)


TABLE = Table("measurements", measurements, keys=CELL)
