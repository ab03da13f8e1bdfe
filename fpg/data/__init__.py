"""Data on disk: decoding, sources, preparation, the manifest, the sample set. Needs no torch."""
