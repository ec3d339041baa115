"""Stage `download`: the four raw files of the data set, checked."""

from collections import Counter
from pathlib import Path

from pipeline import params
from pipeline.core.datasets import DATASETS, DIGITS
from pipeline.download import digits, sources


def download(raw: Path) -> None:
    """Fetch or make the files of `data.dataset` in the folder `raw`.

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
    origins = sources.collect(dataset.published, sources.sources(data.mirrors), raw)
    for origin, number in Counter(origins.values()).items():
        print(f"download: {number} of {len(origins)} {dataset.name} files {origin}; their SHA-256 is right")
