"""From trained weights to a deployable network, with proof that both answer the same. See `fpg.export.exporter`."""
