"""What the report costs: `python -m benchmarks.report`.

Stage `report` as a whole process, on studies that are made up but as large as real ones: histories,
predictions for 10,000 test images, 55,000 training images. Each shape is run some times; the median counts
for seconds, the highest for memory.

seconds    wall time, from the start of Python to its end
processor  processor time of the same
peak       highest resident memory
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from benchmarks import made_up, measured

SHAPES = ("4x3x20", "20x5x500", "5x20x500")
"""Rates x seeds x epochs: the default study, and two ways to have 100 runs of the textbook's length."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("shapes", nargs="*", default=SHAPES, help="rates x seeds x epochs, as 4x3x20")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="report-") as scratch:
        scaled = made_up.data(Path(scratch) / "scaled")
        for shape in chosen.shapes:
            rates, seeds, epochs = map(int, shape.split("x"))
            root = made_up.study(Path(scratch) / shape, scaled, made_up.rates(rates), seeds, epochs)
            made_up.write_runs(root, network=0)  # the report reads no model
            made_up.write_range_test(root)
            costs = [report(root) for _ in range(chosen.rounds)]
            rows.append(
                {
                    "runs": f"{rates * seeds} of {epochs} epochs ({rates} rates, {seeds} seeds)",
                    "seconds": f"{statistics.median(cost.seconds for cost in costs):.1f}",
                    "processor": f"{statistics.median(cost.processor for cost in costs):.1f}",
                    "peak": f"{max(cost.peak for cost in costs):.0f} MB",
                    "page": f"{(root / 'report/index.html').stat().st_size / 1e6:.1f} MB",
                }
            )
    print(made_up.table(rows))


def report(root: Path) -> measured.Cost:
    command = ("report", "data/scaled", "runs", "report", "--range-test", "range_test")
    return measured.measure(root, "pipeline", *command)


if __name__ == "__main__":
    main()
