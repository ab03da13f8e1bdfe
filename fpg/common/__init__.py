"""What every room shares: errors, files, crops, random streams, the sidecar of models, console and pages. Needs no torch."""
