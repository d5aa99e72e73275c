"""The sample archive is synthetic and says so, is the same each time, and holds odd files."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from embedded.sample import write_sample
from tasks.contract.archive import open_archive
from tasks.contract.config import ArchiveLimits


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "sample.zip"
    write_sample(path, photos_per_species=2)
    return path


def test_the_sample_says_that_it_is_synthetic(sample: Path) -> None:
    with open_archive(sample, "sample", ArchiveLimits()) as archive:
        card = archive.card()
        classes = {entry.class_name for entry in archive.survey().entries}
    assert card.synthetic
    assert "synthetic" in card.name.lower()
    assert len(classes) == 6
    assert all(name.startswith("synthetic_") for name in classes)


def test_the_sample_is_the_same_each_time(sample: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.zip"
    write_sample(again, photos_per_species=2)
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (sample, again)]
    assert digests[0] == digests[1]


def test_the_sample_holds_what_real_archives_hold(sample: Path) -> None:
    with zipfile.ZipFile(sample) as archive:
        odd = {Path(name).name for name in archive.namelist()}
    assert {
        "exact_copy.jpg",
        "copy_under_another_class.jpg",
        "near_copy.jpg",
        "truncated.jpg",
        "empty.jpg",
        "page.jpg",
        "tiny.jpg",
        "png_with_alpha.jpg",
        "cmyk.JPEG",
        "grey.jpeg",
        "exif_rotated.jpg",
        "Thumbs.db",
    } <= odd
