"""Every option of the workflow, once.

``Config`` is the DAG's trigger form (through its JSON schema), the steps' validator, and what the
report prints. It is flat, because Airflow's form is; it is composed of one class per step, because
a step sees only its own slice, and only that slice enters the step's fingerprint.
"""

import json
import reprlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from tasks.contract.errors import ConfigurationError


class Options(BaseModel):
    """Base of all option groups: immutable, and an unknown name is an error, not a shrug."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def parse(cls, options: str | Mapping[str, Any]) -> Self:
        """Validate options that came from outside (a form, a command line).

        Raises:
            ConfigurationError: names every wrong option and what it may be, in one line.
        """
        try:
            if isinstance(options, str):
                options = json.loads(options)
            if not isinstance(options, Mapping):
                raise ConfigurationError(
                    "the configuration is not an object of options: give one like "
                    '{"scratch_epochs": 5}'
                )
            return cls.model_validate(options)
        except ValidationError as error:
            raise ConfigurationError(_explain(error, cls)) from error
        except (ValueError, RecursionError) as error:
            raise ConfigurationError(
                f"the configuration is not JSON ({error}): give an object like "
                '{"scratch_epochs": 5}'
            ) from error


#: The sections of the trigger form, in its order; it opens with the first.
Section = Literal["Run", "Training", "Champion", "Photos", "Limits"]


def option(
    default: Any,
    section: Section,
    title: str,
    description: str,
    shown: Mapping[str, str] | None = None,
    **constraints: Any,
) -> Any:
    """A field with what the trigger form shows: its section, a human title and a help text.

    Args:
        shown: how each of the values is called there, if there are but a few.
    """
    extra: dict[str, Any] = {"section": section}
    if shown is not None:
        extra["values_display"] = dict(shown)
    return Field(
        default, title=title, description=description, json_schema_extra=extra, **constraints
    )


Share = Annotated[float, Field(ge=0.05, le=0.4)]
Fit = Literal["squash", "crop"]


class Seeded(Options):
    seed: int = option(
        20,
        "Photos",
        "Seed",
        "Draws the split and the training; the same seed and photos give the same split for ever.",
        ge=0,
        le=2**31 - 1,
    )


class ArchiveKey(Options):
    """A class of its own, so that the form begins with it and not with the limits."""

    archive: str = option(
        "datasets/oregon-wildlife.zip",
        "Run",
        "Archive",
        "Key of the photo archive in the bucket. A photo's class is the folder it lies in.",
        pattern=r"^[^/\s][^\n\r]*$",
        max_length=1024,
    )


class ArchiveLimits(Options):
    """What an archive from outside may cost; held on the bytes that are read, not on its word.

    A megabyte is 1,000,000 bytes, a gigabyte 1,000 of them.
    """

    max_entry_mb: int = option(
        64,
        "Limits",
        "Largest file, MB",
        "A file of the archive that is larger than this, decompressed, is refused.",
        ge=1,
        le=1024,
    )
    max_archive_gb: float = option(
        100.0,
        "Limits",
        "Largest archive, GB",
        "The run fails if the archive holds more than this, decompressed.",
        ge=0.001,
        le=10_000.0,
    )
    max_compression_ratio: int = option(
        200,
        "Limits",
        "Largest compression ratio",
        "What decompresses to more than 1 MB and more than this many times its size is refused.",
        ge=2,
        le=100_000,
    )
    max_entries: int = option(
        1_000_000,
        "Limits",
        "Most entries",
        "The run fails if the archive has more entries than this.",
        ge=1,
        le=10_000_000,
    )

    @property
    def entry_bytes(self) -> int:
        return self.max_entry_mb * 1_000_000

    @property
    def archive_bytes(self) -> int:
        return int(self.max_archive_gb * 1e9)

    def expanded_bytes(self, compressed: int) -> int:
        """The most that so many compressed bytes may decompress to."""
        return max(1_000_000, self.max_compression_ratio * compressed)


class FetchOptions(ArchiveLimits, ArchiveKey):
    """What fetch sees."""


class PreprocessOptions(Seeded, ArchiveLimits):
    image_size: int = option(
        224,
        "Photos",
        "Image size",
        "Width and height in pixels that every photo is resized to; EfficientNet-B0 expects 224.",
        ge=32,
        le=600,
    )
    fit: Fit = option(
        "squash",
        "Photos",
        "Fit",
        "How a photo becomes square: 'squash' takes all of it, as the reference lab did; 'crop' "
        "cuts its middle out and keeps its proportions.",
        shown={"squash": "squash: all of the photo", "crop": "crop: its middle"},
    )
    min_side: int = option(
        32,
        "Photos",
        "Shortest side",
        "A photo with a side of fewer pixels than this is refused as an icon or a placeholder.",
        ge=1,
        le=4096,
    )
    validation_share: Share = option(
        0.15, "Photos", "Validation share", "Share of the photos that training is watched on."
    )
    test_share: Share = option(
        0.15, "Photos", "Test share", "Share of the photos that only the final comparison sees."
    )
    min_photos_per_class: int = option(
        10,
        "Photos",
        "Fewest photos per class",
        "The run fails, and lists them, if a class has fewer usable photos than this.",
        ge=3,
        le=100_000,
    )
    max_refused_share: float = option(
        0.25,
        "Photos",
        "Largest share of refused photos",
        "The run fails if more than this share of the archive's photos cannot be used.",
        ge=0.0,
        le=1.0,
    )
    near_duplicate_bits: int = option(
        4,
        "Photos",
        "Near-duplicate distance",
        "Photos whose 64-bit perceptual hashes differ in at most this many bits stay in one split.",
        ge=0,
        le=16,
    )


Recipe = Literal["tuned", "lab"]


def _recipes_say(tuned: float, lab: float) -> str:
    """What a number that was left empty is; ``tests/train/test_recipes.py`` keeps it true."""
    if tuned == lab:
        return f"Empty: {tuned:g} by either recipe."
    return f"Empty: {tuned:g} by the recipe 'tuned', {lab:g} by 'lab'."


class TrainOptions(Seeded):
    """What both arms have in common. None stands for what the recipe says."""

    recipe: Recipe = option(
        "tuned",
        "Run",
        "Recipe",
        "How both networks are trained, where the other options leave it open. 'tuned' trains "
        "each as well as we know how; 'lab' repeats the reference lab.",
        shown={"tuned": "tuned: as well as we know how", "lab": "lab: as the reference lab"},
    )
    batch_size: int | None = option(
        None,
        "Training",
        "Batch size",
        f"Photos per gradient step, for both networks. {_recipes_say(16, 16)}",
        ge=1,
        le=4096,
    )
    class_weights: bool = option(
        False,
        "Training",
        "Class weights",
        "Let a photo of a rare class count for more, so that all classes count alike in the loss.",
    )
    deterministic: bool = option(
        False,
        "Training",
        "Deterministic",
        "Use only operations that give the same bits every time; on a GPU that costs speed.",
    )
    precision: Literal["auto", "float32"] = option(
        "auto",
        "Training",
        "Precision",
        "'auto' computes in half precision on GPUs that are made for it; 'float32' nowhere.",
        shown={
            "auto": "auto: half precision where the GPU is made for it",
            "float32": "float32: full precision everywhere",
        },
    )


class ScratchOptions(TrainOptions):
    scratch_epochs: int | None = option(
        None,
        "Run",
        "Epochs, from scratch",
        "Passes over the training photos for the network that starts from random weights; they "
        f"are what takes long. {_recipes_say(40, 20)}",
        ge=1,
        le=1000,
    )
    scratch_learning_rate: float | None = option(
        None,
        "Training",
        "Learning rate, from scratch",
        "Adam's (largest) step size for the network that starts from random weights. "
        f"{_recipes_say(0.001, 0.001)}",
        gt=0.0,
        le=1.0,
    )


#: Names of the weights that somebody published; any other is the key of a file of one's own.
PUBLISHED_WEIGHTS = ("imagenet", "lite0")


class TransferOptions(TrainOptions):
    transfer_epochs: int | None = option(
        None,
        "Run",
        "Epochs, transfer",
        "Passes over the training photos for the new head on the pretrained network. "
        f"{_recipes_say(20, 20)}",
        ge=1,
        le=1000,
    )
    transfer_learning_rate: float | None = option(
        None,
        "Training",
        "Learning rate, transfer",
        "Adam's (largest) step size for the new head on the pretrained network. "
        f"{_recipes_say(0.003, 0.001)}",
        gt=0.0,
        le=1.0,
    )
    feature_views: int | None = option(
        None,
        "Training",
        "Views, transfer",
        "So many views of each training photo go through the pretrained network once: the photo "
        f"itself, and random crops and mirrors of it. {_recipes_say(4, 1)}",
        ge=1,
        le=64,
    )
    fine_tune_epochs: int | None = option(
        None,
        "Training",
        "Epochs, fine-tuning",
        "Passes, after the head's, that train the top blocks of the pretrained network, too. "
        f"{_recipes_say(0, 0)}",
        ge=0,
        le=1000,
    )
    weights: str = option(
        "imagenet",
        "Run",
        "Pretrained weights",
        "What transfer begins with: Keras' official ImageNet file; EfficientNet-Lite0's ImageNet "
        "weights laid into B0, for sites that cannot reach Keras' host; or a .weights.h5 file in "
        "the bucket.",
        pattern=r"^(imagenet|lite0|[^/\s][^\n\r]*\.h5)$",
        max_length=1024,
        examples=["imagenet", "lite0", "weights/my-backbone.weights.h5"],
    )
    weights_sha256: str = option(
        "",
        "Run",
        "SHA-256 of the weights",
        "Needed only when the weights are a key in the bucket: no other file is ever trained on.",
        pattern=r"^([0-9a-f]{64})?$",
    )

    @model_validator(mode="after")
    def _own_weights_are_pinned(self) -> Self:
        if self.weights not in PUBLISHED_WEIGHTS and not self.weights_sha256:
            raise ValueError(
                f"weights_sha256 is needed with weights={self.weights!r}: "
                "give the file's SHA-256 so that no other file is ever trained on"
            )
        return self


class CompareOptions(Options):
    title: str = option(
        "",
        "Run",
        "Title",
        "Heading of the report. Empty: the data set's own name.",
        max_length=200,
    )


class ChampionOptions(Options):
    promote: Literal["better", "not worse", "always", "never"] = option(
        "not worse",
        "Champion",
        "Promotion",
        "When the run's better network becomes the champion, the model to be used. Both are "
        "compared on the run's test photos, without those that the champion was trained on. The "
        "first champion needs no comparison.",
        shown={
            "better": "better: the paired test says so",
            "not worse": "not worse: better, or as many photos right and trained on newer data",
            "always": "always: whatever the comparison says",
            "never": "never: compare only",
        },
    )


class Config(
    CompareOptions,
    ChampionOptions,
    TransferOptions,
    ScratchOptions,
    PreprocessOptions,
    FetchOptions,
):
    """All options of one run."""

    force: bool = option(
        False,
        "Run",
        "Recompute",
        "Compute every step again, also those whose photos, options and code have not changed "
        "since an earlier run and which would otherwise take its result.",
    )

    @model_validator(mode="after")
    def _training_keeps_the_larger_part(self) -> Self:
        if self.validation_share + self.test_share > 0.6:
            raise ValueError(
                "validation_share and test_share leave less than 40 % of the photos for training: "
                "lower one of them"
            )
        return self

    def slice(self, options: type[Options]) -> Options:
        """The part of this configuration that one step may see."""
        return options.model_validate(self.model_dump(include=set(options.model_fields)))


class RetentionOptions(Options):
    """What of the bucket is kept. Ages are in days, by the store's own clock."""

    keep_reports: int = option(
        50,
        "Run",
        "Reports to keep",
        "The newest so many reports are kept with their runs, however old they are.",
        ge=0,
        le=1_000_000,
    )
    keep_days: float = option(
        180,
        "Run",
        "Days to keep a run",
        "A younger run is kept, however many there are; an older one goes if its report is not "
        "among the newest.",
        ge=0,
        le=36_500,
    )
    checkpoint_days: float = option(
        30,
        "Run",
        "Days to keep a checkpoint",
        "A checkpoint of a training that nobody went on with goes after this.",
        ge=1,
        le=36_500,
    )
    grace_days: float = option(
        7,
        "Run",
        "Days of grace",
        "What was written or used within this time is never removed, whatever the rest says. "
        "It must be longer than any run takes that Airflow does not know of.",
        ge=1,
        le=36_500,
    )


#: A wrong value is shown, but never pages of it.
_BRIEF = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxother = 80

#: What a text with a pattern must be, for people who read no patterns.
PATTERNS_IN_WORDS = {
    "archive": "a key on one line that begins with neither '/' nor a space",
    "weights": "'imagenet', 'lite0', or a key that ends in .h5",
    "weights_sha256": "64 of the digits 0-9 and a-f, or empty",
}
#: By how pydantic's names of faults begin: ``int_parsing``, ``float_type`` and the like.
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "bool": "true or false",
    "string": "a text",
}


def _explain(error: ValidationError, model: type[Options]) -> str:
    complaints = []
    for fault in error.errors(include_url=False):
        name = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            known = ", ".join(sorted(model.model_fields))
            complaints.append(f"unknown option {name!r}: the options are {known}")
        elif not name:
            complaints.append(fault["msg"].removeprefix("Value error, "))
        else:
            value = _BRIEF.repr(fault["input"])
            complaints.append(f"option {name!r} is {value}: {_requirement(name, fault)}")
    return "; ".join(complaints)


def _requirement(name: str, fault: ErrorDetails) -> str:
    """What an option must be, where pydantic would say what its input should have been."""
    context = fault.get("ctx", {})
    match fault["type"]:
        case "greater_than_equal":
            return f"must be {context['ge']:.12g} or more"
        case "greater_than":
            return f"must be more than {context['gt']:.12g}"
        case "less_than_equal":
            return f"must be {context['le']:.12g} or less"
        case "literal_error":
            return f"must be {context['expected']}"
        case "string_too_long":
            return f"must be {context['max_length']} characters or fewer"
        case "string_pattern_mismatch":
            return f"must be {PATTERNS_IN_WORDS[name]}"
    kind = fault["type"].partition("_")[0]
    return f"must be {_KINDS[kind]}" if kind in _KINDS else fault["msg"]


Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
