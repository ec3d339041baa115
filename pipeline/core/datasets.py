"""What is known about published data sets before any file is read: every size and hash that is trusted."""

from typing import NamedTuple

SIDE = 28
"""Rows and columns of an image, in pixels."""

CLASSES = 10
"""The digits 0 to 9."""


class Published(NamedTuple):
    """The compressed file as its publishers offer it: its bytes, and their SHA-256."""

    size: int
    sha256: str


class File(NamedTuple):
    """One IDX file, compressed with gzip.

    Attributes:
        name: as published.
        content_sha256: of the IDX file inside, which does not depend on who compressed it; None where only
            the compressed file is known.
        published: None where the file is made here.
    """

    name: str
    content_sha256: str | None
    published: Published | None = None

    @property
    def sha256(self) -> str:
        """Give what identifies the content, as far as it is known."""
        return self.content_sha256 or (self.published.sha256 if self.published else "")


class Part(NamedTuple):
    """The training or the test half.

    Attributes:
        class_counts: images of each class, 0 to 9.
    """

    images: File
    labels: File
    class_counts: tuple[int, ...]

    @property
    def size(self) -> int:
        return sum(self.class_counts)


class Dataset(NamedTuple):
    """A data set of two halves in four files.

    Attributes:
        title: as its publishers write its name.
        classes: their names, in the order of the labels.
    """

    name: str
    title: str
    train: Part
    test: Part
    classes: tuple[str, ...] = tuple("0123456789")

    @property
    def files(self) -> tuple[File, File, File, File]:
        return (self.train.images, self.train.labels, self.test.images, self.test.labels)

    @property
    def published(self) -> dict[str, Published]:
        """Map the name of each file that is fetched to what its publishers offer."""
        return {file.name: file.published for file in self.files if file.published}


TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"

MNIST = Dataset(
    name="mnist",
    title="MNIST",
    train=Part(
        File(
            TRAIN_IMAGES,
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            Published(9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
        ),
        File(
            TRAIN_LABELS,
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            Published(28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
        ),
        (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
    ),
    test=Part(
        File(
            TEST_IMAGES,
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            Published(1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        ),
        File(
            TEST_LABELS,
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            Published(4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
        ),
        (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009),
    ),
)
"""The MNIST database of handwritten digits (LeCun, Cortes, Burges)."""

DIGITS = Dataset(
    name="digits",
    title="digits",
    train=Part(
        File(TRAIN_IMAGES, "b3311c0e6724600922db4e7e20de3905fac083cd7bd793b7d12727cbda09ae5b"),
        File(TRAIN_LABELS, "bd3edaa3a988280a3961d7c68a1df9acde2a3f3b377241ca8fcebd995127d8e8"),
        (151, 151, 150, 153, 148, 152, 151, 149, 146, 149),
    ),
    test=Part(
        File(TEST_IMAGES, "492603b900387b09357b9ef3844ea4d381247f234fa152d5056b51ca25b23db9"),
        File(TEST_LABELS, "e6698ad083c2c36b514003f58a4da1112904c486bc4ed10f9f6ac2b47ee729c7"),
        (27, 31, 27, 30, 33, 30, 30, 30, 28, 31),
    ),
)
"""The digits that ship inside scikit-learn, as `pipeline.download.digits` brings them into form."""


def _balanced(name: str, title: str, classes: str, *published: tuple[int, str]) -> Dataset:
    """Describe a data set in MNIST's form, ten classes of equal size; `published` in the order of `files`."""
    names = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)
    files = [File(file, None, Published(*facts)) for file, facts in zip(names, published, strict=True)]
    train, test = Part(files[0], files[1], (6000,) * 10), Part(files[2], files[3], (1000,) * 10)
    return Dataset(name, title, train, test, tuple(classes.split(", ")))


FASHION_MNIST = _balanced(
    "fashion_mnist",
    "Fashion-MNIST",
    "T-shirt/top, trouser, pullover, dress, coat, sandal, shirt, sneaker, bag, ankle boot",
    (26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
    (29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
    (4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
    (5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
)
"""Zalando's images of clothes (Xiao, Rasul, Vollgraf 2017)."""

KMNIST = _balanced(
    "kmnist",
    "KMNIST",
    "o, ki, su, tsu, na, ha, ma, ya, re, wo",
    (18_165_135, "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4"),
    (29_497, "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17"),
    (3_041_136, "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5"),
    (5_120, "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"),
)
"""Japanese letters in cursive script (Clanuwat et al. 2018)."""

DATASETS = {dataset.name: dataset for dataset in (MNIST, FASHION_MNIST, KMNIST, DIGITS)}
