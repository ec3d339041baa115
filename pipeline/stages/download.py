"""Stage `download`: the four raw files of the data set, checked."""

from collections import Counter
from pathlib import Path

from pipeline import params
from pipeline.datasets import digits, mirrors
from pipeline.datasets.facts import DATASETS, DIGITS


def download(raw: Path) -> None:
    """Have the files of `data.dataset` in the folder `raw`.

    Raises:
        ParamsError: params.yaml cannot be worked with.
        DownloadError: no source delivers.
        DataError: scikit-learn ships other digits than it did.
    """
    data = params.load().data
    dataset = DATASETS[data.dataset]
    if dataset is DIGITS:
        digits.write(raw)
        print(f"download: the {dataset.name} sample that scikit-learn ships, written to {raw}")
        return
    origins = mirrors.collect(dataset.files, mirrors.sources(data.mirrors), raw)
    for origin, number in Counter(origins.values()).items():
        print(
            f"download: {number} of {len(origins)} {dataset.name} files {origin}; size and SHA-256 are right"
        )
