"""Preprocess: decode every photo of the archive once, refuse what fails, split, write records."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from tasks.contract.archive import open_archive
from tasks.contract.config import SPLITS, PreprocessOptions
from tasks.contract.errors import InputError
from tasks.contract.pace import Pace, megabytes
from tasks.contract.pace import photos as photos_amount
from tasks.contract.photos import PHOTOS_FILE, REFUSED_FILE, Photo, Refusal, write_rows
from tasks.contract.step import Facts, Job, Step
from tasks.preprocess.contact_sheets import write_contact_sheets
from tasks.preprocess.decode_all import decode_all
from tasks.preprocess.near_duplicates import near_duplicate_components
from tasks.preprocess.parallel import cores
from tasks.preprocess.records import Records
from tasks.preprocess.splits import Shares, assign_splits
from tasks.preprocess.usable import Usable, require_usable, settle_exact_duplicates

log = logging.getLogger(__name__)


def run(job: Job) -> Facts:
    """The step: leaves ``photos.jsonl``, ``refused.jsonl``, record files and contact sheets.

    Raises:
        InputError: the archive is gone or another one, too many photos cannot be used, or a class
            has too few that can.
    """
    options: PreprocessOptions = job.options
    source = job.inputs["fetch"].facts
    workers = cores()
    with (
        _local_archive(job) as path,
        open_archive(path, _archive_uri(job), options) as archive,
    ):
        survey = archive.survey()
        entries = survey.entries
        job.cache.require_space(
            len(entries) * 3 * options.image_size**2, f"preparing {len(entries):,} photos"
        )
        records = Records(job.output, options.image_size)
        pace = Pace("preprocess", len(entries), photos_amount)
        decoded, refused = decode_all(archive, entries, records, options, workers, pace)
        rate = pace.rate(len(entries))
    usable, repeated = settle_exact_duplicates(decoded)
    refused = sorted([*survey.refused, *refused, *repeated], key=lambda refusal: refusal.entry)
    require_usable(survey, usable, refused, options)
    photos = _rows(usable, decoded, options)
    place_of = {photo.entry: photo.place for photo in decoded}
    write_contact_sheets(job.output, photos, refused, place_of, records)
    job.measurements |= {"photos_per_second": round(rate, 1), "workers": workers}
    write_rows(job.output / PHOTOS_FILE, photos)
    write_rows(job.output / REFUSED_FILE, refused)
    facts = _facts(photos, refused, len(entries) + len(survey.refused)) | {
        "image_size": options.image_size,
        "dataset": source["dataset"],
        "archive": {"size": source["size"], "sha256": source["sha256"]},
    }
    log.info(
        "%s of %s photos are used: %s",
        f"{len(photos):,}",
        f"{facts['photos']['entries']:,}",
        _spelled(facts["split"]),
    )
    if refused:
        log.info("refused: %s", _spelled(facts["refused"]))
    return facts


def _spelled(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _local_archive(job: Job) -> AbstractContextManager[Path]:
    """The archive that fetch checked, by its digest: from this machine's cache, or downloaded."""
    fetched = job.inputs["fetch"].manifest
    uri = _archive_uri(job)

    def download(target: Path) -> None:
        head = job.store.head(fetched.options["archive"])
        if head is None:
            raise InputError(
                f"{uri} vanished after fetch had checked it: put it back and run again"
            )
        if head.version != fetched.inputs["archive"]:
            raise InputError(
                f"{uri} was replaced after fetch had checked it: start a new run to use the new one"
            )
        job.cache.require_space(head.size, "the archive")
        job.store.download(head, target, Pace("archive", head.size, megabytes))

    return job.cache.checked_beside(fetched.facts["sha256"], uri, download)


def _archive_uri(job: Job) -> str:
    return job.store.uri(job.inputs["fetch"].manifest.options["archive"])


def _rows(
    usable: Sequence[Usable], decoded: Iterable[Usable], options: PreprocessOptions
) -> list[Photo]:
    """Split the photos; rows are in the order of splits and records."""
    kept = {photo.photo for photo in usable}
    refused = {photo.photo: photo for photo in decoded if photo.photo not in kept}
    drawing = [*usable, *refused.values()]
    components = near_duplicate_components(
        [photo.perceptual_hash for photo in drawing], options.near_duplicate_bits
    )
    assigned = assign_splits(
        [photo.photo for photo in drawing],
        [photo.class_name if photo.photo in kept else None for photo in drawing],
        components.tolist(),
        options.seed,
        Shares(options.validation_share, options.test_share),
    )
    labels = {name: label for label, name in enumerate(_classes(usable))}
    rows = [
        Photo(
            photo=photo.photo,
            entry=photo.entry,
            class_name=photo.class_name,
            label=labels[photo.class_name],
            split=split,
            group=group,
            width=photo.width,
            height=photo.height,
            shard=photo.place.shard,
            position=photo.place.position,
            crc32=photo.place.crc32,
        )
        for photo, (group, split) in zip(usable, assigned[: len(usable)], strict=True)
    ]
    return sorted(rows, key=lambda row: (SPLITS.index(row.split), row.shard, row.position))


def _classes(photos: Iterable[Usable | Photo]) -> list[str]:
    return sorted({photo.class_name for photo in photos})


def _facts(photos: Sequence[Photo], refused: Sequence[Refusal], entries: int) -> Facts:
    classes = _classes(photos)
    per_class: Mapping[str, Counter[str]] = {name: Counter() for name in classes}
    for photo in photos:
        per_class[photo.class_name][photo.split] += 1
    for refusal in refused:
        if refusal.class_name in per_class:  # a name at fault names none
            per_class[refusal.class_name]["refused"] += 1
    groups = Counter(photo.group for photo in photos)
    return {
        "classes": classes,
        "photos": {"entries": entries, "kept": len(photos), "refused": len(refused)},
        "refused": dict(sorted(Counter(refusal.reason for refusal in refused).items())),
        "per_class": {
            name: {column: count[column] for column in (*SPLITS, "refused")}
            for name, count in per_class.items()
        },
        "near_duplicate_groups": sum(size > 1 for size in groups.values()),
        "split": {split: sum(photo.split == split for photo in photos) for split in SPLITS},
    }


STEP = Step(
    name="preprocess",
    code=("tasks.preprocess", "tasks.contract.archive", "tasks.contract.photos"),
    options=PreprocessOptions,
    inputs=("fetch",),
    run=run,
)
