"""Image sets that runs are trained and scored on: origin, licence and known limits.

What code cannot know; sizes and fingerprints are in `harness.datasets`. A licence is
given only where the origin states one, with how that is known.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

UNKNOWN: Final = "unknown"
OWN: Final = "-corrupted"
"""End of the names of sets that the harness makes from the test images of another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSource:
    """Where an image set comes from."""

    name: str
    """Registered name."""
    what: str
    """What the images show, in a sentence or two."""
    origin: str
    """Who made it and from what."""
    citation: str
    """Publication that describes it; "" for points drawn by a formula."""
    licence: str
    """SPDX identifier, or "unknown" where the origin states none."""
    basis: str
    """How the licence is known, and whether that was checked for this card."""
    limits: tuple[str, ...]
    """What a user should know before trusting results on it."""


_CIFAR: Final = (
    "A. Krizhevsky. Learning Multiple Layers of Features from Tiny Images. Technical "
    "report, University of Toronto, 2009"
)
_TINY_IMAGES: Final = (
    "The pictures come from 80 Million Tiny Images, which its authors withdrew in 2020 "
    "because of offensive categories and pictures elsewhere in that collection."
)
_NO_LICENCE: Final = "the authors' page states no licence; none was found"
_CORRUPTIONS: Final = (
    "D. Hendrycks, T. Dietterich. Benchmarking Neural Network Robustness to Common "
    "Corruptions and Perturbations. ICLR 2019, arXiv 1903.12261"
)
_RECHT: Final = (
    "B. Recht, R. Roelofs, L. Schmidt, V. Shankar. Do CIFAR-10 Classifiers Generalize "
    "to CIFAR-10? 2018, arXiv 1806.00451"
)
_MNIST: Final = (
    "Y. LeCun, L. Bottou, Y. Bengio, P. Haffner. Gradient-Based Learning Applied to "
    "Document Recognition. Proceedings of the IEEE 86 (11), 1998"
)
_GENERATED: Final = {
    "origin": "drawn by this harness from a formula and a seed; no file is read",
    "licence": "Apache-2.0",
    "basis": "licence of the program that draws them",
}


def _near_copies(share: str, labels: str) -> tuple[str, ...]:
    return (
        _TINY_IMAGES,
        f"About {share} of the test images have a near copy among the training images "
        "(Barz and Denzler 2020, arXiv 1902.00423; figure not checked here).",
        f"About {labels} of the test labels are wrong (Northcutt et al. 2021, arXiv "
        "2103.14749; figure not checked here).",
        "There is no validation part; one is cut from the training part, fixed and "
        "stratified.",
    )


_TABLE: Final = (
    ImageSource(
        name="digits",
        what="Handwritten digits as grey images of 8 x 8 pixels in 10 classes. Each "
        "pixel counts the set pixels of a 4 x 4 block of a 32 x 32 bitmap.",
        origin="the 1,797 images of the test part of the UCI set Optical Recognition "
        "of Handwritten Digits, as they come with scikit-learn; nothing is downloaded",
        citation="E. Alpaydin, C. Kaynak. Optical Recognition of Handwritten Digits. "
        "UCI Machine Learning Repository, 1998",
        licence="CC-BY-4.0",
        basis="stated by the UCI repository; not checked again for this card",
        limits=(
            "The writers of training and test images are not apart, since scikit-learn "
            "does not say who wrote what.",
            "8 x 8 pixels leave no room for blur, warps and pixelation.",
            "A test part of a thousand images makes accuracies coarse: see the "
            "standard error on the card of a corpus.",
        ),
    ),
    ImageSource(
        name="mnist",
        what="Handwritten digits as grey images of 28 x 28 pixels in 10 classes, "
        "size-normalised to 20 x 20 and centred.",
        origin="Y. LeCun, C. Cortes and C. Burges, from NIST Special Databases 1 and 3",
        citation=_MNIST,
        licence=UNKNOWN,
        basis="copies disagree (MIT on the Hub, CC BY-SA 3.0 elsewhere); neither was "
        "checked against the authors",
        limits=(
            "Nearly solved: most networks err on less than 2 % of the test images, so "
            "that runs differ by few images.",
        ),
    ),
    ImageSource(
        name="fashion-mnist",
        what="Articles of clothing as grey images of 28 x 28 pixels in 10 classes.",
        origin="Zalando Research, from product photographs of its shop",
        citation="H. Xiao, K. Rasul, R. Vollgraf. Fashion-MNIST: a Novel Image Dataset "
        "for Benchmarking Machine Learning Algorithms. 2017, arXiv 1708.07747",
        licence="MIT",
        basis="licence file of the authors' repository, read for this card",
        limits=(
            "The classes shirt, T-shirt, pullover and coat overlap; their confusion "
            "bounds every accuracy.",
        ),
    ),
    ImageSource(
        name="cifar10",
        what="Photographs of 32 x 32 pixels in colour: ten classes of animals and "
        "vehicles.",
        origin="A. Krizhevsky, V. Nair and G. Hinton, labelled from 80 Million Tiny "
        "Images",
        citation=_CIFAR,
        licence=UNKNOWN,
        basis=_NO_LICENCE,
        limits=_near_copies("3 %", "0.5 %"),
    ),
    ImageSource(
        name="cifar10-jpeg",
        what="CIFAR-10 encoded once more as JPEG, which changes pixels slightly.",
        origin="a local mirror; who encoded it, and at what quality, is unknown",
        citation=_CIFAR,
        licence=UNKNOWN,
        basis=_NO_LICENCE,
        limits=(
            "Accuracies are not comparable with those on CIFAR-10.",
            *_near_copies("3 %", "0.5 %"),
        ),
    ),
    ImageSource(
        name="cifar100",
        what="Photographs of 32 x 32 pixels in colour: 100 fine classes.",
        origin="A. Krizhevsky, V. Nair and G. Hinton, labelled from 80 Million Tiny "
        "Images",
        citation=_CIFAR,
        licence=UNKNOWN,
        basis=_NO_LICENCE,
        limits=_near_copies("10 %", "6 %"),
    ),
    ImageSource(
        name="tiny-imagenet",
        what="Photographs of 64 x 64 pixels in colour: 200 classes of ImageNet, 500 "
        "training images each.",
        origin="a course of Stanford University (CS231n), scaled down from ImageNet",
        citation="Y. Le, X. Yang. Tiny ImageNet Visual Recognition Challenge. CS231n "
        "report, Stanford University, 2015",
        licence=UNKNOWN,
        basis="no licence is stated; ImageNet's own terms allow non-commercial "
        "research and education only",
        limits=(
            "The labels of the published test part are secret: its validation part "
            "serves as the test set here.",
            "Images are stored as JPEG, and decoders differ in the last bit; no "
            "fingerprint is required, and that of each run is recorded.",
        ),
    ),
    ImageSource(
        name="two-moons",
        what="Points in the plane: two interleaved half circles with Gaussian noise.",
        citation="",
        limits=("A toy problem: results need not carry over to images.",),
        **_GENERATED,
    ),
    ImageSource(
        name="circles",
        what="Points in the plane: two concentric circles with Gaussian noise.",
        citation="",
        limits=("A toy problem: results need not carry over to images.",),
        **_GENERATED,
    ),
    ImageSource(
        name="koch",
        what="Points uniform in a square, inside or outside a Koch snowflake: the "
        "boundary has dimension log 4 / log 3 = 1.262 in the limit of depth.",
        citation="H. von Koch. Sur une courbe continue sans tangente, obtenue par une "
        "construction geometrique elementaire. 1904",
        limits=("A toy problem: results need not carry over to images.",),
        **_GENERATED,
    ),
    ImageSource(
        name="corrupted",
        what="The test images of a run's own data set, corrupted by the suite of this "
        "harness: noise, blur, weather and digital artefacts at five severities. "
        "Results are recorded under the name of the data set and the ending "
        f'"{OWN}".',
        origin="made by this harness from the test images, with the constants of "
        "CIFAR-10-C; the same images for the same arguments",
        citation=_CORRUPTIONS,
        licence="that of the data set",
        basis="the images are made from it",
        limits=(
            "Pixels are not those of CIFAR-10-C: frost is drawn by a program instead "
            "of cut from photographs, and values are rounded, not cut off.",
            "At small sizes corruptions that do not act, or not more strongly at each "
            "severity, are left out.",
        ),
    ),
    ImageSource(
        name="cifar10-c",
        what="The test images of CIFAR-10 under 19 corruptions at 5 severities.",
        origin="D. Hendrycks and T. Dietterich, from the test images of CIFAR-10",
        citation=_CORRUPTIONS,
        licence="CC-BY-4.0",
        basis="of the files, as given at their DOI, not checked for this card; the "
        "images underneath have no stated licence",
        limits=(_TINY_IMAGES,),
    ),
    ImageSource(
        name="cifar100-c",
        what="The test images of CIFAR-100 under 19 corruptions at 5 severities.",
        origin="D. Hendrycks and T. Dietterich, from the test images of CIFAR-100",
        citation=_CORRUPTIONS,
        licence="CC-BY-4.0",
        basis="of the files, as given at their DOI, not checked for this card; the "
        "images underneath have no stated licence",
        limits=(_TINY_IMAGES,),
    ),
    ImageSource(
        name="cifar10.1-v4",
        what="New photographs for CIFAR-10's classes, collected to resemble its test "
        "set; version 4, not balanced between classes.",
        origin="B. Recht and others, from 80 Million Tiny Images",
        citation=_RECHT,
        licence="MIT",
        basis="licence file of the authors' repository, read for this card; it may not "
        "cover the photographs",
        limits=(
            _TINY_IMAGES,
            "2,021 images: an accuracy of 0.9 has a standard error of 0.007.",
        ),
    ),
    ImageSource(
        name="cifar10.1-v6",
        what="New photographs for CIFAR-10's classes, collected to resemble its test "
        "set; version 6, balanced between classes.",
        origin="B. Recht and others, from 80 Million Tiny Images",
        citation=_RECHT,
        licence="MIT",
        basis="licence file of the authors' repository, read for this card; it may not "
        "cover the photographs",
        limits=(
            _TINY_IMAGES,
            "2,000 images: an accuracy of 0.9 has a standard error of 0.007.",
        ),
    ),
    ImageSource(
        name="cinic10",
        what="Photographs of 32 x 32 pixels in CIFAR-10's classes, of which only the "
        "70,000 test images that come from ImageNet are used.",
        origin="L. Darlow and others, scaled down from ImageNet",
        citation="L. N. Darlow, E. J. Crowley, A. Antoniou, A. J. Storkey. CINIC-10 Is "
        "Not ImageNet or CIFAR-10. 2018, arXiv 1810.03505",
        licence="MIT",
        basis="licence file of the authors' repository, read for this card; ImageNet's "
        "own terms allow non-commercial research and education only",
        limits=(
            "Classes are unions of ImageNet's, chosen by their names; an image may "
            "show something else.",
        ),
    ),
    ImageSource(
        name="mnist-8",
        what="MNIST's test digits at 8 x 8 pixels, 4 pixels trimmed on each side "
        "first: a natural shift for models of scikit-learn's digits.",
        origin="made by this harness from MNIST, where MNIST is at hand",
        citation=_MNIST,
        licence=UNKNOWN,
        basis="that of MNIST, whose copies disagree",
        limits=(
            "A hard shift: three nearest neighbours among scikit-learn's digits name "
            "53 % of the images.",
        ),
    ),
)
SOURCES: Final = {source.name: source for source in _TABLE}
"""By registered name: every data set and every out-of-distribution set."""


def sources_of(names: Iterable[str]) -> list[ImageSource]:
    """Return the known sources behind data sets and recorded sets, each once.

    Args:
        names: Names as recorded, such as "digits" or "digits-corrupted"; others than
            the registered ones are left out.

    Example:
        >>> [source.name for source in sources_of(["digits-corrupted", "mine"])]
        ['corrupted', 'digits']
    """
    wanted = set()
    for name in names:
        wanted.add(name)
        if name.endswith(OWN):
            wanted |= {"corrupted", name.removesuffix(OWN)}
    return [SOURCES[name] for name in sorted(wanted) if name in SOURCES]
