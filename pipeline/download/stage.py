"""Stage `download`: the raw files of the data set, checked."""

from collections import Counter
from pathlib import Path

from pipeline import params
from pipeline.core.datasets import DATASETS, DIGITS
from pipeline.download import digits, own, sources
from pipeline.params import DataParams

OWN = Path("data/own")


def download(raw: Path) -> None:
    """Fetch or make the files of `data.dataset` in the folder `raw`.

    Raises:
        ParamsError: params.yaml cannot be worked with.
        DownloadError: no source delivers.
        DataError: scikit-learn ships other digits than it did, or own data are not what they should be.
        ChangedError: code, parameters or own data were edited meanwhile.
    """
    check, data = params.watch(), params.load().data
    _bring(raw, data)
    check()


def _bring(raw: Path, data: DataParams) -> None:
    if data.dataset == "own":
        given = own.read(OWN)
        own.write(raw, given)
        print(
            f"download: {len(given.train.labels):,} training examples from {OWN}, checked, written to {raw}"
        )
        return
    dataset = DATASETS[data.dataset]
    if dataset is DIGITS:
        digits.write(raw)
        print(f"download: the {dataset.name} sample that scikit-learn ships, written to {raw}")
        return
    mirrors = getattr(data.mirrors, dataset.name)
    origins = sources.collect(dataset, sources.sources(mirrors, dataset.name), raw)
    for origin, number in Counter(origins.values()).items():
        print(f"download: {number} of {len(origins)} {dataset.name} files {origin}; their SHA-256 is right")
