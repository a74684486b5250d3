"""From run records to measurements, and from measurements to comparisons."""
