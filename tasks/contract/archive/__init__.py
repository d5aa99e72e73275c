"""Photo archives: what lies inside, read entry by entry. Nothing is ever extracted to disk.

An archive is a zip, or a tar: plain or compressed as a whole with gzip, bzip2, xz or Zstandard.
Which, its bytes say, not its name. It comes from outside and is hostile until it has been read:
every limit holds on the bytes that come out of it, never on what it declares of itself.

A photo's class is the name of the folder it lies in, however deep the archive nests its folders
(Oregon Wildlife nests two). What operating systems leave behind (``__MACOSX``, ``.DS_Store``,
``Thumbs.db``) and files beside the class folders (a README) are not photos and are passed over.
"""

from tasks.contract.archive.archive import Archive, DatasetCard
from tasks.contract.archive.members import EntryError
from tasks.contract.archive.recognise import open_archive
from tasks.contract.archive.survey import Entry, Survey

__all__ = ["Archive", "DatasetCard", "Entry", "EntryError", "Survey", "open_archive"]
