"""What a prepared data set amounts to, in numbers: frames, faces, tracks, sizes. All of it comes from the manifest."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from fpg.data.manifest import Manifest
from fpg.faces.sizes import face_size


@dataclass(frozen=True)
class Statistics:
    """Of a whole manifest."""

    frames: int
    """Looked at."""
    frames_with_face: int
    frames_with_several: int
    """Frames with more than one large face."""
    crops: int
    tracks: int
    """Faces followed through their videos; 0 in manifests without tracks."""
    videos_with_several: int
    """Videos with more than one track."""
    face_size: tuple[float, float, float]
    """5 %, 50 % and 95 % of the crops have a smaller face: root of the box's area, in pixels; NaN without a crop."""


def statistics(manifest: Manifest) -> Statistics:
    """Count what `manifest` holds."""
    per_frame = Counter((face.key, face.frame) for face in manifest.faces)
    tracks = Counter(key for key, track in {(face.key, face.track) for face in manifest.faces} if track is not None)
    sizes = [face_size(face.box) for face in manifest.faces]
    small, middle, large = np.percentile(sizes, (5, 50, 95)) if sizes else (float("nan"),) * 3
    return Statistics(
        frames=sum(video.frames for video in manifest.videos),
        frames_with_face=sum(video.frames_with_face for video in manifest.videos),
        frames_with_several=sum(count > 1 for count in per_frame.values()),
        crops=len(manifest.faces),
        tracks=sum(tracks.values()),
        videos_with_several=sum(count > 1 for count in tracks.values()),
        face_size=(float(small), float(middle), float(large)),
    )
