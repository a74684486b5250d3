"""The places where a run can be measured, and the lease that keeps each to one run at a time."""
