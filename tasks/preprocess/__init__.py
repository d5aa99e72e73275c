"""Preprocess: decode every photo of the archive once, refuse what fails, split, write records."""

import logging
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.contract.archive import Archive, Entry, EntryError, Survey, open_archive
from tasks.contract.config import SPLITS, PreprocessOptions
from tasks.contract.errors import InputError
from tasks.contract.pace import Pace, megabytes
from tasks.contract.pace import photos as photos_amount
from tasks.contract.photos import PHOTOS_FILE, REFUSED_FILE, Photo, Refusal, write_rows
from tasks.contract.step import Facts, Job, Step
from tasks.preprocess.contact_sheets import write_contact_sheets
from tasks.preprocess.decode import Decoded, UnusableError, decode
from tasks.preprocess.near_duplicates import near_duplicate_components
from tasks.preprocess.parallel import cores, in_order
from tasks.preprocess.records import Spool, write_shards
from tasks.preprocess.splits import Shares, assign_splits

log = logging.getLogger(__name__)

#: The most refused photos that a failing step lists in its log.
_LISTED = 200


@dataclass(frozen=True)
class Usable:
    """A photo that was decoded; its pixels are record number ``record`` of the spool."""

    entry: str
    class_name: str
    photo: str
    width: int
    height: int
    perceptual_hash: int
    record: int


def run(job: Job) -> Facts:
    """The step: leaves ``photos.jsonl``, ``refused.jsonl``, record files and contact sheets.

    Raises:
        InputError: the archive is gone or another one, too many photos cannot be used, or a class
            has too few that can.
    """
    options: PreprocessOptions = job.options
    source = job.inputs["fetch"].facts
    with open_archive(_local_archive(job), _archive_uri(job), options) as archive:
        survey = archive.survey()
        entries = survey.entries
        job.cache.require_space(
            2 * len(entries) * 3 * options.image_size**2, f"preparing {len(entries):,} photos"
        )
        with Spool.open(job.scratch / "records", options.image_size) as spool:
            decoded, refused = _decode_all(archive, entries, spool, job)
            usable, repeated = settle_exact_duplicates(decoded)
            refused = sorted(
                [*survey.refused, *refused, *repeated], key=lambda refusal: refusal.entry
            )
            require_usable(survey, usable, refused, options)
            photos = _write_photos(usable, spool, options, job.output)
            record_of = {photo.entry: photo.record for photo in decoded}
            write_contact_sheets(job.output, photos, refused, record_of, spool.records())
    write_rows(job.output / PHOTOS_FILE, photos)
    write_rows(job.output / REFUSED_FILE, refused)
    facts = _facts(photos, refused, len(entries) + len(survey.refused)) | {
        "image_size": options.image_size,
        "dataset": source["dataset"],
        "archive": {"size": source["size"], "sha256": source["sha256"]},
    }
    log.info("photos %s, refused %s, split %s", facts["photos"], facts["refused"], facts["split"])
    return facts


def settle_exact_duplicates(decoded: Iterable[Usable]) -> tuple[list[Usable], list[Refusal]]:
    """Keep one of the photos with the same pixels; none if they lie in different classes.

    Of copies within a class the first by name stays. Copies in several classes are all refused:
    at least one of the labels is wrong, and nothing says which.
    """
    copies: dict[str, list[Usable]] = defaultdict(list)
    for photo in decoded:
        copies[photo.photo].append(photo)
    kept, refused = [], []
    for same in copies.values():
        same.sort(key=lambda photo: photo.entry)
        conflict = len({photo.class_name for photo in same}) > 1
        if not conflict:
            kept.append(same[0])
        for photo in same if conflict else same[1:]:
            other = next(o for o in same if not conflict or o.class_name != photo.class_name)
            refused.append(
                Refusal(
                    entry=photo.entry,
                    class_name=photo.class_name,
                    reason="label conflict" if conflict else "duplicate",
                    detail=f"has the same pixels as {other.entry!r}",
                    same_as=other.entry,
                )
            )
    return kept, refused


def require_usable(
    survey: Survey,
    usable: Iterable[Usable],
    refused: Sequence[Refusal],
    options: PreprocessOptions,
) -> None:
    """See that enough photos are left; if not, list in the log what was refused.

    Exact duplicates are no failures: they lose nothing.

    Raises:
        InputError: too many photos failed, or a class has too few left.
    """
    entries = len(survey.entries) + len(survey.refused)
    reasons = Counter(refusal.reason for refusal in refused)
    failed = reasons.total() - reasons["duplicate"]
    if failed > options.max_refused_share * entries:
        counts = ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common())
        _list_refused(refused)
        raise InputError(
            f"{failed:,} of the archive's {entries:,} photos cannot be used ({counts}), more "
            f"than max_refused_share {options.max_refused_share:g} allows: mend the archive, or "
            "raise max_refused_share"
        )
    # A class all of whose photos were refused must not vanish without a word.
    classes = {entry.class_name for entry in survey.entries}
    classes |= {refusal.class_name for refusal in survey.refused if refusal.class_name}
    count = dict.fromkeys(sorted(classes), 0)
    count |= Counter(photo.class_name for photo in usable)
    few = {name: n for name, n in count.items() if n < options.min_photos_per_class}
    if few:
        _list_refused([refusal for refusal in refused if refusal.class_name in few])
        listed = ", ".join(f"{name!r} has {n}" for name, n in few.items())
        raise InputError(
            f"these classes have fewer than {options.min_photos_per_class} usable photos: "
            f"{listed}: add photos, remove their folders, or lower min_photos_per_class"
        )


def _list_refused(refused: Sequence[Refusal]) -> None:
    for refusal in refused[:_LISTED]:
        log.warning("refused %r: %s (%s)", refusal.entry, refusal.reason, refusal.detail)
    if len(refused) > _LISTED:
        log.warning("and %s more", f"{len(refused) - _LISTED:,}")


def _local_archive(job: Job) -> Path:
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

    return job.cache.fetch(fetched.facts["sha256"], uri, download)


def _archive_uri(job: Job) -> str:
    return job.store.uri(job.inputs["fetch"].manifest.options["archive"])


def _decode_all(
    archive: Archive, entries: Sequence[Entry], spool: Spool, job: Job
) -> tuple[list[Usable], list[Refusal]]:
    """Decode every entry; pixels go to the spool, everything else is returned in name order."""
    options: PreprocessOptions = job.options

    def outcome(item: tuple[Entry, Callable[[], bytes]]) -> tuple[Entry, Decoded | UnusableError]:
        entry, read = item
        try:
            return entry, decode(read(), options.image_size, options.fit, options.min_side)
        except EntryError as error:
            return entry, UnusableError(error.reason, error.detail)
        except UnusableError as error:
            return entry, error

    workers = cores()
    pace = Pace("preprocess", len(entries), photos_amount)
    usable, refused = [], []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # what it warns of, we decide on
        outcomes = in_order(outcome, archive.readers(entries), workers)
        for done, (entry, result) in enumerate(outcomes, start=1):
            if isinstance(result, UnusableError):
                refused.append(_refusal(entry, result))
            else:
                usable.append(_usable(entry, result, spool.append(result.pixels)))
            pace(done)
    usable.sort(key=lambda photo: photo.entry)  # they came in the order of the archive
    job.measurements |= {
        "photos_per_second": round(pace.rate(len(entries)), 1),
        "workers": workers,
    }
    return usable, refused


def _usable(entry: Entry, decoded: Decoded, record: int) -> Usable:
    return Usable(
        entry.name,
        entry.class_name,
        decoded.photo,
        decoded.width,
        decoded.height,
        decoded.perceptual_hash,
        record,
    )


def _refusal(entry: Entry, error: UnusableError) -> Refusal:
    return Refusal(
        entry=entry.name, class_name=entry.class_name, reason=error.reason, detail=error.detail
    )


def _write_photos(
    usable: Sequence[Usable], spool: Spool, options: PreprocessOptions, folder: Path
) -> list[Photo]:
    """Split the photos and write their records; rows are in the order of the records."""
    components = near_duplicate_components(
        [photo.perceptual_hash for photo in usable], options.near_duplicate_bits
    )
    assigned = assign_splits(
        [photo.photo for photo in usable],
        [photo.class_name for photo in usable],
        components.tolist(),
        options.seed,
        Shares(options.validation_share, options.test_share),
    )
    ordered = sorted(
        zip(usable, assigned, strict=True),
        key=lambda pair: (SPLITS.index(pair[1][1]), pair[0].photo),
    )
    places = write_shards(
        folder, spool.records(), [(split, photo.record) for photo, (_, split) in ordered]
    )
    labels = {name: label for label, name in enumerate(_classes(usable))}
    return [
        Photo(
            photo=photo.photo,
            entry=photo.entry,
            class_name=photo.class_name,
            label=labels[photo.class_name],
            split=split,
            group=group,
            width=photo.width,
            height=photo.height,
            shard=place.shard,
            position=place.position,
            crc32=place.crc32,
        )
        for (photo, (group, split)), place in zip(ordered, places, strict=True)
    ]


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
