"""One goal, or a few that share their measurement, in each file: `measure(bench)` answers its figures."""
