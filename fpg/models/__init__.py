"""Networks: the detector over any timm backbone, the face quality network, and the import of published weights."""
