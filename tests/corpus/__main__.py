"""Writes the corpus to a folder."""

import sys
from pathlib import Path

from corpus import write_corpus

print(len(write_corpus(Path(sys.argv[1]))), "files")
